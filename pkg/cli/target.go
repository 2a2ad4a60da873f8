package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/version"
)

// target says which management cluster to look at, by the rules of kubectl: KUBECONFIG,
// its contexts, or, in a Pod, the cluster that it runs in.
type target struct {
	rules         *clientcmd.ClientConfigLoadingRules
	overrides     clientcmd.ConfigOverrides
	allNamespaces bool
}

func newTarget() *target { return &target{rules: clientcmd.NewDefaultClientConfigLoadingRules()} }

// bind adds those of kubectl's flags that matter most; the full list would hide them.
// They are client-go's: genericclioptions would link kustomize into the controller.
func (t *target) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	all := clientcmd.RecommendedConfigOverrideFlags("")
	all.Timeout.Default, all.Timeout.Description = "30s", "how long to wait for one answer of the API server; 0 means for ever"
	clientcmd.BindOverrideFlags(&t.overrides, flags, clientcmd.ConfigOverrideFlags{
		CurrentContext:       all.CurrentContext,
		Timeout:              all.Timeout,
		ContextOverrideFlags: clientcmd.ContextOverrideFlags{Namespace: all.ContextOverrideFlags.Namespace},
		AuthOverrideFlags: clientcmd.AuthOverrideFlags{
			Impersonate: all.AuthOverrideFlags.Impersonate, ImpersonateGroups: all.AuthOverrideFlags.ImpersonateGroups,
		},
	})
	flags.StringVar(&t.rules.ExplicitPath, clientcmd.RecommendedConfigPathFlag, "", "path of the kubeconfig; empty means KUBECONFIG or the usual places")
	flags.BoolVarP(&t.allNamespaces, "all-namespaces", "A", false, "look in all namespaces")
	// It fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc("namespace", func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return completeNamespaces(cmd.Context(), t), cobra.ShellCompDirectiveNoFileComp
	})
}

func (t *target) config() clientcmd.ClientConfig {
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(t.rules, &t.overrides)
}

// namespace is that of -n, or else that of the context.
func (t *target) namespace() (string, error) {
	name, _, err := t.config().Namespace()
	if err != nil {
		return "", fmt.Errorf("kubeconfig: %w", err)
	}
	return name, nil
}

// names tells whether -n was given.
func (t *target) names() bool { return t.overrides.Context.Namespace != "" && !t.allNamespaces }

// place names the management cluster as the kubeconfig does.
func (t *target) place() string {
	raw, err := t.config().RawConfig()
	if err != nil {
		return ""
	}
	return cmp.Or(t.overrides.CurrentContext, raw.CurrentContext)
}

// rest is how clients connect.
func (t *target) rest() (*rest.Config, error) {
	config, err := t.config().ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	config.UserAgent = "kubectl-vip/" + version.Version
	config.WarningHandler = rest.NoWarnings{}
	config.QPS, config.Burst = 50, 100
	return config, nil
}

// connect makes the clients, of which only get and list are used.
func (t *target) connect() (*reading, error) {
	config, err := t.rest()
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	discovering, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	// What is missing is told of where it is read.
	served, missing := kube.DiscoverServed(discovering)
	return &reading{client: client, discovery: discovering, served: served, missing: missing}, nil
}

// completeNamespaces lists namespaces for the shell, which has no use for errors: all of them
// or, to those who may not see them, the ones that have a Cluster which is visible.
func completeNamespaces(ctx context.Context, to *target) []cobra.Completion {
	ctx, cancel := context.WithTimeout(ctx, completionPatience)
	defer cancel()
	r, err := to.connect()
	if err != nil {
		return nil
	}
	var names []cobra.Completion
	if list, err := r.client.Resource(corev1.SchemeGroupVersion.WithResource("namespaces")).List(ctx, metav1.ListOptions{}); err == nil {
		for i := range list.Items {
			names = append(names, list.Items[i].GetName())
		}
		return names
	}
	list, err := r.list(ctx, clusters, "")
	if err != nil {
		return nil
	}
	for i := range list {
		names = append(names, list[i].GetNamespace())
	}
	slices.Sort(names)
	return slices.Compact(names)
}
