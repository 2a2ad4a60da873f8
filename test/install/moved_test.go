package install

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	"github.com/gorizond/capi-vip-allocator/test/observe"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

var customResources = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// ready is what a provider says of its object when that is up, by contract.
var ready = map[schema.GroupVersionResource]string{
	observe.DemoClusters: `{"status":{"initialization":{"provisioned":true}}}`,
	{Group: "controlplane.cluster.x-k8s.io", Version: "v1beta2", Resource: "democontrolplanes"}: `{"status":{"initialization":{"controlPlaneInitialized":true}}}`,
}

// startInfrastructure says of every infrastructure cluster and control plane that it is
// up as soon as it exists.
func startInfrastructure(ctx context.Context, client dynamic.Interface) error {
	factory := dynamicinformer.NewDynamicSharedInformerFactory(client, 0)
	for resource, status := range ready {
		_, err := factory.ForResource(resource).Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(object any) {
			name, err := cache.ObjectToName(object)
			if err == nil {
				_, err = client.Resource(resource).Namespace(name.Namespace).
					Patch(ctx, name.Name, types.MergePatchType, []byte(status), metav1.PatchOptions{}, "status")
			}
			if err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, "infrastructure:", err)
			}
		}})
		if err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return nil
}

// list returns the objects of the namespace that is moved.
func (e *environment) list(t *testing.T, resource schema.GroupVersionResource) []unstructured.Unstructured {
	t.Helper()
	list, err := e.Client.Resource(resource).Namespace(metav1.NamespaceDefault).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// into decodes a field of an object.
func into(o *unstructured.Unstructured, field string, value any) error {
	text, err := json.Marshal(o.Object[field])
	if err != nil {
		return err
	}
	return json.Unmarshal(text, value)
}

// goesOn checks that the pools that were moved give what is free, take back what is
// freed, and give it again.
func (e *environment) goesOn(t *testing.T, before map[string]string) {
	t.Helper()
	e.Apply(t, fmt.Sprintf(demoCluster, "after-the-move"))
	fresh := e.getsVIP(t, "after-the-move")
	for _, name := range []string{"moved-a", "moved-b"} {
		if old := e.host(t.Context(), name); old == fresh {
			t.Errorf("%s and after-the-move have %s; before there were\n%s", name, fresh, lines(before))
		}
	}
	freed := e.host(t.Context(), "moved-a")
	e.remove(t, clusters, metav1.NamespaceDefault, "moved-a")
	for _, name := range []string{"vip-cp-moved-a", "vip-ingress-moved-a"} {
		scene.Gone(t, patience, e.Client.Resource(observe.Addresses).Namespace(metav1.NamespaceDefault), name)
	}
	e.Apply(t, fmt.Sprintf(demoCluster, "again"))
	if again := e.getsVIP(t, "again"); again != freed {
		t.Errorf("%s was free and the lowest, and again has %s", freed, again)
	}
}

// cleanedUp checks what clusterctl leaves in the source, the addresses of cluster-scoped
// pools, and that the documented command removes exactly that.
func (e *environment) cleanedUp(t *testing.T, moved []string) {
	t.Helper()
	if left := e.list(t, clusters); len(left) > 0 {
		t.Errorf("%d Clusters are left", len(left))
	}
	if left := e.list(t, observe.Addresses); len(left) != len(moved) {
		t.Errorf("%d addresses are left, not the %d of the cluster-scoped pool", len(left), len(moved))
	}
	// This one is in use.
	e.Apply(t, staying)
	scene.Until(t, patience, "claim stays has its address", func() error {
		_, err := e.Client.Resource(observe.Addresses).Namespace(metav1.NamespaceDefault).Get(t.Context(), "stays", metav1.GetOptions{})
		return err
	})
	e.poolHas(t, len(moved)+1)
	kubectl, err := e.Management.Kubectl()
	if err != nil {
		t.Fatal(err)
	}
	bash := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", block(t, "docs/operations.md", "### In the source", "sh"))
	bash.Env = append(os.Environ(), "PATH="+kubectl+string(os.PathListSeparator)+os.Getenv("PATH"), "KUBECONFIG="+e.Management.Kubeconfig())
	out, err := bash.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	for _, left := range e.list(t, observe.Addresses) {
		if left.GetName() != "stays" {
			t.Errorf("address %s is left", left.GetName())
		}
	}
	e.poolHas(t, 1)
}

// staying is a claim of somebody else.
const staying = `
apiVersion: ipam.cluster.x-k8s.io/v1beta2
kind: IPAddressClaim
metadata: {name: stays, namespace: default}
spec: {poolRef: {apiGroup: ipam.cluster.x-k8s.io, kind: GlobalInClusterIPPool, name: of-all}}
`

// poolHas waits until the cluster-scoped pool counts so many addresses in use.
func (e *environment) poolHas(t *testing.T, used int) {
	t.Helper()
	scene.Until(t, patience, fmt.Sprintf("the pool counts %d addresses", used), func() error {
		pool, err := e.Client.Resource(observe.GlobalPools).Get(t.Context(), "of-all", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if got, _, _ := unstructured.NestedInt64(pool.Object, "status", "ipAddresses", "used"); got != int64(used) {
			return fmt.Errorf("it says %v", pool.Object["status"])
		}
		return nil
	})
}
