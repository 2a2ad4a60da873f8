package survive

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gorizond/capi-vip-allocator/test/fault"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// guard sees what no watch shows: who deleted a claim. The allocator deletes none that
// is bound while its Cluster lives and wants it.
type guard struct {
	world *world
	mutex sync.Mutex
	// inUse are claims that somebody asks to delete now, with what is wrong with that.
	inUse map[string]string
	found []string
}

// watch guards what goes through a proxy.
func (g *guard) watch(proxy *fault.Proxy) {
	proxy.Add(fault.Rule{Match: fault.Of("delete", "ipaddressclaims"), Before: g.before, After: g.after})
}

func (g *guard) before(q fault.Request) {
	why := g.why(q)
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.inUse[q.Name] = why
}

func (g *guard) after(q fault.Request, code int) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if why := g.inUse[q.Name]; why != "" && code < 300 {
		g.found = append(g.found, why)
	}
}

// why says what would be wrong with deleting the claim, "" if nothing is.
func (g *guard) why(q fault.Request) string {
	role, name := observe.ControlPlane, strings.TrimPrefix(q.Name, claimPrefixes[observe.ControlPlane])
	if name == q.Name {
		role, name = observe.Ingress, strings.TrimPrefix(q.Name, claimPrefixes[observe.Ingress])
	}
	claim, err := g.world.get(observe.Claims, q.Name)
	if err != nil || claim == nil {
		return ""
	}
	bound, _, _ := unstructured.NestedString(claim.Object, "status", "addressRef", "name")
	cluster, err := g.world.get(observe.Clusters, name)
	switch {
	case err != nil || cluster == nil || bound == "":
		return ""
	case cluster.GetDeletionTimestamp() != nil || cluster.GetAnnotations()[prefix+role+"-enabled"] == "false":
		return ""
	case len(claim.GetOwnerReferences()) == 0 || claim.GetOwnerReferences()[0].UID != cluster.GetUID():
		return ""
	}
	// One whose address was refused, and stands nowhere on the Cluster, is replaced.
	address, err := g.world.get(observe.Addresses, bound)
	if err == nil && address != nil {
		text, _, _ := unstructured.NestedString(address.Object, "spec", "address")
		object, _ := json.Marshal(map[string]any{"annotations": cluster.GetAnnotations(), "spec": cluster.Object["spec"]})
		if !strings.Contains(string(object), strconv.Quote(text)) {
			return ""
		}
	}
	return fmt.Sprintf("the allocator deleted claim %s, which was bound and in use", q.Name)
}

// judge reports what the guard and package checker found.
func (w *world) judge() {
	w.t.Helper()
	w.guard.mutex.Lock()
	for _, text := range w.guard.found {
		w.t.Error(text)
	}
	w.guard.mutex.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience) // the test's own has ended
	defer cancel()
	violations, err := w.checker.Violations(ctx, w.namespace)
	if err != nil {
		w.t.Error(err)
	}
	const most = 3
	for i, v := range violations {
		if i == most {
			w.t.Errorf("and %d more", len(violations)-most)
			break
		}
		w.t.Errorf("%s: %s", v.Rule, v.Text)
	}
}
