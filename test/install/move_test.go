package install

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/cluster-api/cmd/clusterctl/client"

	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/observe"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// movePools are of both scopes: clusterctl treats them differently.
const movePools = `
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: InClusterIPPool
metadata:
  name: of-the-namespace
  namespace: default
  labels: {vip.capi.gorizond.io/cluster-class: demo, vip.capi.gorizond.io/role: control-plane}
spec: {addresses: [10.60.0.10-10.60.0.19], prefix: 24, gateway: 10.60.0.1}
---
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: GlobalInClusterIPPool
metadata:
  name: of-all
  labels: {vip.capi.gorizond.io/cluster-class: demo, vip.capi.gorizond.io/role: ingress}
spec: {addresses: [10.60.1.10-10.60.1.19], prefix: 24, gateway: 10.60.1.1}
`

// The real clusterctl moves Clusters, their class and their pools to another management
// cluster, where an allocator runs as well. Nobody's VIP changes, and no allocator
// writes anything as long as clusterctl has the Clusters paused.
func TestMove(t *testing.T) {
	config := repository(t)
	source, target := sides(t, config)
	for _, side := range []*environment{source, target} {
		side.run(t)
	}
	class, err := os.ReadFile(filepath.Join(root, "examples", "clusterclass.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	source.Apply(t, movePools+"---\n"+string(class))
	moved := []string{"moved-a", "moved-b"}
	for _, name := range moved {
		source.Apply(t, fmt.Sprintf(demoCluster, name))
		source.getsVIP(t, name)
	}
	source.provisioned(t, moved)
	before := source.vips(t)

	move(t, config, source, target)

	if after := target.vips(t); !maps.Equal(after, before) {
		t.Errorf("VIPs after the move:\n%s\nbefore:\n%s", lines(after), lines(before))
	}
	target.provisioned(t, moved)
	target.reported(t, moved)
	target.owned(t)
	if after := target.vips(t); !maps.Equal(after, before) {
		t.Errorf("VIPs after the allocator saw the move:\n%s\nbefore:\n%s", lines(after), lines(before))
	}
	beginning, end := source.paused(t).begin, target.paused(t).end
	source.keptStill(t, beginning, time.Now())
	target.keptStill(t, time.Time{}, end)

	target.goesOn(t, before)
	source.cleanedUp(t, moved)
}

// sides boots two management clusters on which clusterctl has installed the allocator,
// and an infrastructure provider that says of everything that it is ready.
func sides(t *testing.T, config string) (source, target *environment) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs management clusters")
	}
	source, target = &environment{}, &environment{}
	var group errgroup.Group
	for _, side := range []*environment{source, target} {
		group.Go(func() (err error) {
			if side.Scene, err = scene.Start(t.Context(), "move", management.Options{}); err == nil {
				t.Cleanup(side.Stop)
				side.typed, err = kubernetes.NewForConfig(side.Management.Config())
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, side := range []*environment{source, target} {
		if err := startInfrastructure(t.Context(), side.Client); err != nil {
			t.Fatal(err)
		}
		side.markKinds(t)
		side.prepareClusterctl(t, config)
		c, err := client.New(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Init(t.Context(), client.InitOptions{
			Kubeconfig: client.Kubeconfig{Path: side.Management.Kubeconfig()}, AddonProviders: []string{"capi-vip-allocator:" + appVersion(t)},
		}); err != nil {
			t.Fatal(err)
		}
	}
	return source, target
}

// markKinds puts the labels on the kinds that clusterctl puts there when it installs
// their providers, and that the IPAM provider's own manifests have on pools.
func (e *environment) markKinds(t *testing.T) {
	t.Helper()
	kinds := e.Client.Resource(customResources)
	list, err := kinds.List(t.Context(), metav1.ListOptions{LabelSelector: "cluster.x-k8s.io/v1beta2"})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range list.Items {
		labels := `"clusterctl.cluster.x-k8s.io":""`
		if strings.Contains(kind.GetName(), "pools.ipam.") {
			labels += `,"clusterctl.cluster.x-k8s.io/move-hierarchy":""`
		}
		patch := []byte(`{"metadata":{"labels":{` + labels + `}}}`)
		if _, err := kinds.Patch(t.Context(), kind.GetName(), types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

func move(t *testing.T, config string, source, target *environment) {
	t.Helper()
	c, err := client.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Move(t.Context(), client.MoveOptions{
		FromKubeconfig: client.Kubeconfig{Path: source.Management.Kubeconfig()},
		ToKubeconfig:   client.Kubeconfig{Path: target.Management.Kubeconfig()},
		Namespace:      metav1.NamespaceDefault,
	}); err != nil {
		t.Fatal(err)
	}
}

// provisioned waits until Cluster API says of the Clusters what clusterctl asks for, and
// has removed the Secrets that it holds what it makes of a new Cluster together by:
// clusterctl gives up when something goes away that it has seen.
func (e *environment) provisioned(t *testing.T, names []string) {
	t.Helper()
	for _, name := range names {
		e.hasConditions(t, name, "InfrastructureReady", "ControlPlaneInitialized")
		scene.Until(t, patience, "the topology of "+name+" has settled", func() error {
			_, err := e.typed.CoreV1().Secrets(metav1.NamespaceDefault).Get(t.Context(), name+"-shim", metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			return fmt.Errorf("there is its Secret: %w", err)
		})
	}
}

// reported waits until the allocator says that the Clusters have their VIPs.
func (e *environment) reported(t *testing.T, names []string) {
	t.Helper()
	for _, name := range names {
		e.hasConditions(t, name, observe.ControlPlaneReady, observe.IngressReady)
	}
}

func (e *environment) hasConditions(t *testing.T, name string, wanted ...string) {
	t.Helper()
	scene.Until(t, patience, fmt.Sprint(name, " has conditions ", wanted), func() error {
		cluster, err := e.Client.Resource(clusters).Namespace(metav1.NamespaceDefault).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		var status struct{ Conditions []metav1.Condition }
		if err := into(cluster, "status", &status); err != nil {
			return err
		}
		for _, kind := range wanted {
			if !meta.IsStatusConditionTrue(status.Conditions, kind) {
				return fmt.Errorf("%s is not true: %v", kind, status.Conditions)
			}
		}
		return nil
	})
}

// vips is all that tells which VIP belongs to whom, by where it stands.
func (e *environment) vips(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, cluster := range e.list(t, clusters) {
		name := "Cluster " + cluster.GetName() + " "
		spec, _, _ := unstructured.NestedMap(cluster.Object, "spec")
		topology, _, _ := unstructured.NestedMap(spec, "topology")
		all[name+"endpoint"] = fmt.Sprint(spec["controlPlaneEndpoint"])
		all[name+"variables"] = fmt.Sprint(topology["variables"])
		for kind, values := range map[string]map[string]string{"label ": cluster.GetLabels(), "annotation ": cluster.GetAnnotations()} {
			for key, value := range values {
				if strings.HasPrefix(key, "vip.capi.gorizond.io/") {
					all[name+kind+key] = value
				}
			}
		}
	}
	for _, claim := range e.list(t, observe.Claims) {
		all["claim "+claim.GetName()] = fmt.Sprint(claim.Object["spec"])
	}
	for _, address := range e.list(t, observe.Addresses) {
		all["address "+address.GetName()] = fmt.Sprint(address.Object["spec"])
	}
	return all
}

func lines(values map[string]string) string {
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(values)) {
		text.WriteString("  " + key + " = " + values[key] + "\n")
	}
	return text.String()
}

// owned checks that the claims belong to the Clusters of this management cluster:
// deleting one of those frees its addresses.
func (e *environment) owned(t *testing.T) {
	t.Helper()
	uids := map[string]types.UID{}
	for _, cluster := range e.list(t, clusters) {
		uids[cluster.GetName()] = cluster.GetUID()
	}
	for _, claim := range e.list(t, observe.Claims) {
		owners := claim.GetOwnerReferences()
		if len(owners) != 1 || uids[owners[0].Name] != owners[0].UID {
			t.Errorf("claim %s belongs to %v", claim.GetName(), owners)
		}
	}
}
