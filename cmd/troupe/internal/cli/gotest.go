package cli

import (
	"context"
	"os"

	"github.com/spf13/cobra"
)

func (a *app) goTestCmd() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "gotest LETTER",
		Short: "Make a Go test of a letter: a dead letter becomes a regression test",
		Long: `Writes a Go test with the letter's event in it, which gives it to your handler and fails
as long as the handler does. Name the handler where the test says so. The event is in
the file: look at what it says before you commit it.`,
		Example: "  troupe gotest 01JD3XK5 --file payment_letter_test.go",
		Args:    cobra.ExactArgs(1),
		RunE: a.run(func(ctx context.Context, args []string) error {
			id, err := a.letterID(ctx, args[0])
			if err != nil {
				return err
			}
			text, err := a.desk.GoTest(ctx, id)
			if err != nil {
				return err
			}
			if file == "" {
				a.printf("%s", text)
				return nil
			}
			f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
			if err != nil {
				return err // a test that is there is not overwritten
			}
			if _, err := f.WriteString(text); err != nil {
				_ = f.Close()
				return err
			}
			return f.Close()
		}),
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "where to; one that is there is not overwritten")
	return cmd
}
