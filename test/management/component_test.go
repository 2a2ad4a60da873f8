package management

import (
	"net"
	"strings"
	"testing"

	"k8s.io/client-go/discovery"

	"github.com/gorizond/capi-vip-allocator/test/loopback"
)

// squat takes a port that the component has chosen but not opened yet.
func squat(t *testing.T, port int) {
	t.Helper()
	listener, err := net.Listen("tcp", loopback.Address(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
}

// A component left out leaves no trace, can be added later, and gives way when
// another program got its port in between.
func TestAddComponent(t *testing.T) {
	s := start(t, Options{RuntimeSDK: true, Without: []string{CAPI, IPAM, ControllerManager}})
	if s.servesClusters() {
		t.Fatal("Clusters are served without Cluster API")
	}
	capi := s.components[CAPI]
	if err := capi.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	taken := capi.ports[webhookPort]
	squat(t, taken)
	if err := s.StartComponent(CAPI); err != nil {
		t.Fatal(err)
	}
	if capi.ports[webhookPort] == taken {
		t.Errorf("still at port %d", taken)
	}
	s.apply("class.yaml")
	s.apply("cluster-v1beta1.yaml")
	s.only(demoClusters, "old")
	s.apply("extension.yaml") // refused without RuntimeSDK
}

func (s *scene) servesClusters() bool {
	client := discovery.NewDiscoveryClientForConfigOrDie(s.Config())
	_, err := client.ServerResourcesForGroupVersion(clusters.GroupVersion().String())
	return err == nil
}

// The error of a component that ends early shows why.
func TestStartError(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the binaries")
	}
	binaries, err := Build(t.Context(), t.Output(), "")
	if err != nil {
		t.Fatal(err)
	}
	c, err := newCluster(Options{}, binaries, newProgress(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	etcd := c.components[Etcd]
	etcd.flags = func([]int) []string { return []string{Etcd, "--no-such-flag"} }
	err = etcd.bringUp(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no-such-flag") {
		t.Errorf("error is: %v", err)
	}
}

func TestWithout(t *testing.T) {
	for _, names := range [][]string{{CAPI}, {Etcd}, {"nothing"}} {
		if _, err := Start(t.Context(), Options{Without: names}); err == nil {
			t.Errorf("started without %q", names)
		}
	}
}
