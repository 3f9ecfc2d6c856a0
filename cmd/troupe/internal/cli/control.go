package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"github.com/troupe-go/troupe/ops"
)

type control = func(Desk, context.Context, ops.By, string, string) error

func (a *app) controlCmds() []*cobra.Command {
	return []*cobra.Command{
		a.controlCmd("pause", "Keep a subscriber from taking another event",
			"What is published waits in its mailbox. The event in hand is finished. troupe resume ends\nit.", "paused", Desk.PauseSubscriber),
		a.controlCmd("resume", "End a pause, whoever made it", "It also ends a cooldown after too many restarts.", "resumed", Desk.ResumeSubscriber),
		a.controlCmd("restart", "Replace a subscriber's instance by a new one",
			"The event in hand is interrupted, and attempted again by the new instance.", "restarted", Desk.RestartSubscriber),
	}
}

func (a *app) controlCmd(name, short, long, done string, do control) *cobra.Command {
	cmd := a.changing(&cobra.Command{
		Use: name + " SUBSCRIBER...", Short: short, Long: long + "\n\nA subscriber is TOPIC/NAME, or NAME if only one has it.",
		Example: "  troupe " + name + " orders.placed/payment --why \"tax service is down\"\n  troupe " + name + " payment",
		Args:    cobra.MinimumNArgs(1),
	})
	cmd.Flags().BoolVarP(&a.dryRun, "dry-run", "n", false, "say what would be done, and do nothing")
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		for _, arg := range args {
			topic, sub, err := a.subscriber(arg)
			if err != nil {
				return err
			}
			if a.dryRun {
				a.printf("would %s %s/%s\n", name, clean(topic), clean(sub))
				continue
			}
			if err := do(a.desk, ctx, a.who(), topic, sub); err != nil {
				return err
			}
			if !a.plain() {
				if err := a.emit(map[string]string{"topic": topic, "subscriber": sub, "done": done}); err != nil {
					return err
				}
				continue
			}
			a.printf("%s %s/%s\n", done, clean(topic), clean(sub))
		}
		return nil
	})
	return cmd
}

// subscriber finds who is meant.
func (a *app) subscriber(arg string) (topic, name string, err error) {
	if i := strings.LastIndexByte(arg, '/'); i >= 0 {
		return arg[:i], arg[i+1:], nil
	}
	d, err := a.desk.Tree()
	if err != nil {
		return "", "", err
	}
	var found []string
	for _, s := range subscribers(d.Tree) {
		if s.Name == arg {
			found = append(found, s.Topic+"/"+s.Name)
			topic, name = s.Topic, s.Name
		}
	}
	switch len(found) {
	case 0:
		return "", "", notFound("see troupe subs", "there is no subscriber %s", arg)
	case 1:
		return topic, name, nil
	}
	return "", "", usage("%s is the name of several: %s", arg, strings.Join(found, ", "))
}
