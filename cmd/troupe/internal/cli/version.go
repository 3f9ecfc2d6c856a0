package cli

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (a *app) versionCmd() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "The version of this program", Example: "  troupe version -o json", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			a.began = true
			v := map[string]string{"version": "(devel)", "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
			if info, ok := debug.ReadBuildInfo(); ok {
				v["version"] = or(info.Main.Version, "(devel)")
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						v["revision"] = s.Value
					}
				}
			}
			if !a.plain() {
				return a.emit(v)
			}
			a.printf("troupe %s, %s, %s\n", v["version"], v["go"], v["platform"])
			return nil
		},
	}
}
