package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/gorizond/capi-vip-allocator/pkg/config"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

const (
	reserveExample = `  ip=$(kubectl vip reserve web --pool lan) || exit 1
  kubectl vip reserve web -n team --role ingress --pool team/lan --for 2h
  kubectl vip reserve web --class rke2`

	// reserveFor is how long an address is kept, reserveTimeout how long its binding takes at
	// most. A provider that is at work for others needs seconds.
	reserveFor     = 24 * time.Hour
	reserveTimeout = time.Minute
)

// wish is what somebody wants to be reserved.
type wish struct {
	namespace, name string
	role            vip.Role
	pool, class     string
	keep, timeout   time.Duration
}

// Reserve returns the command that reserves an address.
func Reserve() *cobra.Command {
	to, set, w, role := newTarget(), &settings{}, &wish{}, string(vip.ControlPlane)
	cmd := &cobra.Command{
		Use:   "reserve NAME (--pool [NAMESPACE/]POOL | --class [NAMESPACE/]CLASS)",
		Short: "Reserve a VIP for a Cluster that does not exist yet",
		Long: "Takes an address out of a pool of VIPs for the Cluster that will have that name, and prints it on standard\n" +
			"output, everything else on standard error: for manifests of Clusters without ClusterClass.\n" +
			"The same address is printed when it is called again. What it makes is an IPAddressClaim, kept until --for\n" +
			"is over. If no address is bound by --timeout it takes the claim back and fails, and says why.\n" +
			"This is the only command that writes.",
		Example: reserveExample,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var known bool
			if w.role, known = vip.ParseRole(role); !known {
				return fmt.Errorf("--role %q is neither %s nor %s", role, vip.ControlPlane, vip.Ingress)
			}
			w.name = args[0]
			out := plain{out: cmd.ErrOrStderr()}
			address, err := reserve(cmd.Context(), to, set, w, func(format string, values ...any) { fmt.Fprintf(out, format+"\n", values...) })
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), address)
			return err
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	to.bind(cmd)
	set.bind(flags)
	flags.StringVar(&role, "role", role, "role of the VIP: "+string(vip.ControlPlane)+" or "+string(vip.Ingress))
	flags.StringVar(&w.pool, "pool", "", "pool to take it from: the name of a global one, or NAMESPACE/NAME of one in the Cluster's namespace")
	flags.StringVar(&w.class, "class", "", "take it from the pool that a Cluster of this ClusterClass would be served from")
	flags.DurationVar(&w.keep, "for", reserveFor, "how long the address is kept for a Cluster that does not come")
	flags.DurationVar(&w.timeout, "timeout", reserveTimeout, "how long to wait until an address is bound")
	for _, name := range []string{"all-namespaces", "default-port", "enable-runtime-extension", "hold-gate", "watch-namespace"} {
		_ = flags.MarkHidden(name) // they mean nothing here; it fails only for a flag that does not exist
	}
	completeReserve(cmd, to, set)
	return cmd
}

func completeReserve(cmd *cobra.Command, to *target, set *settings) {
	names := func(list func(context.Context) []cobra.Completion) cobra.CompletionFunc {
		return func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return list(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
		}
	}
	// They fail only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions([]string{string(vip.ControlPlane), string(vip.Ingress)}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("pool", names(func(ctx context.Context) []cobra.Completion { return completePools(ctx, to, set) }))
	_ = cmd.RegisterFlagCompletionFunc("class", names(func(ctx context.Context) []cobra.Completion { return completeNames(ctx, to, classes) }))
}

// reserve connects and reserves.
func reserve(ctx context.Context, to *target, set *settings, w *wish, say func(string, ...any)) (string, error) {
	var err error
	if w.namespace, err = to.namespace(); err != nil {
		return "", err
	}
	if to.allNamespaces {
		return "", errors.New("a VIP is reserved in one namespace: name it by -n")
	}
	if err := w.check(); err != nil {
		return "", err
	}
	r, config, controller, err := set.connect(ctx, to)
	if err != nil {
		return "", err
	}
	if controller.State == controllerNotFound {
		say("Deployment %s was not found: without the allocator nobody takes the address back when its time is over", controller.Deployment)
	}
	return w.reserver(r, config, say).run(ctx)
}

func (w *wish) reserver(r *reading, c *config.Config, say func(string, ...any)) *reserver {
	return &reserver{wish: w, reading: r, config: c, reservations: kube.NewReservations(r.client, r.served, pluginName), say: say}
}

// check finds what nothing can be reserved for.
func (w *wish) check() error {
	if len(w.name) > validation.LabelValueMaxLength || len(validation.IsDNS1123Subdomain(w.name)) > 0 {
		return fmt.Errorf("%.80q cannot be the name of a Cluster: at most %d lower case letters, digits, \"-\" and \".\", with a letter or digit at both ends",
			w.name, validation.LabelValueMaxLength)
	}
	if (w.pool == "") == (w.class == "") {
		return errors.New("name either --pool or --class")
	}
	if w.keep <= 0 || w.timeout <= 0 {
		return fmt.Errorf("--for %s and --timeout %s must both be more than nothing", w.keep, w.timeout)
	}
	namespace, name, qualified := strings.Cut(w.pool, "/")
	switch {
	case qualified && (namespace == "" || name == "" || strings.Contains(name, "/")):
		return fmt.Errorf("--pool %.80q is neither NAME nor NAMESPACE/NAME", w.pool)
	case qualified && namespace != w.namespace:
		return fmt.Errorf("--pool %.80q: a pool in a namespace serves the Clusters of that namespace only, and this one is to be in %s", w.pool, w.namespace)
	}
	if namespace, name, qualified = strings.Cut(w.class, "/"); qualified && (namespace == "" || name == "" || strings.Contains(name, "/")) {
		return fmt.Errorf("--class %.80q is neither NAME nor NAMESPACE/NAME", w.class)
	}
	return nil
}

// classKey is the class that was named; its Name is empty if none was.
func (w *wish) classKey() vip.ClassKey {
	namespace, name, qualified := strings.Cut(w.class, "/")
	if !qualified {
		namespace, name = w.namespace, w.class
	}
	return vip.ClassKey{Namespace: namespace, Name: name}
}
