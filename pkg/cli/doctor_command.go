package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/gorizond/capi-vip-allocator/pkg/lint"
)

// Doctor returns the command that looks for everything that is wrong.
func Doctor() *cobra.Command {
	to, set, as := newTarget(), &settings{}, new(format)
	var hints bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for everything that is wrong on a management cluster, and say what mends it",
		Long: "Looks at the installation, plans for every Cluster as the controller does, and runs the checks of lint over\n" +
			"what is there. What is wrong comes first, with what mends it. Changes nothing; what may not be seen is named.\n\n" +
			"Exit status: 0 without errors, 1 with errors.",
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			diagnosis, err := diagnose(cmd.Context(), to, set)
			if err != nil {
				return err
			}
			if err := printAs(cmd.OutOrStdout(), string(*as), diagnosis, func(s *screen) { s.diagnosis(diagnosis, hints) }); err != nil {
				return err
			}
			if diagnosis.count(lint.Error) > 0 {
				return found
			}
			return nil
		},
	}
	to.bind(cmd)
	set.bind(cmd.Flags())
	as.bind(cmd)
	cmd.Flags().BoolVar(&hints, "hints", false, "print hints, too")
	return cmd
}

func diagnose(ctx context.Context, to *target, set *settings) (*Diagnosis, error) {
	namespace, err := to.namespace()
	if err != nil {
		return nil, err
	}
	r, config, controller, err := set.connect(ctx, to)
	if err != nil {
		return nil, err
	}
	return r.diagnose(ctx, namespace, config, controller)
}

func (d *Diagnosis) count(severity lint.Severity) int {
	n := 0
	for i := range d.Problems {
		if d.Problems[i].Severity == severity {
			n++
		}
	}
	return n
}

// diagnosis prints what is wrong, then what was looked at.
func (s *screen) diagnosis(d *Diagnosis, hints bool) {
	paint := map[lint.Severity]func(string) string{lint.Error: s.bad, lint.Warning: s.warn, lint.Info: s.faint}
	shown := slices.DeleteFunc(slices.Clone(d.Problems), func(p Problem) bool { return p.Severity == lint.Info && !hints })
	for i := range shown {
		p := &shown[i]
		words := p.Message
		if p.Check != "" {
			words = p.Check + ": " + words
		}
		if p.Object != "" {
			words = s.bold(p.Object) + " " + words
		}
		s.print("%s  %s\n", paint[p.Severity](fmt.Sprintf("%-7s", p.Severity)), s.wrap(words, 9))
		if p.Next != "" {
			s.print("         next  %s\n", s.wrap(p.Next, 15))
		}
	}
	if len(shown) > 0 {
		s.print("\n")
	}
	t := s.table()
	for _, program := range d.Installed {
		version := program.Version
		if version == "" {
			version = s.faint("version unknown")
		}
		t.AppendRow([]any{program.Name, version, program.State})
	}
	s.show(t, "")
	s.print("Clusters: %d, ClusterClasses: %d, pools: %d; errors: %d, warnings: %d, hints: %d\n",
		d.Clusters, d.Classes, d.Pools, d.count(lint.Error), d.count(lint.Warning), d.count(lint.Info))
	s.list(d.NotVisible)
}
