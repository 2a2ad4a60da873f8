package pools

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/fault"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// behind starts an allocator behind a proxy of its own.
func (w *world) behind() (*fault.Proxy, *allocator.Process) {
	w.t.Helper()
	proxy, kubeconfig := w.proxy()
	return proxy, w.startAt(kubeconfig)
}

func (w *world) proxy() (proxy *fault.Proxy, kubeconfig string) {
	w.t.Helper()
	proxy, err := fault.Start(w.management.Config())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(proxy.Close)
	if kubeconfig, err = proxy.WriteKubeconfig(w.t.TempDir()); err != nil {
		w.t.Fatal(err)
	}
	return proxy, kubeconfig
}

// happened waits until the rule has applied.
func (w *world) happened(rule *fault.Armed) {
	w.t.Helper()
	w.eventually("the fault happens", func() error {
		select {
		case <-rule.Hit():
			return nil
		default:
			return fmt.Errorf("%d requests match", rule.Seen())
		}
	})
}

// portrait is what the allocator made of a Cluster, with the addresses replaced by
// the roles that they serve: the same for all Clusters that were served alike.
func (c *cluster) portrait() string {
	c.w.t.Helper()
	o := c.now()
	status := map[string]any{}
	for _, r := range bothRoles {
		reason, message := conditionOf(o, r)
		claim := c.claim(r)
		owners, _, _ := unstructured.NestedSlice(claim.Object, "metadata", "ownerReferences")
		marks := claim.GetLabels()
		delete(marks, "objectset.rio.cattle.io/hash") // of the Cluster's name
		status[string(r)] = []any{reason, message, marks, owners, claim.Object["spec"]}
	}
	labels, annotations := map[string]string{}, map[string]string{}
	for key, value := range o.GetLabels() {
		if strings.HasPrefix(key, prefix) {
			labels[key] = value
		}
	}
	for key, value := range o.GetAnnotations() {
		if strings.HasPrefix(key, prefix) {
			annotations[key] = value
		}
	}
	variables, _, _ := unstructured.NestedSlice(o.Object, "spec", "topology", "variables")
	text, err := json.MarshalIndent([]any{o.Object["spec"].(map[string]any)["controlPlaneEndpoint"], variables, labels, annotations, status}, "", " ")
	if err != nil {
		c.w.t.Fatal(err)
	}
	replacements := []string{c.name + `"`, `NAME"`, string(c.uid), "UID"}
	for _, r := range bothRoles {
		replacements = append(replacements, o.GetAnnotations()[r.stamp()], strings.ToUpper(string(r)))
	}
	return strings.NewReplacer(replacements...).Replace(string(text))
}

// The allocator is killed at each of the writes of an allocation in turn, before the
// API server sees it and after, and started again. Whatever was half done then ends
// like an allocation that nothing disturbed.
func TestKilledAtEachWrite(t *testing.T) {
	for name, arm := range map[string]func(kill func()) fault.Rule{
		"before": func(kill func()) fault.Rule {
			return fault.Rule{Before: func(fault.Request) { kill() }, Refuse: &fault.Refusal{Code: 500}}
		},
		"after": func(kill func()) fault.Rule {
			return fault.Rule{After: func(fault.Request, int) { kill() }, DropReply: true}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			class := w.class(bothRoles...)
			pool := w.pool(draft{class: class, addresses: []string{w.ip(0, 10) + "-" + w.ip(0, 250)}})
			undisturbed := w.cluster(class)
			first := w.start()
			for _, r := range bothRoles {
				undisturbed.served(r)
			}
			want := undisturbed.portrait()
			first.Kill()
			served := int64(1)
			const most = 20 // writes of an allocation, with a margin
			for k := 1; ; k++ {
				if k > most {
					t.Fatalf("an allocation takes more than %d writes", most)
				}
				c, write := w.killedAt(k, class, arm)
				served++
				if got := c.portrait(); got != want {
					t.Errorf("killed at write %d (%s), the Cluster ends as\n%s\nwant\n%s", k, write, got, want)
				}
				pool.uses(served * int64(len(bothRoles)))
				if write == "" {
					t.Logf("an allocation takes %d writes", k-1)
					return
				}
			}
		})
	}
}

// killedAt makes a Cluster whose allocator is killed at the k-th write and started
// anew. It returns the write; "" if there were less than k.
func (w *world) killedAt(k int, class string, arm func(kill func()) fault.Rule) (c *cluster, write string) {
	w.t.Helper()
	proxy, kubeconfig := w.proxy()
	p := w.startAt(kubeconfig)
	rule := arm(p.Kill)
	rule.Nth = k
	var requests []string
	// Leases of its own election aside, everything that it writes is about this Cluster.
	rule.Match = func(r fault.Request) bool {
		if !fault.Writes(r) || r.Namespace != w.namespace {
			return false
		}
		requests = append(requests, r.String())
		return true
	}
	armed := proxy.Add(rule)
	c = w.cluster(class)
	w.eventually("the allocator is killed or done", func() error {
		select {
		case <-armed.Hit():
			return nil
		default:
			return check(c.now(), reason(controlPlane, "Allocated"), reason(ingress, "Allocated"))
		}
	})
	select {
	case <-armed.Hit():
		<-p.Done()
		write = requests[k-1]
		p = w.start()
	default:
	}
	for _, r := range bothRoles {
		c.served(r)
	}
	p.Kill()
	proxy.Close()
	return c, write
}

// The API server does what it was asked, and its reply gets lost.
func TestLostReplies(t *testing.T) {
	for name, match := range map[string]fault.Match{
		"of a claim":        fault.Of("create", "ipaddressclaims"),
		"of the Cluster":    fault.Of("patch", "clusters"),
		"of the conditions": fault.Of("patch", "clusters/status"),
		"of a Lease":        fault.Of("create", "leases"),
		"of any":            fault.Writes,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			proxy, _ := w.behind()
			class := w.class(bothRoles...)
			for range 2 { // two pools of one range, so that Leases are made too
				w.pool(draft{class: class, addresses: []string{w.ip(0, 10) + "-" + w.ip(0, 20)}})
			}
			var rules []*fault.Armed
			for n := range 2 { // the first two
				rules = append(rules, proxy.Add(fault.Rule{Match: match, Nth: n + 1, DropReply: true}))
			}
			c := w.cluster(class)
			for _, r := range bothRoles {
				c.served(r)
			}
			w.happened(rules[0])
			w.barrier()
			creates := proxy.Writes(fault.In(w.namespace, fault.Of("create", "ipaddressclaims")))
			ours := slices.DeleteFunc(creates, func(f fault.Write) bool { return f.Code != 201 })
			if len(ours) != 3 { // and one of the barrier's
				t.Errorf("%d claims were made: %v", len(ours), ours)
			}
			c.condemned()
			w.eventually("its claims are gone", func() error {
				if left := w.list(observe.Claims, w.namespace); len(left) > 1 {
					return fmt.Errorf("%d are left", len(left)-1)
				}
				return nil
			})
		})
	}
}

// The allocator does not see its own claims for a while: it makes no others.
func TestFrozenClaims(t *testing.T) {
	w := newWorld(t)
	proxy, _ := w.behind()
	class := w.class(bothRoles...)
	pool := w.pool(draft{class: class, addresses: []string{w.ip(0, 10) + "-" + w.ip(0, 20)}})
	thaw := proxy.Freeze(fault.Of("watch", "ipaddressclaims"))
	c := w.cluster(class)
	pool.uses(2) // the provider has served both claims meanwhile
	c.patch(`{"metadata":{"annotations":{"example.com/touched":"once"}}}`)
	// Longer than the allocator believes in a claim that it does not see.
	again := proxy.Add(fault.Rule{Match: fault.In(w.namespace, fault.Of("create", "ipaddressclaims"))})
	w.within(patience, "the allocator tries again", func() error {
		if again.Seen() == 0 {
			return fmt.Errorf("it has not")
		}
		return nil
	})
	thaw()
	for _, r := range bothRoles {
		c.served(r)
	}
	for _, write := range proxy.Writes(fault.In(w.namespace, fault.Of("create", "ipaddressclaims"))) {
		if write.Code == 201 && write.Resource == "ipaddressclaims" {
			continue
		}
		if write.Code != 409 {
			t.Errorf("%s was answered with %d", write.Request, write.Code)
		}
	}
	pool.uses(2)
}

// A user sets an endpoint that the allocator does not see yet: it stays.
func TestFrozenClusters(t *testing.T) {
	w := newWorld(t)
	proxy, _ := w.behind()
	class := w.class(controlPlane)
	// No pool yet: the Cluster waits until the watch is frozen.
	c := w.cluster(class)
	c.becomes(reason(controlPlane, "NoPool"))
	thaw := proxy.Freeze(fault.Of("watch", "clusters"))
	host := w.ip(9, 9)
	c.patch(fmt.Sprintf(`{"spec":{"controlPlaneEndpoint":{"host":%q,"port":6443}}}`, host))
	refused := proxy.Add(fault.Rule{Match: fault.In(w.namespace, fault.Of("patch", "clusters"))})
	w.pool(draft{class: class, addresses: []string{w.ip(0, 10) + "-" + w.ip(0, 20)}})
	w.happened(refused)
	thaw()
	c.becomes(reason(controlPlane, "ClaimUnused", host))
	c.is(func(o *unstructured.Unstructured) error {
		if got := textAt(o, "spec", "controlPlaneEndpoint", "host"); got != host {
			return fmt.Errorf("the endpoint is %s, want %s", got, host)
		}
		if got := variableOf(o, "clusterVip"); got != host {
			return fmt.Errorf("the variable is %q, want %s", got, host)
		}
		return nil
	})
	if first := proxy.Writes(fault.In(w.namespace, fault.Of("patch", "clusters")))[0]; first.Code != 422 {
		t.Errorf("the stale patch was answered with %d", first.Code)
	}
}
