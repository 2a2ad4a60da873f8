package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	fakediscovery "k8s.io/client-go/discovery/fake"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite the golden files of testdata")

// scene is a management cluster of objects that nobody reconciles.
type scene struct {
	t       *testing.T
	objects map[string]*unstructured.Unstructured // by kind namespace/name
	// without are resources that are not served, forbidden those that may not be read:
	// "pools" anywhere, "pools outside team" in other namespaces than that.
	without, forbidden []string
	client             *dynamicfake.FakeDynamicClient
}

// newScene has the objects of testdata/base.yaml.
func newScene(t *testing.T) *scene {
	t.Helper()
	data, err := os.ReadFile("testdata/base.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{t: t, objects: map[string]*unstructured.Unstructured{}}
	s.add(string(data))
	return s
}

// add adds the objects of a YAML stream, or replaces those of the same name.
func (s *scene) add(stream string) {
	s.t.Helper()
	for document := range strings.SplitSeq(stream, "\n---\n") {
		data, err := yaml.YAMLToJSON([]byte(document))
		object := &unstructured.Unstructured{}
		if err == nil {
			err = object.UnmarshalJSON(data)
		}
		if err != nil {
			s.t.Fatalf("%v in %s", err, document)
		}
		s.objects[object.GetKind()+" "+object.GetNamespace()+"/"+object.GetName()] = object
	}
}

// object returns an object of the scene, to be edited.
func (s *scene) object(key string) *unstructured.Unstructured {
	s.t.Helper()
	if s.objects[key] == nil {
		s.t.Fatalf("there is no %s", key)
	}
	return s.objects[key]
}

// set sets a field of an object; nil removes it.
func (s *scene) set(key string, value any, path ...string) {
	s.t.Helper()
	object := s.object(key).Object
	if value == nil {
		unstructured.RemoveNestedField(object, path...)
		return
	}
	if err := unstructured.SetNestedField(object, value, path...); err != nil {
		s.t.Fatal(err)
	}
}

var listKinds = map[schema.GroupVersionResource]string{
	clusters.GroupVersionResource: "ClusterList", classes.GroupVersionResource: "ClusterClassList",
	claims.GroupVersionResource: "IPAddressClaimList", addresses.GroupVersionResource: "IPAddressList",
	leases.GroupVersionResource: "LeaseList", configMaps.GroupVersionResource: "ConfigMapList", deployments.GroupVersionResource: "DeploymentList",
	rancherClusters: "ClusterList", fleetClusters: "ClusterList",
	{Group: "ipam.cluster.x-k8s.io", Version: "v1alpha2", Resource: "globalinclusterippools"}: "GlobalInClusterIPPoolList",
	{Group: "ipam.cluster.x-k8s.io", Version: "v1alpha2", Resource: "inclusterippools"}:       "InClusterIPPoolList",
}

// reading reads the scene.
func (s *scene) reading() *reading {
	s.t.Helper()
	s.client = dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), listKinds)
	for _, object := range s.objects {
		resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
		if err := s.client.Tracker().Create(resource, object, object.GetNamespace()); err != nil {
			s.t.Fatal(err)
		}
	}
	s.client.PrependReactor("*", "*", s.refuse)
	discovering := &fakediscovery.FakeDiscovery{Fake: &clienttesting.Fake{}}
	resources := []metav1.APIResource{{Name: "globalinclusterippools", Kind: "GlobalInClusterIPPool"}, {Name: "inclusterippools", Kind: "InClusterIPPool", Namespaced: true}}
	resources = slices.DeleteFunc(resources, func(r metav1.APIResource) bool { return slices.Contains(s.without, r.Name) })
	discovering.Resources = []*metav1.APIResourceList{{GroupVersion: "ipam.cluster.x-k8s.io/v1alpha2", APIResources: resources}}
	return &reading{client: s.client, discovery: discovering}
}

func (s *scene) refuse(action clienttesting.Action) (bool, runtime.Object, error) {
	resource := action.GetResource().GroupResource()
	if slices.Contains(s.without, resource.Resource) {
		return true, nil, apierrors.NewNotFound(resource, "")
	}
	if resource == accessReviews.GroupResource() && !slices.Contains(s.forbidden, resource.Resource) {
		review := action.(clienttesting.CreateAction).GetObject().DeepCopyObject().(*unstructured.Unstructured)
		asked, _, _ := unstructured.NestedStringMap(review.Object, "spec", "resourceAttributes")
		allowed := !slices.Contains(s.forbidden, "allocator "+asked["verb"]+" "+asked["resource"])
		return true, review, unstructured.SetNestedField(review.Object, allowed, "status", "allowed")
	}
	anywhere := slices.Contains(s.forbidden, resource.Resource)
	outside := slices.Contains(s.forbidden, resource.Resource+" outside team") && action.GetNamespace() != "team"
	listOnly := slices.Contains(s.forbidden, resource.Resource+" list") && action.GetVerb() == "list"
	if anywhere || outside || listOnly {
		return true, nil, apierrors.NewForbidden(resource, "", nil)
	}
	return false, nil, nil
}

// readOnly fails the test if anything but get and list was asked for.
func (s *scene) readOnly() {
	s.t.Helper()
	if len(s.client.Actions()) == 0 {
		s.t.Error("nothing was read")
	}
	for _, action := range s.client.Actions() {
		// What a review asks for is kept nowhere.
		review := action.GetVerb() == "create" && action.GetResource() == accessReviews
		if verb := action.GetVerb(); verb != "get" && verb != "list" && !review {
			s.t.Errorf("%s %s", verb, action.GetResource().Resource)
		}
	}
}

// explain explains Cluster team/web.
func (s *scene) explain(flags ...string) *Explanation {
	s.t.Helper()
	r, set := s.reading(), s.settings(flags...)
	cluster, err := r.findCluster(s.t.Context(), "team", "web", false)
	if err != nil {
		s.t.Fatal(err)
	}
	config, controller, err := set.find(s.t.Context(), r)
	if err != nil {
		s.t.Fatal(err)
	}
	explanation, err := r.explain(s.t.Context(), cluster, config, controller)
	if err != nil {
		s.t.Fatal(err)
	}
	s.readOnly()
	return explanation
}

// pools lists pools.
func (s *scene) pools(w wanted) *PoolList {
	s.t.Helper()
	r, set := s.reading(), s.settings()
	config, _, err := set.find(s.t.Context(), r)
	if err != nil {
		s.t.Fatal(err)
	}
	list, err := r.poolList(s.t.Context(), w, "team", config)
	if err != nil {
		s.t.Fatal(err)
	}
	s.readOnly()
	return list
}

// clusters lists Clusters.
func (s *scene) clusters(namespace string) *ClusterList {
	s.t.Helper()
	r, set := s.reading(), s.settings()
	config, controller, err := set.find(s.t.Context(), r)
	if err != nil {
		s.t.Fatal(err)
	}
	list, err := r.clusterList(s.t.Context(), namespace, "team", config, controller)
	if err != nil {
		s.t.Fatal(err)
	}
	s.readOnly()
	return list
}

// doctor looks for everything that is wrong.
func (s *scene) doctor(flags ...string) *Diagnosis {
	s.t.Helper()
	r, set := s.reading(), s.settings(flags...)
	config, controller, err := set.find(s.t.Context(), r)
	if err != nil {
		s.t.Fatal(err)
	}
	diagnosis, err := r.diagnose(s.t.Context(), "team", config, controller)
	if err != nil {
		s.t.Fatal(err)
	}
	s.readOnly()
	return diagnosis
}

// settings are those of a command line.
func (s *scene) settings(flags ...string) *settings {
	s.t.Helper()
	set, cmd := &settings{}, Version()
	set.bind(cmd.Flags())
	if err := cmd.ParseFlags(flags); err != nil {
		s.t.Fatal(err)
	}
	return set
}

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("it differs from %s (go test ./pkg/cli -update rewrites it).\n--- got\n%s--- want\n%s", path, got, want)
	}
}
