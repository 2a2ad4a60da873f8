package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gorizond/capi-vip-allocator/pkg/lint"
)

// ExitCode ends the process with that status; whatever there was to say has been said.
type ExitCode int

// Error implements error.
func (e ExitCode) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// Status of lint.
const (
	found      ExitCode = 1
	unreadable ExitCode = 2
)

const standardInput = "-"

const lintExample = `  capi-vip-allocator lint classes/ pools.yaml clusters/
  helm template my-chart | capi-vip-allocator lint -
  kubectl get clusters -A -o yaml > live.yaml; capi-vip-allocator lint --clusters live.yaml class.yaml`

// linting is what the command was asked for.
type linting struct {
	output    string
	strict    bool
	clusters  []string
	otherGate bool
}

// Lint checks manifests without a management cluster.
func Lint() *cobra.Command {
	l := &linting{}
	command := &cobra.Command{
		Use:   "lint FILE…|-",
		Short: "Check manifests of ClusterClasses, pools and Clusters, without a management cluster",
		Long: "Checks ClusterClasses, pools and Clusters in YAML or JSON: files, folders (*.yaml, *.yml and *.json below them),\n" +
			"or - for standard input. Other kinds, and templates of charts, are passed over. What an object means is judged\n" +
			"by what else is given, so give classes, pools and Clusters together: what would happen to each Cluster is then\n" +
			"planned as the controller does it.\n\n" +
			"Exit status: 0 without errors, 1 with errors (--strict: or warnings), 2 if something could not be read.",
		Example: lintExample,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && len(l.clusters) == 0 {
				return misused(cmd, errors.New("name files or folders, or - for standard input"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.run(cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args)
		},
	}
	command.SetFlagErrorFunc(misused)
	flags := command.Flags()
	flags.StringVarP(&l.output, "output", "o", "text", "text, json or github (annotations of a workflow)")
	flags.BoolVar(&l.strict, "strict", false, "warnings fail too")
	flags.StringSliceVar(&l.clusters, "clusters", nil, "files with Clusters that exist, or -, to learn whom a changed class would stop")
	flags.BoolVar(&l.otherGate, "other-gate", false, "new Clusters wait by the hold gate or the hook gate, so a class need not make them wait")
	return command
}

// misused says what is wrong with the command line.
func misused(cmd *cobra.Command, err error) error {
	fmt.Fprintln(cmd.ErrOrStderr(), err)
	return unreadable
}

func (l *linting) run(in io.Reader, out, problems io.Writer, args []string) error {
	write := lintWriter(l.output)
	if write == nil {
		fmt.Fprintf(problems, "output %q is none of text, json, github\n", l.output)
		return unreadable
	}
	if slices.Contains(args, standardInput) && slices.Contains(l.clusters, standardInput) {
		fmt.Fprintln(problems, "standard input can be read only once")
		return unreadable
	}
	sources, err := load(in, args)
	live, liveErr := load(in, l.clusters)
	result := lint.Run(sources, lint.Options{Live: live, OtherGate: l.otherGate})
	if writeErr := write(out, result.Findings); writeErr != nil {
		return writeErr
	}
	if err := errors.Join(err, liveErr); err != nil {
		fmt.Fprintln(problems, err)
		return unreadable
	}
	if l.output == "text" {
		for i := range result.Plans {
			fmt.Fprintln(problems, result.Plans[i].String())
		}
		fmt.Fprintf(problems, "ClusterClasses: %d, pools: %d, Clusters: %d; errors: %d, warnings: %d, hints: %d\n",
			result.Classes, result.Pools, result.Clusters, result.Count(lint.Error), result.Count(lint.Warning), result.Count(lint.Info))
	}
	if result.Count(lint.Error) > 0 || l.strict && result.Count(lint.Warning) > 0 {
		return found
	}
	return nil
}

// load reads what it can; the error names the rest.
func load(in io.Reader, args []string) (sources []lint.Source, err error) {
	var failed []error
	add := func(name string, data []byte, err error) {
		if err != nil {
			failed = append(failed, err)
			return
		}
		if !slices.ContainsFunc(sources, func(s lint.Source) bool { return s.Name == name }) {
			sources = append(sources, lint.Source{Name: name, Data: data})
		}
	}
	for _, arg := range args {
		if arg == standardInput {
			data, err := io.ReadAll(in)
			add("<stdin>", data, err)
			continue
		}
		paths, err := manifests(arg)
		if err != nil {
			failed = append(failed, err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			add(path, data, err)
		}
	}
	return sources, errors.Join(failed...)
}

// manifests lists the file itself, or the manifests in a folder and those below. The
// templates of a Helm chart are none before they are rendered.
func manifests(root string) ([]string, error) {
	info, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{root}, nil
	}
	var paths []string
	var failed []error
	// The separator has a root that is a link followed.
	err = filepath.WalkDir(root+string(filepath.Separator), func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			failed = append(failed, err)
		case entry.IsDir() && isTemplates(path):
			return fs.SkipDir
		case !entry.IsDir() && isManifest(path):
			paths = append(paths, filepath.Clean(path))
		}
		return nil
	})
	return paths, errors.Join(append(failed, err)...)
}

func isTemplates(folder string) bool {
	_, err := os.Stat(filepath.Join(filepath.Dir(folder), "Chart.yaml"))
	return err == nil && filepath.Base(folder) == "templates"
}

func isManifest(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}
