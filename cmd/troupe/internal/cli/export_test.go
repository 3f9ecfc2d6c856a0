package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Root is the tree of commands.
func Root() *cobra.Command {
	a := &app{Env: Env{In: strings.NewReader(""), Getenv: func(string) string { return "" }, Now: time.Now}}
	return a.root()
}

// SetPaths is what --set and --unset do.
var SetPaths = setPaths

// ExitRows are the exit codes as rows of a table.
func ExitRows() (rows []string) {
	for _, e := range exits {
		rows = append(rows, fmt.Sprintf("| %d | %s |", e.Code, e.About))
	}
	return rows
}
