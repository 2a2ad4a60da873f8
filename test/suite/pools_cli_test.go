package suite

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// poolList is what tests read of the public format.
type poolList struct {
	Pools []listedPool
}

type listedPool struct {
	Kind, Namespace, Name string
	Classes, Roles        []string
	Capacity              *struct{ Total, Used, Free int64 }
	Waiting               *int
	Warnings              []string
	Addresses             []struct{ Address, Namespace, Claim, Cluster, Role, Note string }
}

// listPools returns the pools of the world.
func (w *world) listPools(args ...string) map[string]listedPool {
	w.t.Helper()
	output, err := w.cli("", append([]string{"pools", "-o", "json"}, args...)...)
	if err != nil {
		w.t.Fatalf("pools: %v", err)
	}
	list, result := &poolList{}, map[string]listedPool{}
	if err := json.Unmarshal([]byte(output), list); err != nil {
		w.t.Fatalf("pools: %v in %s", err, output)
	}
	for _, p := range list.Pools {
		if strings.HasPrefix(p.Name, w.namespace) {
			result[p.Name] = p
		}
	}
	return result
}

// warned expects a warning that contains all of the fragments.
func (p *listedPool) warned(fragments ...string) error {
	for _, fragment := range fragments {
		if !slices.ContainsFunc(p.Warnings, func(warning string) bool { return strings.Contains(warning, fragment) }) {
			return fmt.Errorf("pool %s: no warning says %q in %q", p.Name, fragment, p.Warnings)
		}
	}
	return nil
}

func TestPoolsOfTheCLI(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	full := w.pool(serving(controlPlane, k), size(2), grace(60))
	overlapping := w.pool(serving(ingress, k), ranges(full.address(1)+"-"+full.address(9)))
	malformed := w.pool(labelled(poolRole, "controlplane"), annotated(poolClass, "a, b"))
	halted := w.draftPool(serving(controlPlane, k), annotated(pausedAnnotation, ""), namespaced())
	halted.createUncounted()
	closed := w.pool(serving(controlPlane, k), namespacedOnly("elsewhere"))
	unmarked := w.pool()

	foreign := full.take("printer")
	served := w.cluster(k)
	served.becomes(has(controlPlane, full.address(1)))
	full.uses(2)
	waiting := w.cluster(k)
	waiting.becomes(reason(controlPlane, "PoolExhausted"))

	list := w.listPools("--addresses")
	if len(list) != 5 {
		t.Errorf("there are %d pools: %v", len(list), list)
	}
	if _, listed := list[unmarked.name]; listed {
		t.Error("a pool without our keys is listed")
	}
	for name, fragments := range map[string][]string{
		full.name:        {"has no free address", "overlap with those of GlobalInClusterIPPool " + overlapping.name},
		overlapping.name: {"overlap with those of GlobalInClusterIPPool " + full.name, "addressReuseGracePeriodSeconds"},
		malformed.name:   {`"controlplane" is no role`},
		halted.name:      {"is paused"},
		closed.name:      {"leaves out Clusters that wait in " + w.namespace},
	} {
		p := list[name]
		if err := p.warned(fragments...); err != nil {
			t.Error(err)
		}
	}
	p := list[full.name]
	if c := p.Capacity; c == nil || c.Total != 2 || c.Used != 2 || c.Free != 0 || p.Waiting == nil || *p.Waiting != 1 {
		t.Errorf("it is %+v", p)
	}
	if len(p.Addresses) != 2 || p.Addresses[0].Address != foreign || p.Addresses[0].Cluster != "" || p.Addresses[0].Claim != "printer" ||
		p.Addresses[1].Address != full.address(1) || p.Addresses[1].Cluster != served.name || p.Addresses[1].Role != string(controlPlane) {
		t.Errorf("its addresses are %+v", p.Addresses)
	}
	if list = w.listPools("-n", "default"); len(list) != 4 || list[halted.name].Name != "" {
		t.Errorf("of another namespace there are %v", list)
	}

	output, err := w.cli("", "pools", full.name)
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{full.name, "██████████ 100%", "none of ours", served.namespace + "/" + served.name} {
		if !strings.Contains(output, words) {
			t.Errorf("it does not say %q:\n%s", words, output)
		}
	}
}
