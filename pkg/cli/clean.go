package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

const cleanExample = `  kubectl get cluster web -o yaml | kubectl vip clean > copy.yaml   # then edit metadata.name
  kubectl vip clean web.yaml | sed 's/^  name: web$/  name: web2/' | kubectl apply -f -`

// Clean returns the filter that makes a manifest to copy.
func Clean() *cobra.Command {
	return &cobra.Command{
		Use:   "clean [FILE]",
		Short: "Make a manifest to copy out of that of a Cluster, without cluster access",
		Long: "Reads YAML or JSON, a FILE or standard input, and prints it without what belongs to the original\n" +
			"Cluster alone: status, identity, owners, finalizers, the VIPs that the allocator gave it with all that it\n" +
			"noted about them, its own pause, the endpoint, and the references to infrastructure and control plane.\n" +
			"The name stays: edit it. Documents of other kinds pass unchanged. What else names an address\n" +
			"of the original is told on standard error. Nothing is printed if anything cannot be read.",
		Example: cleanExample,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, data, err := readManifest(cmd.InOrStdin(), args)
			if err != nil {
				return err
			}
			out, notes, err := cleanStream(name, data)
			for _, note := range notes {
				fmt.Fprintln(plain{out: cmd.ErrOrStderr()}, note)
			}
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(out)
			return err
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return []cobra.Completion{"yaml", "yml", "json"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
}

// readManifest reads the file that is named, or standard input.
func readManifest(in io.Reader, args []string) (name string, data []byte, err error) {
	if len(args) == 1 && args[0] != standardInput {
		data, err = os.ReadFile(args[0])
		return args[0], data, err
	}
	if file, isFile := in.(*os.File); isFile && len(args) == 0 && term.IsTerminal(int(file.Fd())) {
		return "", nil, errors.New("name a file, or pipe a manifest in, as in: kubectl get cluster NAME -o yaml | kubectl vip clean")
	}
	name = "<stdin>"
	if data, err = io.ReadAll(in); err != nil {
		err = fmt.Errorf("read %s: %w", name, err)
	}
	return name, data, err
}
