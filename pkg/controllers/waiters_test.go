package controllers

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// poolOf is a global pool of that name for the class and role.
func poolOf(name, class string, roles ...vip.Role) *kube.Pool {
	entry := vip.ClassEntry{Name: class}
	return &kube.Pool{Ref: vip.PoolRef{Kind: "P", Name: name}, Ours: true, Serves: vip.Serves{Classes: []vip.ClassEntry{entry}, Roles: roles}}
}

// wait has the Cluster wait in the roles; the age orders them.
func wait(w *waiters, name string, age int, filter string, roles ...vip.Role) (missed bool) {
	cluster := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(time.Unix(int64(1000-age), 0))}}
	s := &vip.Snapshot{Cluster: vip.Cluster{Namespace: "team-a", Name: name, Class: vip.ClassKey{Namespace: "team-a", Name: "rke2"}}}
	if filter != "" {
		s.Cluster.Annotations = map[string]string{vip.Ingress.PoolAnnotation(): filter}
	}
	d := &vip.Decision{Roles: map[vip.Role]*vip.Outcome{}}
	for _, role := range roles {
		d.Roles[role] = &vip.Outcome{Role: role, Waiting: true}
	}
	return w.set("team-a/"+name, cluster, s, d, w.now("team-a"))
}

func names(found []*waiter) []string {
	result := []string{}
	for _, waiting := range found {
		result = append(result, waiting.name)
	}
	return result
}

func TestAPoolFindsTheClustersThatWaitForOneLikeIt(t *testing.T) {
	w := newWaiters()
	wait(w, "ingress", 1, "", vip.Ingress)
	wait(w, "control", 2, "", vip.ControlPlane)
	wait(w, "both", 3, "", vip.Ingress, vip.ControlPlane)
	wait(w, "filtered", 4, "elsewhere", vip.Ingress)
	wait(w, "nothing", 5, "")
	malformed := poolOf("p", "rke2")
	malformed.Serves.Err = errNot("well-formed")
	namespaced, foreign := poolOf("p", "rke2", vip.Ingress), poolOf("p", "rke2", vip.Ingress)
	namespaced.Ref.Namespace, foreign.Ref.Namespace = "team-a", "team-b"

	for _, test := range []struct {
		name string
		pool *kube.Pool
		want []string
	}{
		{"of its role, the oldest first", poolOf("p", "rke2", vip.Ingress), []string{"both", "ingress"}},
		{"of its other role", poolOf("p", "rke2", vip.ControlPlane), []string{"both", "control"}},
		{"of both roles", poolOf("p", "rke2", vip.ControlPlane, vip.Ingress), []string{"both", "control", "ingress"}},
		{"that ask for it by name", poolOf("elsewhere", "rke2", vip.Ingress), []string{"filtered", "both", "ingress"}},
		{"of every class", poolOf("p", "*", vip.Ingress), []string{"both", "ingress"}},
		{"not of another class", poolOf("p", "k3s", vip.Ingress), []string{}},
		{"of its own namespace", namespaced, []string{"both", "ingress"}},
		{"not of another namespace", foreign, []string{}},
		{"all of them, if its roles cannot be told", malformed, []string{"filtered", "both", "control", "ingress"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := names(w.all(nil, test.pool)); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
	if got := names(w.all(poolOf("p", "k3s", vip.Ingress), poolOf("p", "rke2", vip.Ingress))); !slices.Equal(got, []string{"both", "ingress"}) {
		t.Errorf("of both states of a pool, %v", got)
	}
}

type errNot string

func (e errNot) Error() string { return "not " + string(e) }

func TestOnlyAsManyAreInvitedAsThereIsRoomFor(t *testing.T) {
	w := newWaiters()
	for i, name := range []string{"a", "b", "c"} {
		wait(w, name, 9-i, "", vip.Ingress)
	}
	pool := poolOf("p", "rke2", vip.Ingress)
	for room, want := range map[int64][]string{-1: {}, 0: {}, 1: {"a"}, 2: {"a", "b"}, 9: {"a", "b", "c"}} {
		if got := names(w.invite(pool, room)); !slices.Equal(got, want) {
			t.Errorf("room for %d: %v", room, got)
		}
	}
}

func TestAnUnusedInvitationGoesToTheNext(t *testing.T) {
	w := newWaiters()
	for i, name := range []string{"a", "b", "c"} {
		wait(w, name, 9-i, "", vip.Ingress)
	}
	pool := poolOf("p", "rke2", vip.Ingress)
	w.invite(pool, 1)
	first, ok := w.answer("team-a/a")
	if !ok || first.invited != pool.Ref {
		t.Fatalf("%+v, %v", first, ok)
	}
	if _, again := w.answer("team-a/a"); again {
		t.Error("an invitation is answered twice")
	}
	if _, uninvited := w.answer("team-a/b"); uninvited {
		t.Error("an invitation is answered that was not made")
	}
	next := w.inviteAfter(first, pool)
	if next == nil || next.name != "b" {
		t.Fatalf("next is %+v", next)
	}
	second, ok := w.answer("team-a/b")
	if next = w.inviteAfter(second, pool); !ok || next == nil || next.name != "c" {
		t.Fatalf("next is %+v", next)
	}
	third, _ := w.answer("team-a/c")
	if next = w.inviteAfter(third, pool); next != nil {
		t.Errorf("it goes round for ever: %+v", next)
	}
}

func TestAPassThatBeganBeforeAPoolEventIsMadeAgain(t *testing.T) {
	w := newWaiters()
	pool := poolOf("p", "rke2", vip.Ingress)
	if wait(w, "a", 1, "", vip.Ingress) {
		t.Error("nothing has happened")
	}
	began := w.now("team-a")
	elsewhere := poolOf("p", "rke2", vip.Ingress)
	elsewhere.Ref.Namespace = "team-b"
	w.all(nil, elsewhere)
	if w.now("team-a") != began {
		t.Error("a pool of another namespace has them look again")
	}
	w.all(nil, pool)
	s := &vip.Snapshot{Cluster: vip.Cluster{Namespace: "team-a", Name: "a"}}
	waiting := &vip.Decision{Roles: map[vip.Role]*vip.Outcome{vip.Ingress: {Waiting: true}}}
	if !w.set("team-a/a", &clusterv1.Cluster{}, s, waiting, began) {
		t.Error("the event is missed")
	}
	done := &vip.Decision{Roles: map[vip.Role]*vip.Outcome{vip.Ingress: {}}}
	if w.set("team-a/a", &clusterv1.Cluster{}, s, done, began) {
		t.Error("a Cluster that waits for nothing misses nothing")
	}
}

func TestWhoWaitsNoLongerIsNotWoken(t *testing.T) {
	w := newWaiters()
	pool := poolOf("p", "rke2", vip.Ingress)
	wait(w, "a", 1, "", vip.Ingress)
	wait(w, "b", 1, "", vip.Ingress)
	wait(w, "a", 1, "")
	w.remove("team-a/b")
	if got := names(w.all(nil, pool)); len(got) != 0 {
		t.Errorf("woken: %v", got)
	}
}

func TestOlderClustersGoFirst(t *testing.T) {
	w := newWaiters()
	wait(w, "old", 9, "", vip.Ingress)
	wait(w, "elsewhere", 8, "other", vip.Ingress)
	wait(w, "young", 1, "", vip.Ingress)
	pool := poolOf("p", "rke2", vip.Ingress)
	at := func(name string, age int) *clusterv1.Cluster {
		return &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: name, CreationTimestamp: metav1.NewTime(time.Unix(int64(1000-age), 0))}}
	}
	for _, test := range []struct {
		who   string
		age   int
		room  int64
		ok    bool
		again bool
	}{
		{"old", 9, 1, true, true},
		{"young", 1, 1, false, true},
		{"young", 1, 2, true, true},
		{"new", 0, 2, false, true},
		{"new", 0, 3, true, true},
	} {
		if ok, again := w.turn(at(test.who, test.age), pool, test.room); ok != test.ok || again != test.again {
			t.Errorf("%s, room for %d: %v, %v", test.who, test.room, ok, again)
		}
	}
	w.invite(pool, 1)
	if ok, again := w.turn(at("young", 1), pool, 1); ok || again {
		t.Errorf("while the older one is about to answer: %v, %v", ok, again)
	}
}
