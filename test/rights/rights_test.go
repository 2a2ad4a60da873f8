// Package rights proves that the chart grants what the allocator uses and nothing else,
// for each of its features.
package rights

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/chart"
	"github.com/gorizond/capi-vip-allocator/test/loopback"
	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// patience bounds each wait for something that takes seconds on an idle machine.
const patience = 2 * time.Minute

type values = map[string]any

// user is whom the allocator runs as.
const user = "system:serviceaccount:" + allocator.Namespace + ":" + chart.ManagerName

// Each feature in turn is installed on one management cluster and made to do all that
// it can do. The audit log then has every right of the chart, and no refusal.
func TestRights(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a management cluster")
	}
	s, err := scene.Start(t.Context(), "rights", management.Options{RuntimeSDK: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	ports, err := loopback.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		values values
		does   func(*world)
	}{
		{"core", values{"poolKinds": []any{"ippools.ipam.metal3.io"}}, (*world).core},
		{"one namespace", values{"watchNamespace": "default", "rbac": values{"scope": "namespace"}, "metrics": values{"secure": values{"enabled": true}}}, (*world).scraped},
		{"hold gate", values{"holdGate": values{"enabled": true}}, (*world).core},
		{"hook gate", values{"runtimeExtension": values{"enabled": true, "port": ports[0], "extensionConfig": values{"create": false}}}, (*world).hook},
		// Last: Rancher stays.
		{"propagation", values{"propagation": values{"enabled": true, "fleetWorkspaces": []any{"fleet-default"}}}, (*world).propagation},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := &world{Scene: s, t: t}
			log := audit.Log(s.Management.AuditLog())
			since, err := log.Position()
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Install(t.Context(), test.values); err != nil {
				t.Fatal(err)
			}
			defer w.uninstall()
			w.effective()
			test.does(w)
			events, err := log.Since(since)
			if err != nil {
				t.Fatal(err)
			}
			w.compare(audit.Keep(events, func(e audit.Event) bool { return e.User.Username == user }))
		})
	}
}

// right is one verb on one resource.
type right struct{ group, resource, verb string }

func (r right) String() string { return r.verb + " " + r.resource + "." + r.group }

// compare compares what was asked for with what the chart grants.
func (w *world) compare(events []audit.Event) {
	w.t.Helper()
	granted := w.granted()
	used := map[right]bool{}
	for _, e := range events {
		if e.Object.Resource == "" || strings.HasPrefix(e.Object.Resource, "selfsubject") {
			continue // discovery, and questions that anybody may ask
		}
		r := right{e.Object.Group, e.Resource(), e.Verb}
		if e.Response.Code == 403 {
			w.t.Errorf("refused: %s (%s)", r, e.RequestURI)
		}
		if !granted[r] && e.Response.Code != 403 {
			w.t.Errorf("allowed, and not by the chart: %s", r)
		}
		used[r] = true
		if r.verb == "watch" {
			// A watch may begin with all objects; where it may not, they are listed.
			used[right{r.group, r.resource, "list"}] = true
		}
	}
	for _, r := range slices.SortedFunc(maps.Keys(granted), func(a, b right) int { return strings.Compare(a.String(), b.String()) }) {
		if !used[r] {
			w.t.Errorf("granted and not used: %s", r)
		}
	}
}

// granted are the rights of all roles of the chart.
func (w *world) granted() map[right]bool {
	granted := map[right]bool{}
	for _, rules := range w.roles() {
		for _, rule := range rules {
			for _, r := range rightsOf(rule) {
				granted[r] = true
			}
		}
	}
	// These pools do not exist here.
	maps.DeleteFunc(granted, func(r right, _ bool) bool { return r.group == "ipam.metal3.io" })
	return granted
}

// role is what a binding refers to; a ClusterRole has no namespace.
type role struct{ kind, namespace, name string }

// roles are the rules of the chart's roles.
func (w *world) roles() map[role][]rbacv1.PolicyRule {
	roles := map[role][]rbacv1.PolicyRule{}
	for _, o := range w.objects() {
		if o.GetKind() != "ClusterRole" && o.GetKind() != "Role" {
			continue
		}
		var found rbacv1.Role // a ClusterRole's rules are the same
		w.read(o, &found)
		roles[role{o.GetKind(), o.GetNamespace(), o.GetName()}] = found.Rules
	}
	return roles
}

func rightsOf(rule rbacv1.PolicyRule) (rights []right) {
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				rights = append(rights, right{group, resource, verb})
			}
		}
	}
	return rights
}

func (w *world) read(o *unstructured.Unstructured, into any) {
	w.t.Helper()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, into); err != nil {
		w.t.Fatal(err)
	}
}

// effective waits until the API server goes by the roles of the chart: it learns of
// them by watches, and what it refused meanwhile would count as a right that is missing.
func (w *world) effective() {
	w.t.Helper()
	roles := w.roles()
	for _, o := range w.objects() {
		if o.GetKind() != "ClusterRoleBinding" && o.GetKind() != "RoleBinding" {
			continue
		}
		var binding rbacv1.RoleBinding // a ClusterRoleBinding refers to its role likewise
		w.read(o, &binding)
		of := role{kind: binding.RoleRef.Kind, name: binding.RoleRef.Name}
		if of.kind == "Role" {
			of.namespace = binding.Namespace
		}
		for _, rule := range roles[of] {
			for _, r := range rightsOf(rule) {
				w.allowed(binding.Namespace, r, rule.ResourceNames)
			}
		}
	}
}

// allowed waits until the API server would let the allocator do that.
func (w *world) allowed(namespace string, r right, names []string) {
	w.t.Helper()
	attributes := authorizationv1.ResourceAttributes{Namespace: namespace, Group: r.group, Verb: r.verb}
	attributes.Resource, attributes.Subresource, _ = strings.Cut(r.resource, "/")
	if len(names) > 0 {
		attributes.Name = names[0]
	}
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &attributes}}
	review.APIVersion, review.Kind = authorizationv1.SchemeGroupVersion.String(), "SubjectAccessReview"
	question, err := runtime.DefaultUnstructuredConverter.ToUnstructured(review)
	if err != nil {
		w.t.Fatal(err)
	}
	w.until("it may "+r.String(), func() error {
		answer, err := w.Client.Resource(reviews).Create(w.t.Context(), &unstructured.Unstructured{Object: question}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		if allowed, _, _ := unstructured.NestedBool(answer.Object, "status", "allowed"); !allowed {
			return fmt.Errorf("it may not: %v", answer.Object["status"])
		}
		return nil
	})
}

// objects are those of the chart.
func (w *world) objects() []*unstructured.Unstructured {
	var objects []*unstructured.Unstructured
	for part := range strings.SplitSeq("\n"+string(w.Chart.Manifests), "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(part), &o.Object); err != nil {
			w.t.Fatal(err)
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
	return objects
}

// uninstall deletes the objects of the chart: the next feature shall not live off
// the rights of this one.
func (w *world) uninstall() {
	kubectl, err := w.Management.Kubectl()
	if err != nil {
		w.t.Fatal(err)
	}
	file := filepath.Join(w.t.TempDir(), "chart.yaml")
	if err := os.WriteFile(file, w.Chart.Manifests, 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.kubectl(kubectl, "delete", "--ignore-not-found", "-f", file)
}

// until waits for check.
func (w *world) until(what string, check func() error) {
	w.t.Helper()
	scene.Until(w.t, patience, what, check)
}

// asked waits until the allocator has made a request.
func (w *world) asked(since int64, verb, resource string) {
	w.t.Helper()
	w.until("it asks to "+verb+" "+resource, func() error { return w.didAsk(since, verb, resource) })
}

func (w *world) didAsk(since int64, verb, resource string) error {
	events, err := audit.Log(w.Management.AuditLog()).Since(since)
	if err != nil {
		return err
	}
	for _, e := range events {
		if e.User.Username == user && e.Verb == verb && e.Resource() == resource {
			return nil
		}
	}
	return fmt.Errorf("it did not")
}

func (w *world) mark() int64 {
	w.t.Helper()
	position, err := audit.Log(w.Management.AuditLog()).Position()
	if err != nil {
		w.t.Fatal(err)
	}
	return position
}

// gone waits until an object is gone.
func (w *world) gone(kind resourceOf, name string) {
	w.t.Helper()
	scene.Gone(w.t, patience, w.in(kind), name)
}
