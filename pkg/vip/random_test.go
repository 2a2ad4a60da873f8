package vip_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/gorizond/capi-vip-allocator/pkg/allocator"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

var seed = flag.Uint64("seed", 0, "run the random tests with this one seed only")

// eachSeed runs the test with some random numbers, the same in every run.
func eachSeed(t *testing.T, count int, test func(t *testing.T, r *dice)) {
	t.Helper()
	first, last := seeds(count)
	for n := first; n <= last && !t.Failed(); n++ {
		t.Run(fmt.Sprintf("seed %d", n), func(t *testing.T) {
			test(t, seeded(n))
		})
	}
}

func seeds(count int) (first, last uint64) {
	if *seed != 0 {
		return *seed, *seed
	}
	return 1, uint64(count) //nolint:gosec // it is positive
}

func seeded(n uint64) *dice {
	return &dice{next: rand.New(rand.NewPCG(n, 0)).IntN} //nolint:gosec // it is to repeat itself
}

// dice picks values at random or, when fuzzing, from bytes.
type dice struct{ next func(n int) int }

func (r *dice) one(in int) bool          { return r.next(in) == 0 }
func pick[T any](r *dice, values ...T) T { return values[r.next(len(values))] }

// fuzzDice reads its throws from the fuzzer's bytes; zeros follow where they end.
func fuzzDice(data []byte) *dice {
	return &dice{next: func(n int) int {
		if len(data) == 0 {
			return 0
		}
		value := int(data[0])
		data = data[1:]
		return value % n
	}}
}

func (r *dice) address() string {
	return pick(r, "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "::ffff:10.0.0.1", "fd00::1", "FD00::1")
}

func (r *dice) text() string {
	if !r.one(6) {
		return r.address()
	}
	return pick(r, "", "127.0.0.1", "0.0.0.0", "10.0.0.1/24", "010.0.0.1", "fe80::1%eth0", "api.example.com", "none", "a b\n")
}

var variablePaths = []string{"clusterVip", "ingressVip", "vips", "vips.cp", "vips.ingress", "vips.a.b", "vips.a.c", "other"}

func (r *dice) snapshot() *vip.Snapshot {
	s := &vip.Snapshot{
		Cluster: r.cluster(), Class: r.class(), Claims: map[vip.Role]*vip.Claim{},
		Holders: map[netip.Addr][]vip.Holder{}, Settings: vip.Settings{DefaultPort: 6443, HoldGate: !r.one(3)},
	}
	rooms := allocator.New()
	for range r.next(4) {
		pool, room := r.pool(len(s.Pools))
		s.Pools = append(s.Pools, pool)
		rooms.SetPool(pool.Ref, room)
	}
	for _, role := range vip.Roles() {
		if !r.one(3) {
			s.Claims[role] = r.claim(s, role)
		}
		if r.one(4) {
			r.published(s, role)
		}
	}
	if r.one(3) {
		key, _ := vip.Key(r.address())
		s.Holders[key] = []vip.Holder{{Kind: "Cluster", Namespace: "team-b", Name: "c2", Rival: r.one(3), Allocated: r.one(2)}}
	}
	if r.one(6) {
		s.Cluster.Annotations[vip.WrittenForAnnotation] = pick(r, s.Cluster.Namespace+"/"+s.Cluster.Name, "team-b/c2")
	}
	if r.one(2) && len(s.Pools) > 0 {
		s.Recoveries = map[vip.Role]vip.PoolRef{pick(r, vip.ControlPlane, vip.Ingress): s.Pools[0].Ref}
	}
	if r.one(12) {
		s.Settings.Namespace = pick(r, caseNamespace, "team-b")
	}
	return placed(s, rooms)
}

// published makes the Cluster carry what its claim holds, as after a publication.
func (r *dice) published(s *vip.Snapshot, role vip.Role) {
	claim, path := s.Claims[role], s.Class.Roles[role].Path
	if claim == nil || claim.Address == nil {
		return
	}
	text := claim.Address.Text
	s.Cluster.Annotations[role.Stamp()], s.Cluster.Annotations[role.WrittenAnnotation()] = text, path
	if role == vip.ControlPlane {
		s.Cluster.Endpoint.Host = text
	} else if r.one(3) {
		s.Cluster.Annotations[role.EnabledAnnotation()] = "false"
	}
	for i, variable := range s.Cluster.Variables {
		if variable.Name == path {
			s.Cluster.Variables[i].Value, _ = json.Marshal(text)
		}
	}
}

func (r *dice) cluster() vip.Cluster {
	c := vip.Cluster{
		Namespace: caseNamespace, Name: caseName, UID: caseUID,
		HasTopology: !r.one(15), Deleting: r.one(15), OwnedByRancher: r.one(15),
		HasInfrastructure: r.one(2), InfrastructureProvisioned: r.one(2),
		Labels: map[string]string{}, Annotations: map[string]string{},
	}
	if c.HasTopology {
		c.Class = vip.ClassKey{Namespace: caseNamespace, Name: "rke2"}
	}
	if r.one(3) {
		c.Paused = new(r.one(3))
	}
	if r.one(3) {
		c.AbsentEndpoint = map[string]any{"host": "", "port": 0}
	}
	if r.one(2) {
		c.Endpoint.Host = r.text()
	}
	if r.one(3) {
		c.Endpoint.Port = pick(r, int32(443), int32(6443))
	}
	if r.one(4) {
		c.APIServerPort = 8443
	}
	if r.one(2) {
		c.Labels["example.com/a"] = "b"
	}
	if r.one(2) {
		c.Annotations["example.com/a~b"] = "c"
	}
	for _, role := range vip.Roles() {
		r.annotate(&c, role)
	}
	if r.one(6) {
		c.Annotations[vip.BackfillAnnotation] = pick(r, "true", "false")
	}
	if r.one(8) {
		c.Annotations[vip.HeldAnnotation] = "true"
		c.Paused = new(!r.one(8))
	}
	if r.one(20) {
		c.Annotations[vip.PausedAnnotation] = ""
	}
	for _, name := range []string{"other", "clusterVip", "vips", "ingressVip", "last"} {
		if r.one(2) {
			c.Variables = append(c.Variables, vip.Variable{Name: name, Value: r.value(name)})
		}
	}
	return c
}

func (r *dice) annotate(c *vip.Cluster, role vip.Role) {
	if r.one(3) {
		c.Annotations[role.Stamp()] = r.text()
	}
	if r.one(4) {
		c.Labels[role.Stamp()] = "10.0.0.1"
	}
	if r.one(4) {
		c.Labels[role.StampedLabel()] = "true"
	}
	if r.one(3) {
		c.Annotations[role.WrittenAnnotation()] = pick(r, vip.WrittenNone, pick(r, variablePaths...))
	}
	if r.one(5) {
		c.Annotations[role.EnabledAnnotation()] = pick(r, "false", "false", "true", "nonsense")
	}
	if r.one(8) {
		c.Annotations[role.PoolAnnotation()] = pick(r, "pool-0", "pool-9", caseNamespace+"/pool-1", "/")
	}
}

func (r *dice) value(name string) json.RawMessage {
	if r.one(8) {
		return json.RawMessage(pick(r, `null`, `3`, `[1]`, `{}`, `true`, `1.5`))
	}
	if name == "vips" {
		object := map[string]any{"x": 1}
		if r.one(2) {
			object["cp"] = r.text()
		}
		if r.one(2) {
			object["ingress"] = r.text()
		}
		if r.one(2) {
			object["a"] = pick[any](r, map[string]any{"b": r.text()}, map[string]any{}, "text", nil)
		}
		if r.one(2) {
			object["port"] = pick[any](r, 8443, 0, 1e9, "text", 8443.5)
		}
		data, _ := json.Marshal(object)
		return data
	}
	data, _ := json.Marshal(r.text())
	return data
}

func (r *dice) class() vip.Class {
	if r.one(10) {
		return vip.Class{}
	}
	c := caseClass{Paths: map[vip.Role]string{}, Variables: map[string]caseVariable{"other": {}}}
	if r.one(8) {
		c.State = "notReady"
	}
	paths := pick(r, [2]string{"clusterVip", "ingressVip"}, [2]string{"clusterVip", "clusterVip"}, [2]string{"vips.cp", "vips.ingress"}, [2]string{"vips.a.b", "vips.a.c"}, [2]string{"vips.cp", "ingressVip"})
	for i, role := range vip.Roles() {
		c.Paths[role] = paths[i]
		if !r.one(6) {
			variable := caseVariable{}
			switch r.next(5) {
			case 0:
				variable.Default = "10.0.0.4"
			case 1:
				variable.Admits = `^10\.`
			case 2:
				variable.Problem = "its type is integer, not string"
			case 3:
				variable.NeededBy = "patch"
			}
			if r.one(2) {
				variable.Consumed = true
			}
			if r.one(8) && !strings.Contains(paths[i], ".") && paths[0] != paths[1] {
				variable.Near = "clustervip"
			}
			variable.Shared = paths[0] == paths[1]
			c.Variables[paths[i]] = variable
		}
	}
	if r.one(3) {
		c.Port.Variable = pick(r, "other", "vips.port", "last", "nowhere")
		c.Port.Default = pick(r, int32(0), int32(9443))
	}
	if strings.Contains(paths[0], ".") && r.one(2) {
		c.Port.Beside = true
		c.Port.BesideDefault, c.Port.Most = pick(r, int32(0), int32(7443)), pick(r, int32(0), int32(7500))
	}
	return c.view()
}

func (r *dice) pool(n int) (vip.Pool, *allocator.Pool) {
	name := fmt.Sprintf("pool-%d", n)
	if r.one(3) {
		name = pick(r, caseNamespace, "team-b") + "/" + name
	}
	p := casePool{
		Name: name, Class: pick(r, "rke2", "rke2", "*", "other", caseNamespace+"/rke2", "UPPER"),
		Role: pick(r, "control-plane", "ingress", "control-plane,ingress", "control-plane,ingress", "bogus"),
		// Paused and dying pools are rare, or hardly any role would be served.
		Deleting: r.one(8), Paused: r.one(8), Grace: r.next(3),
	}
	if r.one(2) {
		p.Free = new(int64(r.next(4) - 1))
	}
	if r.one(6) {
		p.Annotations = map[string]string{vip.PoolNamespacesKey: pick(r, "", caseNamespace, "team-b")}
	}
	return p.view(), p.room()
}

func (r *dice) claim(s *vip.Snapshot, role vip.Role) *vip.Claim {
	c := caseClaim{Pool: "gone", Deleting: r.one(10), Outdated: r.one(4), Bound: r.one(10), Binding: r.one(10), Contested: r.one(3), LeaseHeld: r.one(2)}
	if r.one(6) {
		c.Refusal = pick(r, vip.RefusedPoolExhausted, vip.RefusedPoolNotReady, "Other")
	}
	if r.one(6) {
		c.Owner = pick(r, "uid-0", "none")
	}
	if r.one(10) {
		c.Role = new(pick(r, "", "control-plane", "ingress"))
	}
	if !r.one(4) {
		c.Address = &caseAddress{Text: r.address(), Deleting: r.one(15), Outside: r.one(20)}
		if r.one(10) {
			c.Address.Text, c.Address.Claim = r.text(), pick(r, "", "other")
		}
	}
	view := c.view(role)
	if len(s.Pools) > 0 && !r.one(6) {
		view.Pool = s.Pools[r.next(len(s.Pools))].Ref
		if view.Address != nil {
			view.Address.Pool = view.Pool
		}
	}
	return view
}
