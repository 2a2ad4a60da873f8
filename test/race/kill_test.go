package race

import (
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/fault"
)

// The allocator is killed when it is about to publish, its claims being bound, and
// when it has just published: before Cluster API asks the hook again, or goes on
// with the Cluster that was let go.
func TestAllocatorIsKilledAtItsPatch(t *testing.T) {
	for name, arm := range map[string]func(kill func()) fault.Rule{
		"before": func(kill func()) fault.Rule {
			return fault.Rule{Before: func(fault.Request) { kill() }, Refuse: &fault.Refusal{Code: 500}}
		},
		"after": func(kill func()) fault.Rule {
			return fault.Rule{After: func(fault.Request, int) { kill() }, DropReply: true}
		},
	} {
		t.Run(name, func(t *testing.T) {
			under(t, some("hold", "hook"), func(w *world, _ gate) {
				proxy, p := w.behindProxy()
				rule := arm(p.Kill)
				rule.Match, rule.Nth = fault.In(w.namespace, fault.Of("patch", "clusters")), 1
				armed := proxy.Add(rule)
				w.create(1)
				<-armed.Hit()
				<-p.Done()
				w.start()
				w.built(1)
			})
		})
	}
}

// behindProxy starts an allocator that reaches the API server through a proxy of its own.
func (w *world) behindProxy() (*fault.Proxy, *allocator.Process) {
	w.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", w.Kubeconfig)
	if err != nil {
		w.t.Fatal(err)
	}
	proxy, err := fault.Start(config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(proxy.Close)
	kubeconfig, err := proxy.WriteKubeconfig(w.t.TempDir())
	if err != nil {
		w.t.Fatal(err)
	}
	return proxy, w.start("--kubeconfig=" + kubeconfig)
}
