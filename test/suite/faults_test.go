package suite

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gorizond/capi-vip-allocator/test/fault"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// behind starts an allocator behind a proxy of its own.
func (w *world) behind() *fault.Proxy {
	w.t.Helper()
	proxy, kubeconfig := w.proxy()
	w.startAllocatorAt(kubeconfig)
	return proxy
}

// proxy starts a proxy whose user is the chart's ServiceAccount.
func (w *world) proxy() (proxy *fault.Proxy, kubeconfig string) {
	w.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", w.kubeconfig)
	if err != nil {
		w.t.Fatal(err)
	}
	if proxy, err = fault.Start(config); err != nil {
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
	ours := func(values map[string]string) map[string]string {
		maps.DeleteFunc(values, func(key, _ string) bool { return !strings.HasPrefix(key, prefix) })
		return values
	}
	parts := []any{o.Spec.ControlPlaneEndpoint, o.Spec.Topology.Variables, ours(o.Labels), ours(o.Annotations)}
	replacements := []string{c.name + `"`, `NAME"`, string(c.uid), "UID"}
	for _, r := range bothRoles {
		replacements = append(replacements, o.Annotations[r.stamp()], strings.ToUpper(string(r)))
		claim := c.claim(r)
		delete(claim.Labels, "objectset.rio.cattle.io/hash") // of the Cluster's name
		parts = append(parts, reasonOf(o, r), conditionOf(o, r), claim.Labels, claim.OwnerReferences, claim.Spec)
	}
	text, err := json.MarshalIndent(parts, "", " ")
	if err != nil {
		c.w.t.Fatal(err)
	}
	return strings.NewReplacer(replacements...).Replace(string(text))
}

// The allocator is killed at each of the writes of an allocation in turn, before the
// API server sees it and after, and started again. Whatever was half done then ends
// like an allocation that nothing disturbed.
func TestKilledAtEachWrite(t *testing.T) {
	t.Parallel()
	for name, arm := range map[string]func(kill func(fault.Request)) fault.Rule{
		"before": func(kill func(fault.Request)) fault.Rule {
			return fault.Rule{Before: kill, Refuse: &fault.Refusal{Code: 500}}
		},
		"after": func(kill func(fault.Request)) fault.Rule {
			return fault.Rule{After: func(r fault.Request, _ int) { kill(r) }, DropReply: true}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).judged()
			k := w.gatedClass(bothRoles...)
			p := w.pool(serving(eitherRole, k), size(200))
			proxy, kubeconfig := w.proxy()
			allocator := w.startAllocatorAt(kubeconfig)
			undisturbed := w.cluster(k)
			for _, r := range bothRoles {
				undisturbed.served(r)
			}
			want := undisturbed.portrait()
			const most = 20 // writes of an allocation, with a margin
			for n := 1; n <= most; n++ {
				victim, write := allocator, ""
				rule := arm(func(r fault.Request) { write = r.String(); victim.Kill() })
				rule.Nth = n
				c, happened := w.faulted(k, proxy, rule)
				if happened {
					<-victim.Done()
					allocator = w.startAllocatorAt(kubeconfig)
				}
				for _, r := range bothRoles {
					c.served(r)
				}
				if got := c.portrait(); got != want {
					t.Errorf("killed at write %d (%s), the Cluster ends as\n%s\nwant\n%s", n, write, got, want)
				}
				p.uses((n + 1) * len(bothRoles))
				if !happened {
					t.Logf("an allocation takes %d writes", n-1)
					return
				}
			}
			t.Fatalf("an allocation takes more than %d writes", most)
		})
	}
}

// faulted makes a Cluster while the rule is in force for what allocators write in the
// world, until it has applied or the Cluster is served.
func (w *world) faulted(k *class, proxy *fault.Proxy, rule fault.Rule) (c *cluster, happened bool) {
	w.t.Helper()
	rule.Match = fault.In(w.namespace, fault.Writes)
	armed := proxy.Add(rule)
	c = w.cluster(k)
	w.eventually("the fault happens or the Cluster is served", func() error {
		select {
		case <-armed.Hit():
			return nil
		default:
			return check(c.now(), []expectation{reason(controlPlane, "Allocated"), reason(ingress, "Allocated")})
		}
	})
	armed.Remove()
	select {
	case <-armed.Hit():
		return c, true
	default:
		return c, false
	}
}

// The API server does what it was asked, and its reply gets lost.
func TestLostReplies(t *testing.T) {
	t.Parallel()
	for name, match := range map[string]fault.Match{
		"of a claim":        fault.Of("create", "ipaddressclaims"),
		"of the Cluster":    fault.Of("patch", "clusters"),
		"of the conditions": fault.Of("patch", "clusters/status"),
		"of a Lease":        fault.Of("create", "leases"),
		"of any":            fault.Writes,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).judged()
			proxy := w.behind()
			k := w.gatedClass(bothRoles...)
			// Two pools of one range, so that Leases are made too.
			p := w.pool(serving(eitherRole, k))
			w.pool(serving(eitherRole, k), ranges(p.address(0)+"-"+p.address(10)))
			var rules []*fault.Armed
			for n := range 2 { // the first two
				rules = append(rules, proxy.Add(fault.Rule{Match: match, Nth: n + 1, DropReply: true}))
			}
			c := w.cluster(k)
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
				if left := list[metav1.PartialObjectMetadata](w, observe.Claims, w.namespace, ""); len(left) > 1 {
					return fmt.Errorf("%d are left", len(left)-1)
				}
				return nil
			})
		})
	}
}

// The allocator does not see its own claims for a while: it makes no others.
func TestFrozenClaims(t *testing.T) {
	w := newWorld(t).judged()
	proxy := w.behind()
	k := w.gatedClass(bothRoles...)
	p := w.pool(serving(eitherRole, k))
	thaw := proxy.Freeze(fault.Of("watch", "ipaddressclaims"))
	c := w.cluster(k)
	p.uses(2) // the provider has served both claims meanwhile
	c.change(annotated("example.com/touched", "once"))
	// Longer than the allocator believes in a claim that it does not see.
	again := proxy.Add(fault.Rule{Match: fault.In(w.namespace, fault.Of("create", "ipaddressclaims"))})
	w.eventually("the allocator tries again", func() error {
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
	p.uses(2)
}

// One allocator sees no claims. It takes no Lease from another one, which has it and is
// about to publish the address.
func TestFrozenClaimsOfOthers(t *testing.T) {
	w := newWorld(t).judged()
	blind, kubeconfig := w.proxy()
	w.startAllocatorAt(kubeconfig, "--watch-filter="+w.unique("blind"))
	blind.Freeze(fault.Of("watch", "ipaddressclaims"))
	looked := blind.Add(fault.Rule{Match: fault.In(w.namespace, fault.Of("get", "clusters"))})

	proxy := w.behind()
	// Two pools of one range, so that there are Leases.
	k := w.gatedClass(bothRoles...)
	p := w.pool(serving(eitherRole, k))
	w.pool(serving(eitherRole, k), ranges(p.address(0)+"-"+p.address(10)))
	published := proxy.Add(fault.Rule{
		Match: fault.In(w.namespace, fault.Of("patch", "clusters")), Nth: 1,
		Before: func(fault.Request) {
			select {
			case <-looked.Hit():
			case <-time.After(patience):
			}
		},
	})
	c := w.cluster(k)
	w.happened(looked)
	w.happened(published)
	for _, r := range bothRoles {
		c.served(r)
	}
	if held := w.leases(); len(held) != 2 {
		t.Errorf("Leases are %q", held)
	}
}

// A user sets an endpoint that the allocator does not see yet: it stays.
func TestFrozenClusters(t *testing.T) {
	w := newWorld(t).judged()
	proxy := w.behind()
	k := w.gatedClass(controlPlane)
	// No pool yet: the Cluster waits until the watch is frozen.
	c := w.cluster(k)
	c.becomes(reason(controlPlane, "NoPool"))
	c.rests() // so that the allocator has seen its own write, too
	thaw := proxy.Freeze(fault.Of("watch", "clusters"))
	host := newIP()
	c.change(at(host, 6443))
	refused := proxy.Add(fault.Rule{Match: fault.In(w.namespace, fault.Of("patch", "clusters"))})
	w.pool(serving(controlPlane, k))
	w.happened(refused)
	thaw()
	c.becomes(reason(controlPlane, "ClaimUnused", host))
	c.is(endpoint(host, 6443), variable("clusterVip", host))
	if first := proxy.Writes(fault.In(w.namespace, fault.Of("patch", "clusters")))[0]; first.Code != 422 {
		t.Errorf("the stale patch was answered with %d", first.Code)
	}
}
