package cli

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ask asks whether to do it. Without a terminal somebody has to have said --yes.
func (a *app) ask(question string) error {
	if a.yes {
		return nil
	}
	if !a.InTerminal {
		return refused("say --yes, or --dry-run to see what would be done", "nobody has confirmed: %s", question)
	}
	answer, err := a.prompt(question + " [y/N] ")
	if err != nil {
		return err
	}
	if a := strings.ToLower(answer); a != "y" && a != "yes" {
		return refused("", "not confirmed, nothing was done")
	}
	return nil
}

// askCount asks for the number of letters, before something that takes them away.
// Without a terminal, --yes and --confirm have to say it. It returns the number that
// was confirmed.
func (a *app) askCount(question string, n, confirm int) (int, error) {
	if confirm >= 0 {
		if !a.yes && !a.InTerminal {
			return 0, refused("say --yes as well", "nobody has confirmed: %s", question)
		}
		if confirm != n {
			return 0, refused("look again: others may have come or gone", "--confirm %d: there are %s", confirm, letters(n))
		}
		if a.yes {
			return n, nil
		}
	}
	if !a.InTerminal {
		return 0, refused(fmt.Sprintf("say --yes --confirm %d, or --dry-run to see what would be done", n), "nobody has confirmed: %s", question)
	}
	answer, err := a.prompt(fmt.Sprintf("%s\nType the number of letters to confirm: ", question))
	if err != nil {
		return 0, err
	}
	if typed, err := strconv.Atoi(answer); err != nil || typed != n {
		return 0, refused("", "not confirmed: %q is not %d; nothing was done", answer, n)
	}
	return n, nil
}

func (a *app) prompt(question string) (string, error) {
	fmt.Fprint(a.Err, question)
	line, err := bufio.NewReader(a.In).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", err
	}
	if err == io.EOF {
		fmt.Fprintln(a.Err)
	}
	return strings.TrimSpace(line), nil
}
