package survive

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/fault"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// event is something that may happen in a history, so often in comparison to others.
type event struct {
	name   string
	weight int
	do     func(h *history, random *rand.Rand)
}

var events = []event{
	{"a user creates a Cluster", 8, func(h *history, random *rand.Rand) {
		if m := h.any(random, false); m != nil {
			m.exists, m.manifest = true, manifest{manual: random.IntN(6) == 0, ingressOff: random.IntN(6) == 0}
			if err := h.make(m); err != nil && !apierrors.IsAlreadyExists(err) { // the one before it is on its way
				h.t.Fatal(err)
			}
		}
	}},
	{"a user deletes a Cluster", 2, func(h *history, random *rand.Rand) {
		if m := h.any(random, true); m != nil {
			m.exists = false
			h.delete(observe.Clusters, m.name)
		}
	}},
	{"a user switches ingress off", 1, func(h *history, random *rand.Rand) {
		if m := h.any(random, true); m != nil {
			m.ingressOff = true
			h.user(m, `{"metadata":{"annotations":{"vip.capi.gorizond.io/ingress-enabled":"false"}}}`)
		}
	}},
	{"a user switches ingress on", 2, func(h *history, random *rand.Rand) {
		// On a running Cluster the variable would stay empty: that has a past.
		if m := h.any(random, true); m != nil && !m.built {
			m.ingressOff = false
			h.user(m, `{"metadata":{"annotations":{"vip.capi.gorizond.io/ingress-enabled":null}}}`)
		}
	}},
	{"a user pauses a Cluster", 1, func(h *history, random *rand.Rand) {
		if m := h.any(random, true); m != nil {
			h.user(m, []string{`{"spec":{"paused":true}}`, `{"metadata":{"annotations":{"cluster.x-k8s.io/paused":""}}}`}[random.IntN(2)])
		}
	}},
	{"a user ends a pause", 2, func(h *history, random *rand.Rand) {
		if m := h.any(random, true); m != nil {
			h.user(m, unpause)
		}
	}},
	{"a Cluster is built", 2, func(h *history, random *rand.Rand) {
		if m := h.any(random, true); m != nil && h.published(m) {
			h.build(m)
		}
	}},
	{"a tool applies its manifest again", 3, (*history).reapply},
	{"a claim is deleted by hand", 2, func(h *history, random *rand.Rand) {
		if m := h.any(random, true); m != nil {
			h.delete(observe.Claims, claimPrefixes[[]string{observe.ControlPlane, observe.Ingress}[random.IntN(2)]]+m.name)
		}
	}},
	{"a stranger takes an address", 1, func(h *history, random *rand.Rand) {
		h.claimBy(stranger(h.strangers), []string{"a", "b"}[random.IntN(2)])
		h.strangers++
	}},
	{"a stranger goes", 1, func(h *history, random *rand.Rand) {
		if h.strangers > 0 {
			h.delete(observe.Claims, stranger(random.IntN(h.strangers)))
		}
	}},
	{"a pool changes", 4, func(h *history, random *rand.Rand) {
		name := []string{"a", "b"}[random.IntN(2)]
		addresses := []string{h.wholePool(name), fmt.Sprintf("%s.%d", h.subnet, map[string]int{"a": 10, "b": 30}[name]+random.IntN(6))}[random.IntN(2)]
		// Its webhook may not like that.
		_ = h.shape(name, []string{poolServes, poolServes, poolPaused, poolServesNobody}[random.IntN(4)], addresses)
	}},
	{"a write goes wrong", 8, func(h *history, random *rand.Rand) {
		rule := mishaps[random.IntN(len(mishaps))]
		rule.Match, rule.Nth = fault.Writes, 1+random.IntN(3)
		h.rules = append(h.rules, h.proxy.Add(rule))
	}},
	{"requests go wrong", 1, func(h *history, random *rand.Rand) {
		rule := mishaps[random.IntN(len(mishaps))]
		rule.Match = fault.Sometimes(random.Uint64(), 0.2, noWatch)
		h.storms = append(h.storms, h.proxy.Add(rule))
	}},
	{"a watch freezes", 3, func(h *history, random *rand.Rand) {
		h.thaws = append(h.thaws, h.proxy.Freeze(anyWatch(random)))
	}},
	{"what is frozen thaws", 3, func(h *history, _ *rand.Rand) { h.thaw() }},
	{"a watch breaks", 2, func(h *history, random *rand.Rand) { h.proxy.Cut(anyWatch(random)) }},
	{"a watch expires", 2, func(h *history, random *rand.Rand) { h.proxy.Expire(anyWatch(random)) }},
	{"the process is killed", 2, func(h *history, _ *rand.Rand) { h.process.Kill() }},
	{"the process is killed at a write", 3, func(h *history, random *rand.Rand) {
		rule := []disturbance{killedBefore, killedAfter}[random.IntN(2)](func(fault.Request) {}, h.process.Kill)
		rule.Match, rule.Nth = fault.Writes, 1+random.IntN(4)
		h.rules = append(h.rules, h.proxy.Add(rule))
	}},
	{"the process is frozen for a while", 1, func(h *history, random *rand.Rand) {
		_ = h.process.Signal(syscall.SIGSTOP) // it may have been killed at a write meanwhile
		time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
		_ = h.process.Signal(syscall.SIGCONT)
	}},
	{"two processes at once", 1, func(h *history, _ *rand.Rand) {
		second := h.startSomehow()
		h.process.Kill()
		h.process = second
	}},
}

// draw chooses an event by weight.
func draw(random *rand.Rand) int {
	total := 0
	for _, e := range events {
		total += e.weight
	}
	at := random.IntN(total)
	for i, e := range events {
		if at -= e.weight; at < 0 {
			return i
		}
	}
	return 0
}

// mishaps are what may become of a request.
var mishaps = []fault.Rule{
	{DropRequest: true},
	{DropReply: true},
	{Duplicate: true},
	{Truncate: 20},
	{Delay: time.Second},
	{Refuse: &fault.Refusal{Code: http.StatusInternalServerError, Reason: "InternalError"}},
	{Refuse: &fault.Refusal{Code: http.StatusConflict, Reason: "Conflict"}},
	{Refuse: &fault.Refusal{Code: http.StatusTooManyRequests, Reason: "TooManyRequests", RetryAfter: time.Second}},
	{Refuse: &fault.Refusal{Code: http.StatusForbidden, Reason: "Forbidden"}},
}

func anyWatch(random *rand.Rand) fault.Match {
	kinds := []string{"clusters", "ipaddressclaims", "ipaddresses", "globalinclusterippools", "clusterclasses", "leases"}
	return fault.Of("watch", kinds[random.IntN(len(kinds))])
}

func stranger(n int) string { return fmt.Sprintf("stranger-%d", n) }

// any chooses a Cluster that should exist, or one that should not; nil if there is none.
func (h *history) any(random *rand.Rand, exists bool) *member {
	m := h.members[random.IntN(len(h.members))]
	if m.exists != exists {
		return nil
	}
	return m
}

const unpause = `{"spec":{"paused":null},"metadata":{"annotations":{"cluster.x-k8s.io/paused":null}}}`

// user merges a document into a Cluster, which need not exist.
func (h *history) user(m *member, document string) {
	h.t.Helper()
	err := merge(h.t.Context(), h.in(observe.Clusters), m.name, document)
	if err != nil && !apierrors.IsNotFound(err) {
		h.t.Fatal(err)
	}
}

// make creates a Cluster from its manifest.
func (h *history) make(m *member) error {
	draft := h.draft(m.name)
	if m.ingressOff {
		draft.SetAnnotations(map[string]string{observe.IngressEnabled: "false"})
	}
	if m.manual {
		endpoint := map[string]any{"host": h.subnet + ".2" + m.name[2:], "port": int64(6443)}
		draft.Object["spec"].(map[string]any)["controlPlaneEndpoint"] = endpoint
	}
	m.built = false
	_, err := h.in(observe.Clusters).Create(h.t.Context(), draft, metav1.CreateOptions{})
	return err
}

// build has Cluster API make infrastructure for a Cluster with VIPs.
func (h *history) build(m *member) {
	h.t.Helper()
	const document = `[{"op":"add","path":"/spec/topology/variables/-","value":{"name":"build","value":"now"}}]`
	_, err := h.in(observe.Clusters).Patch(h.t.Context(), m.name, types.JSONPatchType, []byte(document), metav1.PatchOptions{})
	if err != nil {
		h.t.Fatal(err)
	}
	m.built = true
}

// published tells whether a Cluster has all its VIPs in all places.
func (h *history) published(m *member) bool {
	cluster, err := h.get(observe.Clusters, m.name)
	if err != nil || cluster == nil || cluster.GetDeletionTimestamp() != nil || m.built {
		return false
	}
	variables, _, _ := unstructured.NestedSlice(cluster.Object, "spec", "topology", "variables")
	values, stamps := byName(variables), cluster.GetAnnotations()
	host, _, _ := unstructured.NestedString(cluster.Object, "spec", "controlPlaneEndpoint", "host")
	if host == "" || values["clusterVip"] != host || stamps[observe.ControlPlaneVIP] != host {
		return false
	}
	if m.ingressOff {
		return stamps[observe.IngressVIP] == "" && values["ingressVip"] == nil
	}
	return stamps[observe.IngressVIP] != "" && values["ingressVip"] == stamps[observe.IngressVIP]
}

// reapply makes of a Cluster what its manifest in Git says, and leaves annotations
// alone: with claim and stamp both gone nobody would know the address any more.
func (h *history) reapply(random *rand.Rand) {
	m := h.any(random, true)
	switch {
	case m == nil || (m.built && m.manual): // what was filled in from the user's own value is not filled in again
	case m.manual:
		h.user(m, `{"spec":{"topology":{"variables":null}},"metadata":{"annotations":{"vip.capi.gorizond.io/control-plane-vip":null}}}`)
	case m.built:
		h.user(m, `{"spec":{"controlPlaneEndpoint":null,"topology":{"variables":[{"name":"build","value":"now"}]}}}`)
	default:
		h.user(m, `{"spec":{"controlPlaneEndpoint":null,"topology":{"variables":null}}}`)
	}
}

// claimBy has a stranger claim an address, which may take for ever.
func (h *history) claimBy(claim, pool string) {
	h.t.Helper()
	h.apply(fmt.Sprintf(strangersClaim, claim, h.namespace, h.poolName(pool)))
}

// What the metadata of a pool may say.
const (
	poolServes       = `"labels":{"vip.capi.gorizond.io/role":"control-plane_ingress"},"annotations":{"cluster.x-k8s.io/paused":null}`
	poolServesNobody = `"labels":{"vip.capi.gorizond.io/role":null},"annotations":{"cluster.x-k8s.io/paused":null}`
	poolPaused       = `"labels":{"vip.capi.gorizond.io/role":"control-plane_ingress"},"annotations":{"cluster.x-k8s.io/paused":"true"}`
)

// shape changes a pool.
func (h *history) shape(name, metadata, addresses string) error {
	document := fmt.Sprintf(`{"metadata":{%s},"spec":{"addresses":[%q]}}`, metadata, addresses)
	return merge(h.t.Context(), h.Client.Resource(observe.GlobalPools), h.poolName(name), document)
}
