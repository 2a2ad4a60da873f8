package kube_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"
	"sigs.k8s.io/yaml"

	_ "github.com/gorizond/capi-vip-allocator/pkg/generated/controllers/cluster.x-k8s.io/v1beta2"      // registers the types
	_ "github.com/gorizond/capi-vip-allocator/pkg/generated/controllers/ipam.cluster.x-k8s.io/v1beta2" // likewise
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// answering is an API server that answers each path with what stands there.
func answering(t *testing.T, answers map[string]string) *rest.Config {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer, found := answers[r.Method+" "+r.URL.Path]
		switch {
		case !found:
			w.WriteHeader(http.StatusNotFound)
			_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound})
		case answer == echo:
			_, _ = io.Copy(w, r.Body)
		default:
			_, _ = w.Write([]byte(answer))
		}
	}))
	t.Cleanup(server.Close)
	return &rest.Config{Host: server.URL}
}

const echo = "what was sent"

func kindsOf(version string, kinds ...string) string {
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: version}
	for _, kind := range kinds {
		list.APIResources = append(list.APIResources, metav1.APIResource{Kind: kind})
	}
	return string(must(json.Marshal(list)))
}

func TestDiscoverServedTakesTheBestVersionOfEachGroup(t *testing.T) {
	core, ipam := []string{"Cluster", "ClusterClass"}, []string{"IPAddressClaim", "IPAddress"}
	for name, test := range map[string]struct {
		answers map[string]string
		want    string
		missing string
	}{
		"both": {map[string]string{
			"GET /apis/cluster.x-k8s.io/v1beta1": kindsOf("cluster.x-k8s.io/v1beta1", core...), "GET /apis/cluster.x-k8s.io/v1beta2": kindsOf("cluster.x-k8s.io/v1beta2", core...),
			"GET /apis/ipam.cluster.x-k8s.io/v1beta2": kindsOf("ipam.cluster.x-k8s.io/v1beta2", ipam...),
		}, "cluster.x-k8s.io/v1beta2, ipam.cluster.x-k8s.io/v1beta2", ""},
		"one each": {map[string]string{
			"GET /apis/cluster.x-k8s.io/v1beta1": kindsOf("cluster.x-k8s.io/v1beta1", core...), "GET /apis/ipam.cluster.x-k8s.io/v1beta2": kindsOf("ipam.cluster.x-k8s.io/v1beta2", ipam...),
		}, "cluster.x-k8s.io/v1beta1, ipam.cluster.x-k8s.io/v1beta2", ""},
		"while an upgrade installs the kinds": {map[string]string{
			"GET /apis/cluster.x-k8s.io/v1beta1": kindsOf("cluster.x-k8s.io/v1beta1", core...), "GET /apis/cluster.x-k8s.io/v1beta2": kindsOf("cluster.x-k8s.io/v1beta2", "Cluster"),
		}, "", "cluster.x-k8s.io/v1beta2, Kind=ClusterClass is not served"},
		"neither": {nil, "", "Cluster.cluster.x-k8s.io is served neither at v1beta2 nor at v1beta1"},
	} {
		t.Run(name, func(t *testing.T) {
			got, missing := kube.DiscoverServed(discovery.NewDiscoveryClientForConfigOrDie(answering(t, test.answers)))
			if got.String() != test.want || missing != test.missing {
				t.Errorf("served %q, missing %q; want %q, %q", got, missing, test.want, test.missing)
			}
		})
	}
}

func TestServedVersionsConcernOurKindsOnly(t *testing.T) {
	old := kube.Served{"cluster.x-k8s.io": "v1beta1", "ipam.cluster.x-k8s.io": "v1beta1"}
	claims := ipamv1.GroupVersion.WithResource("ipaddressclaims")
	if got := old.Resource(claims); got.Version != "v1beta1" {
		t.Errorf("claims: %s", got)
	}
	if got := (kube.Served)(nil).Resource(claims); got != claims {
		t.Errorf("claims, before it is known: %s", got)
	}
	pools := schema.GroupVersionResource{Group: ipam, Version: "v1alpha2", Resource: "inclusterippools"}
	if got := old.Resource(pools); got != pools {
		t.Errorf("pools of the same group: %s", got)
	}
}

// What an API server of v1beta1 sends is read as v1beta2, in every form in which it
// comes, and keeps its apiVersion.
func TestClientsTranslate(t *testing.T) {
	old := string(must(yaml.YAMLToJSON([]byte(clusterV1Beta1))))
	const clusters = "/apis/cluster.x-k8s.io/v1beta1/clusters"
	config := answering(t, map[string]string{
		"GET " + clusters: `{"apiVersion":"cluster.x-k8s.io/v1beta1","kind":"ClusterList","metadata":{"resourceVersion":"7","continue":"more"},"items":[` + old + `]}`,
		"GET /apis/cluster.x-k8s.io/v1beta1/namespaces/team-a/clusters/c1":       old,
		"GET /apis/cluster.x-k8s.io/v1beta1/namespaces/team-b/clusters":          `{"type":"ADDED","object":` + old + "}\n",
		"POST /apis/ipam.cluster.x-k8s.io/v1beta1/namespaces/team-a/ipaddresses": echo,
	})
	clients := must(kube.NewClients(config))
	clients.Use(kube.Served{"cluster.x-k8s.io": "v1beta1", "ipam.cluster.x-k8s.io": "v1beta1"})
	client := must(clients.ForKind(clusterv1.GroupVersion.WithKind("Cluster")))
	check := func(form string, c *clusterv1.Cluster) {
		t.Helper()
		if c.APIVersion != "cluster.x-k8s.io/v1beta1" || c.Spec.Topology.ClassRef.Name != "rke2" || len(c.Status.Conditions) != 2 || c.Spec.Paused != nil {
			t.Errorf("%s: %+v", form, c)
		}
	}

	var one clusterv1.Cluster
	if err := client.Get(t.Context(), "team-a", "c1", &one, metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	check("get", &one)
	if err := client.Get(t.Context(), "team-a", "none", &one, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("what does not exist: %v", err)
	}

	var list clusterv1.ClusterList
	if err := client.List(t.Context(), "", &list, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 1 || list.ResourceVersion != "7" || list.Continue != "more" {
		t.Fatalf("list: %+v", list)
	}
	check("list", &list.Items[0])

	watch := must(client.Watch(t.Context(), "team-b", metav1.ListOptions{}))
	defer watch.Stop()
	select {
	case event := <-watch.ResultChan():
		cluster, typed := event.Object.(*clusterv1.Cluster)
		if !typed {
			t.Fatalf("watch: %T", event.Object)
		}
		check("watch", cluster)
	case <-time.After(10 * time.Second):
		t.Fatal("no event")
	}

	var sent ipamv1.IPAddress
	addresses := must(clients.ForKind(ipamv1.GroupVersion.WithKind("IPAddress")))
	err := addresses.Create(t.Context(), "team-a", &ipamv1.IPAddress{Spec: ipamv1.IPAddressSpec{Address: "10.0.0.1"}}, &sent, metav1.CreateOptions{})
	if err != nil || sent.APIVersion != "ipam.cluster.x-k8s.io/v1beta1" || sent.Spec.Address != "10.0.0.1" {
		t.Errorf("create: %v %+v", err, sent)
	}
}

// A v1beta1 object may state what the Go type leaves out; the patch tests for it.
func TestThePatchFitsAnExplicitNothing(t *testing.T) {
	const class = "class: rke2, classNamespace: classes"
	for _, spec := range []string{"topology: {" + class + "}", "topology: {" + class + "}, paused: false", "topology: {" + class + ", variables: []}"} {
		text := fmt.Sprintf("apiVersion: cluster.x-k8s.io/v1beta1\nkind: Cluster\n%s\nspec: {controlPlaneEndpoint: {host: '', port: 0}, %s}\n", clusterMeta, spec)
		s := bound(viewOfV1Beta1(t, text))
		if ops := vip.Plan(s).Patch; len(ops) == 0 {
			t.Errorf("%s: no patch", spec)
		} else {
			applyTo(t, text, ops)
		}
	}
}
