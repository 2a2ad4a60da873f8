package suite

import (
	"strings"
	"testing"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
)

// A flag that makes no sense ends the process at once, and the message names it.
func TestProcessBadFlags(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct{ flag, value string }{
		{"default-port", "0"}, {"default-port", "65536"}, {"namespace", "Not_A_Name"}, {"watch-filter", "a b"},
		{"pool-kinds", "ippools"}, {"max-concurrent-reconciles", "0"},
		{"leader-elect-lease-duration", "5s"}, {"leader-elect-renew-deadline", "1s"}, {"leader-elect-retry-period", "-1s"}, {"no-such-flag", "x"},
	} {
		w.rejects(test.flag, test.value)
	}
}

func TestProcessBadLogFlags(t *testing.T) {
	w := newWorld(t)
	w.rejects("log-level", "loud")
	w.rejects("log-format", "xml")
}

func (w *world) rejects(flag, value string) {
	w.t.Helper()
	p, err := allocator.Start(w.t.Context(), allocator.Options{Kubeconfig: w.kubeconfig, Args: []string{"--" + flag + "=" + value}})
	if err == nil {
		p.Kill()
		w.t.Errorf("--%s=%s is accepted", flag, value)
		return
	}
	if !strings.Contains(err.Error(), "exit status 1") || !strings.Contains(err.Error(), "--"+flag) {
		w.t.Errorf("--%s=%s: %v", flag, value, err)
	}
}

// Flags of version 0.7.1, and those that the Cluster API operator adds, are taken.
func TestProcessToleratedFlags(t *testing.T) {
	w := newWorld(t)
	p := w.startAllocator("--leader-elect=false", "--zap-devel=true", "--zap-encoder=json", "--zap-log-level=info", "--zap-stacktrace-level=error",
		"--diagnostics-address=127.0.0.1:0", "--insecure-diagnostics=true", "--webhook-host=", "--webhook-port=9443", "--webhook-cert-dir=/tmp/certs",
		"--profiler-address=:6060", "--sync-period=10m", "--v=2", "--feature-gates=A=true,B=false", "--leader-elect-lease-duration=30s",
		"--max-concurrent-reconciles=3", "--cluster-concurrency=10", "--ipaddressclaim-concurrency", "4")
	w.barrier()
	if code, err := p.Stop(); code != 0 || err != nil {
		t.Errorf("it ended with code %d: %v", code, err)
	}
}

// The endpoint's port is that of the flag where nobody else names one.
func TestProcessDefaultPort(t *testing.T) {
	w := newWorld(t)
	w.startAllocator("--default-port=7443")
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k))
	w.cluster(k).becomes(endpoint(p.address(0), 7443))
	w.cluster(k, at("", 8443)).becomes(endpoint(p.address(1), 8443))
}

// --namespace limits what is written, not what is seen: an address that is used
// elsewhere stays taken.
func TestProcessNamespace(t *testing.T) {
	w := newWorld(t)
	w.startAllocator("--namespace=" + w.namespace)
	elsewhere := w.newNamespace()
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k), size(1))
	holder := w.cluster(k, inNamespace(elsewhere), at(p.address(0), 6443))
	ignored := w.cluster(k, inNamespace(elsewhere))
	c := w.cluster(k)
	c.becomes(reason(controlPlane, "AddressInUse", elsewhere+"/"+holder.name))
	w.barrier()
	for _, o := range []*cluster{holder, ignored} {
		o.is(noCondition(controlPlane), unstamped(controlPlane))
		if claims := o.claims(); len(claims) > 0 {
			t.Errorf("there are claims: %q", claims)
		}
	}
	holder.remove()
	c.becomes(has(controlPlane, p.address(0)))
}

// Without the reconciler the process is ready, and does nothing.
func TestProcessWithoutReconciler(t *testing.T) {
	w := newWorld(t)
	idle := w.startAllocator("--enable-reconciler=false")
	k := w.class(declares("clusterVip", text))
	w.pool(serving(controlPlane, k))
	since := w.mark()
	c := w.cluster(k)
	w.filter = sharedFilter
	c.untouched(since)
	if err := idle.Healthy(t.Context()); err != nil {
		t.Error(err)
	}
}
