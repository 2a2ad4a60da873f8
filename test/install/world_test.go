package install

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/chart"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

var (
	clusters   = schema.GroupVersionResource{Group: "cluster.x-k8s.io", Version: "v1beta2", Resource: "clusters"}
	namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
)

const demoCluster = `
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: %s, namespace: default}
spec:
  topology: {classRef: {name: demo}, version: v1.36.3, controlPlane: {replicas: 1}}
`

// resting is what keeps an address back for a while after its claim.
var resting = regexp.MustCompile(`addressReuseGracePeriodSeconds: \d+`)

// useExamples applies the example pools, whose addresses shall not rest, and class.
func (e *environment) useExamples(t *testing.T) {
	t.Helper()
	for _, name := range []string{"pools.yaml", "clusterclass.yaml"} {
		content, err := os.ReadFile(filepath.Join(root, "examples", name))
		if err != nil {
			t.Fatal(err)
		}
		e.Apply(t, resting.ReplaceAllString(string(content), ""))
	}
}

// deployed is the Deployment as the API server has it.
func (e *environment) deployed(t *testing.T) *appsv1.Deployment {
	t.Helper()
	deployment, err := e.typed.AppsV1().Deployments(allocator.Namespace).Get(t.Context(), chart.ManagerName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return deployment
}

// run runs the allocator as the Deployment would: its arguments, its rights.
func (e *environment) run(t *testing.T) *allocator.Process {
	t.Helper()
	user, err := e.Management.User("system:serviceaccount:"+allocator.Namespace+":"+chart.ManagerName,
		"system:serviceaccounts", "system:serviceaccounts:"+allocator.Namespace, "system:authenticated")
	if err != nil {
		t.Fatal(err)
	}
	var args []string
	for _, arg := range e.deployed(t).Spec.Template.Spec.Containers[0].Args {
		// Where it listens is chosen when it starts.
		if !strings.Contains(arg, "-bind-address") {
			args = append(args, arg)
		}
	}
	p, err := allocator.Start(t.Context(), allocator.Options{Kubeconfig: user, Args: args})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// getsVIP waits until the Cluster has a VIP and returns it.
func (e *environment) getsVIP(t *testing.T, name string) (host string) {
	t.Helper()
	scene.Until(t, patience, name+" has its VIP", func() error {
		host = e.host(t.Context(), name)
		if host == "" {
			return errors.New("it has none")
		}
		return nil
	})
	return host
}

func (e *environment) host(ctx context.Context, name string) string {
	cluster, err := e.Client.Resource(clusters).Namespace("default").Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	host, _, _ := unstructured.NestedString(cluster.Object, "spec", "controlPlaneEndpoint", "host")
	return host
}

// remove deletes an object and waits until it is gone.
func (e *environment) remove(t *testing.T, resource schema.GroupVersionResource, namespace, name string) {
	t.Helper()
	client := e.Client.Resource(resource).Namespace(namespace)
	if err := client.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	scene.Gone(t, patience, client, name)
}
