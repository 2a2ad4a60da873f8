package management

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"
)

// deadline bounds each wait. The slowest thing awaited takes about two seconds.
const deadline = time.Minute

var (
	clusters      = clusterv1.GroupVersion.WithResource("clusters")
	claims        = ipamv1.GroupVersion.WithResource("ipaddressclaims")
	addresses     = ipamv1.GroupVersion.WithResource("ipaddresses")
	demoClusters  = schema.GroupVersionResource{Group: "infrastructure.cluster.x-k8s.io", Version: "v1beta2", Resource: "democlusters"}
	controlPlanes = schema.GroupVersionResource{Group: "controlplane.cluster.x-k8s.io", Version: "v1beta2", Resource: "democontrolplanes"}
)

// scene is a running cluster and a client for the namespace default.
type scene struct {
	*Cluster
	t      *testing.T
	client dynamic.Interface
}

func start(t *testing.T, o Options) *scene {
	t.Helper()
	if testing.Short() {
		t.Skip("boots a management cluster")
	}
	t.Parallel()
	o.Progress = t.Output()
	cluster, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Stop)
	client, err := dynamic.NewForConfig(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	return &scene{Cluster: cluster, t: t, client: client}
}

func (s *scene) apply(file string) {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.Apply(s.t.Context(), content); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) in(resource schema.GroupVersionResource) dynamic.ResourceInterface {
	return s.client.Resource(resource).Namespace(metav1.NamespaceDefault)
}

// await polls until check is satisfied and fails the test at the deadline.
func (s *scene) await(what string, check func() (bool, error)) {
	s.t.Helper()
	if err := poll(s.t.Context(), deadline, check); err != nil {
		s.t.Fatalf("wait until %s: %v", what, err)
	}
}

// only waits until a resource has exactly one object of the Cluster and returns it.
func (s *scene) only(resource schema.GroupVersionResource, cluster string) *unstructured.Unstructured {
	s.t.Helper()
	var found *unstructured.Unstructured
	s.await("there is one of "+resource.Resource, func() (bool, error) {
		list, err := s.in(resource).List(s.t.Context(),
			metav1.ListOptions{LabelSelector: clusterv1.ClusterNameLabel + "=" + cluster})
		if err != nil || len(list.Items) != 1 {
			return false, err
		}
		found = &list.Items[0]
		return true, nil
	})
	return found
}

func (s *scene) gone(resource schema.GroupVersionResource, name string) {
	s.t.Helper()
	s.await(resource.Resource+" "+name+" is gone", func() (bool, error) {
		_, err := s.in(resource).Get(s.t.Context(), name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
}

func text(object *unstructured.Unstructured, fields ...string) string {
	value, _, _ := unstructured.NestedString(object.Object, fields...)
	return value
}
