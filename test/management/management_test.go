package management

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"
)

func TestCluster(t *testing.T) {
	s := start(t, Options{})
	s.apply("class.yaml")
	for _, step := range []struct {
		name string
		run  func(*scene)
	}{
		{"topology controller creates what the class says", seeTopology},
		{"version v1beta1 is converted", seeConversion},
		{"a claim gets an address, and loses it with its owner", seeAddress},
		{"an error names the object", seeError},
		{"a user has no rights but those given", seeUser},
		{"the audit log tells who did what", seeAudit},
		{"components come back", seeRestarts},
		{"nothing is left", seeEnd},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(&scene{s.Cluster, t, s.client}) }) {
			t.FailNow()
		}
	}
}

func seeTopology(s *scene) {
	s.apply("cluster.yaml")
	if host := text(s.only(demoClusters, "new"), "spec", "controlPlaneEndpoint", "host"); host != "192.0.2.7" {
		s.t.Errorf("DemoCluster has host %q", host)
	}
	controlPlane := s.only(controlPlanes, "new")
	if version := text(controlPlane, "spec", "version"); version != "v1.34.0" {
		s.t.Errorf("DemoControlPlane has version %q", version)
	}
	sans, _, _ := unstructured.NestedStringSlice(controlPlane.Object, "spec", "tlsSANs")
	if len(sans) != 1 || sans[0] != "192.0.2.7" {
		s.t.Errorf("DemoControlPlane has names %q", sans)
	}
}

func seeConversion(s *scene) {
	s.apply("cluster-v1beta1.yaml")
	cluster, err := s.in(clusters).Get(s.t.Context(), "old", metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	if class := text(cluster, "spec", "topology", "classRef", "name"); class != "demo" {
		s.t.Errorf("Cluster has class %q at v1beta2", class)
	}
	s.only(demoClusters, "old")
}

func seeAddress(s *scene) {
	s.apply("claim.yaml")
	s.own("new")
	s.await("the claim has an address", func() (bool, error) {
		claim, err := s.in(claims).Get(s.t.Context(), "new", metav1.GetOptions{})
		return err == nil && text(claim, "status", "addressRef", "name") != "", err
	})
	address, err := s.in(addresses).Get(s.t.Context(), "new", metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	if value := text(address, "spec", "address"); value != "192.0.2.10" {
		s.t.Errorf("IPAddress is %q", value)
	}
	if err := s.in(clusters).Delete(s.t.Context(), "new", metav1.DeleteOptions{}); err != nil {
		s.t.Fatal(err)
	}
	for _, resource := range []schema.GroupVersionResource{clusters, demoClusters, claims, addresses} {
		s.gone(resource, "new")
	}
}

// own makes the claim a dependent of the Cluster of the same name.
func (s *scene) own(name string) {
	s.t.Helper()
	cluster, err := s.in(clusters).Get(s.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	patch := &unstructured.Unstructured{}
	patch.SetGroupVersionKind(ipamv1.GroupVersion.WithKind("IPAddressClaim"))
	patch.SetName(name)
	patch.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: cluster.GetAPIVersion(), Kind: cluster.GetKind(), Name: name, UID: cluster.GetUID(),
	}})
	_, err = s.in(claims).Apply(s.t.Context(), name, patch, metav1.ApplyOptions{FieldManager: "test"})
	if err != nil {
		s.t.Fatal(err)
	}
}

func seeError(s *scene) {
	for content, wanted := range map[string]string{
		"{apiVersion: v1, kind: ConfigMap, metadata: {name: Not_Valid}}":            "ConfigMap default/Not_Valid",
		"{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: absent}}": "ConfigMap absent/a",
		"---\n# empty\n---\nkind: ConfigMap":                                        "object 1",
	} {
		if err := s.Apply(s.t.Context(), []byte(content)); err == nil || !strings.Contains(err.Error(), wanted) {
			s.t.Errorf("apply %s: %v", content, err)
		}
	}
}

func seeUser(s *scene) {
	kubeconfig, err := s.User("system:serviceaccount:default:nobody", "system:serviceaccounts", "system:authenticated")
	if err != nil {
		s.t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		s.t.Fatal(err)
	}
	config.UserAgent = "nobody/1"
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = client.Resource(clusters).List(s.t.Context(), metav1.ListOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "system:serviceaccount:default:nobody") {
		s.t.Errorf("a user without rights gets: %v", err)
	}
}

// event is what the tests need of a line of the audit log.
type event struct {
	Stage, Verb, UserAgent string
	ObjectRef              struct{ Resource string }
	ResponseStatus         struct{ Code int }
}

func seeAudit(s *scene) {
	wanted := map[event]bool{
		{Stage: "ResponseComplete", Verb: "list", UserAgent: "nobody/1"}: false,
		{Stage: "ResponseStarted", Verb: "watch", UserAgent: "capi"}:     false,
		{Stage: "ResponseComplete", Verb: "create", UserAgent: "ipam"}:   false,
	}
	codes := map[string]int{"list": 403, "watch": 200, "create": 201}
	resources := map[string]string{"list": "clusters", "watch": "clusters", "create": "ipaddresses"}
	file, err := os.Open(s.AuditLog())
	if err != nil {
		s.t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			s.t.Fatal(err)
		}
		if e.ObjectRef.Resource != resources[e.Verb] || e.ResponseStatus.Code != codes[e.Verb] {
			continue
		}
		agent, _, _ := strings.Cut(e.UserAgent, "/v")
		key := event{Stage: e.Stage, Verb: e.Verb, UserAgent: agent}
		if _, ok := wanted[key]; ok {
			wanted[key] = true
		}
	}
	for e, seen := range wanted {
		if !seen {
			s.t.Errorf("no line like %+v", e)
		}
	}
}

func seeRestarts(s *scene) {
	for _, name := range []string{CAPI, IPAM, ControllerManager, Etcd, APIServer} {
		if err := s.KillComponent(name); err != nil {
			s.t.Fatal(err)
		}
		if err := s.StartComponent(name); err != nil {
			s.t.Fatal(err)
		}
	}
	// The webhooks answer at the old ports, and the data is still there.
	s.apply("cluster-v1beta1.yaml")
	s.only(demoClusters, "old")
	if err := s.StartComponent(CAPI); err == nil {
		s.t.Error("a running component was started")
	}
	if err := s.StopComponent("nothing"); err == nil {
		s.t.Error("an unknown component was stopped")
	}
}

func seeEnd(s *scene) {
	s.Stop()
	for name, component := range s.components {
		if err := syscall.Kill(component.process.cmd.Process.Pid, 0); err != syscall.ESRCH {
			s.t.Errorf("process of %s: %v", name, err)
		}
	}
	if exists(s.Dir()) {
		s.t.Errorf("%s is left", s.Dir())
	}
}
