package suite

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// gatedAvailability makes both of our conditions gates of the Cluster's availability.
func gatedAvailability() clusterFunc {
	return func(c *clusterv1.Cluster) {
		c.Spec.AvailabilityGates = []clusterv1.ClusterAvailabilityGate{
			{ConditionType: controlPlane.condition()}, {ConditionType: ingress.condition()},
		}
	}
}

// available is what Cluster API says of the Cluster's availability.
func (c *cluster) available() (message string) {
	c.w.t.Helper()
	if condition := meta.FindStatusCondition(c.now().Status.Conditions, clusterv1.ClusterAvailableCondition); condition != nil {
		return condition.Message
	}
	return ""
}

// availableSays waits until Cluster API's summary names these of our conditions with
// their messages, and the others of ours not at all.
func (c *cluster) availableSays(missing map[role]string) {
	c.w.t.Helper()
	c.w.eventually("Available tells of what is missing", func() error {
		message := c.available()
		if message == "" {
			return errors.New("it says nothing")
		}
		for _, r := range bothRoles {
			words, wanted := missing[r]
			if named := strings.Contains(message, "* "+r.condition()+": "+words); wanted != named || (!wanted && strings.Contains(message, r.condition())) {
				return fmt.Errorf("it says %q", message)
			}
		}
		return nil
	})
}

// Cluster API computes a Cluster's availability from our two conditions, as its gates ask.
func TestAvailabilityGatesOfBothRoles(t *testing.T) {
	w := newWorld(t)
	k := w.gatedClass(bothRoles...)
	c := w.cluster(k, gatedAvailability())
	c.becomes(reason(controlPlane, "NoPool"), reason(ingress, "NoPool"))
	c.availableSays(map[role]string{controlPlane: "no pool serves class", ingress: "no pool serves class"})
	cp := w.pool(serving(controlPlane, k))
	c.becomes(has(controlPlane, cp.address(0)))
	c.availableSays(map[role]string{ingress: "no pool serves class"})
	in := w.pool(serving(ingress, k))
	c.becomes(has(ingress, in.address(0)), built())
	c.availableSays(nil)
	cp.change(annotated(poolClass, "other"))
	c.loseClaim(controlPlane)
	c.becomes(reason(controlPlane, "ClaimLost"))
	c.availableSays(map[role]string{controlPlane: "VIP " + cp.address(0) + " was published from claim"})
	cp.change(annotated(poolClass, k.name))
	c.becomes(has(controlPlane, cp.address(0)))
	c.availableSays(nil)
}

// history is every version of the world's Clusters that a watch has seen.
type history struct {
	mutex    sync.Mutex
	versions map[string][]*clusterv1.Cluster
}

func (w *world) watchClusters() *history {
	w.t.Helper()
	h := &history{versions: map[string][]*clusterv1.Cluster{}}
	err := observe.Watch(w.t.Context(), w.client, observe.Clusters, func(e observe.Event[clusterv1.Cluster]) {
		if e.Object.Namespace == w.namespace && !e.Deleted {
			h.mutex.Lock()
			defer h.mutex.Unlock()
			h.versions[e.Object.Name] = append(h.versions[e.Object.Name], e.Object)
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// of returns the versions of a Cluster, the oldest first.
func (h *history) of(c *cluster) []*clusterv1.Cluster {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.versions[c.name]
}

// While Cluster API rewrites the status of Clusters without pause, because users, an
// infrastructure provider and the class give it reason to, our conditions stay as they
// are, and we write them only where they change. Nobody takes back what the other wrote.
func TestNoFightOverTheStatus(t *testing.T) {
	w := newWorld(t)
	k := w.gatedClass(bothRoles...)
	w.pool(serving(controlPlane, k))
	in := w.pool(serving(ingress, k))
	served, waiting, turning := w.cluster(k, gatedAvailability()), w.cluster(k, gatedAvailability()), w.cluster(k, gatedAvailability())
	all := []*cluster{served, waiting, turning}
	for _, c := range all {
		c.becomes(reason(controlPlane, "Allocated"), reason(ingress, "Allocated"), built())
	}
	in.change(annotated(poolClass, "other"))
	waiting.loseClaim(ingress)
	waiting.becomes(reason(controlPlane, "Allocated"), reason(ingress, "ClaimLost"))
	w.rest(all...)

	lasts := 20 * time.Second
	if *long {
		lasts = time.Minute
	}
	before := map[*cluster][]metav1.Condition{}
	for _, c := range all {
		before[c] = ours(c.now().Status.Conditions)
	}
	h := w.watchClusters()
	since := w.mark()
	rounds, turns := 0, 0
	for end := time.Now().Add(lasts); time.Now().Before(end); rounds++ {
		for _, c := range all {
			c.churn(rounds)
		}
		if rounds%10 == 5 {
			turns++
			turning.turn()
		}
	}
	w.barrier()
	w.rest(all...)
	for _, c := range all {
		c.lived(h, since, rounds)
		if c != turning {
			c.keptConditions(h, before[c])
		}
		accepted, refused := c.statusWrites(since)
		most := 0
		if c == turning {
			most = 2 * turns // there and back
			c.is(reason(controlPlane, "Allocated"), reason(ingress, "Allocated"))
		}
		t.Logf("%s: %d versions in %d rounds; we wrote its status %d times for %d turns, and were refused %d times", c.name, len(h.of(c)), rounds, accepted, turns, refused)
		// A refusal is Cluster API's own write that came first; its event has us look again.
		if accepted > most || refused > max(most, 1) {
			t.Errorf("we wrote the status of %s %d times, and were refused %d times, for %d turns", c.name, accepted, refused, turns)
		}
	}
}

// churn gives Cluster API a reason to write the Cluster's status: its provider says that
// infrastructure is ready, or not, and its user asks for other machines.
func (c *cluster) churn(round int) {
	c.w.t.Helper()
	status := map[bool]string{true: "True", false: "False"}[round%2 == 0]
	c.w.merge(observe.DemoClusters, c.namespace, c.now().Spec.InfrastructureRef.Name, fmt.Sprintf(
		`{"status":{"conditions":[{"type":"Ready","status":%q,"reason":"Round%d","message":"","lastTransitionTime":%q}]}}`,
		status, round, time.Now().UTC().Format(time.RFC3339)), "status")
	c.w.merge(observe.Clusters, c.namespace, c.name, fmt.Sprintf(`{"spec":{"topology":{"controlPlane":{"replicas":%d}}}}`, 1+2*(round%3)))
}

// turn has the Cluster change its reason once, and back: somebody else uses its VIP.
func (c *cluster) turn() {
	c.w.t.Helper()
	host := c.now().Spec.ControlPlaneEndpoint.Host
	other := c.w.cluster(nil, labelled(watchFilterLabel, "nobody"), at(host, 6443), infrastructureOfNobody())
	c.becomes(reason(controlPlane, "DuplicateAddress", other.name))
	other.condemned()
	c.becomes(reason(controlPlane, "Allocated"))
}

// infrastructureOfNobody is what a Cluster without topology must name.
func infrastructureOfNobody() clusterFunc {
	return func(c *clusterv1.Cluster) {
		c.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "DemoCluster", Name: "none"}
	}
}

// lived asserts that Cluster API did write the status meanwhile.
func (c *cluster) lived(h *history, since int64, rounds int) {
	c.w.t.Helper()
	events, err := c.w.audit.Since(since)
	if err != nil {
		c.w.t.Fatal(err)
	}
	theirs := audit.Keep(events, audit.Event.Accepted, about(c), func(e audit.Event) bool {
		return e.Resource() == "clusters/status" && !strings.HasPrefix(e.UserAgent, observe.UserAgent)
	})
	if len(theirs) < rounds/2 || len(h.of(c)) < rounds {
		c.w.t.Errorf("Cluster API wrote the status of %s %d times in %d rounds, and there were %d versions: that is no churn", c.name, len(theirs), rounds, len(h.of(c)))
	}
}

// keptConditions asserts that every version of the Cluster had our conditions as they were.
func (c *cluster) keptConditions(h *history, before []metav1.Condition) {
	c.w.t.Helper()
	for _, version := range h.of(c) {
		if now := ours(version.Status.Conditions); fmt.Sprint(now) != fmt.Sprint(before) {
			c.w.t.Errorf("our conditions of %s were %v and are %v", c.name, before, now)
			return
		}
	}
}

// statusWrites counts the allocator's writes of the Cluster's status since the mark.
func (c *cluster) statusWrites(since int64) (accepted, refused int) {
	c.w.t.Helper()
	writes := c.w.writes(since, about(c), writesOf("patch", "clusters/status"))
	accepted = len(audit.Keep(writes, audit.Event.Accepted))
	return accepted, len(writes) - accepted
}
