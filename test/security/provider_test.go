package security

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/observe"
	"github.com/gorizond/capi-vip-allocator/test/provider"
)

// examplePool makes a pool of a kind whose provider is the test.
func (w *world) examplePool(namespace, name, class string) {
	w.t.Helper()
	w.Apply(w.t, fmt.Sprintf(`
apiVersion: ipam.example.test/v1
kind: ExamplePool
metadata: {name: %s, namespace: %s, annotations: {"vip.capi.gorizond.io/cluster-class": %s, "vip.capi.gorizond.io/role": control-plane}}
`, name, namespace, class))
}

// address is an IPAddress as a provider would make it.
func address(namespace, name, claim, kind, pool, text string) *unstructured.Unstructured {
	prefix := int64(24)
	group := "ipam.cluster.x-k8s.io"
	if kind == provider.Kind {
		group = provider.Group
	}
	return &unstructured.Unstructured{Object: object{
		"apiVersion": "ipam.cluster.x-k8s.io/v1beta2", "kind": "IPAddress",
		"metadata": object{"namespace": namespace, "name": name},
		"spec": object{
			"address": text, "prefix": prefix, "claimRef": object{"name": claim},
			"poolRef": object{"apiGroup": group, "kind": kind, "name": pool},
		},
	}}
}

// bind plays the provider: the claim, once it is there, is bound to that IPAddress.
func (w *world) bind(namespace, claim, address string) {
	w.t.Helper()
	w.until("there is claim "+claim, func() error {
		_, err := w.get(observe.Claims, namespace, claim)
		return err
	})
	w.status(namespace, claim, object{"addressRef": object{"name": address}})
}

func (w *world) status(namespace, claim string, status object) {
	w.t.Helper()
	patch, err := json.Marshal(object{"status": status})
	if err == nil {
		_, err = w.Client.Resource(observe.Claims).Namespace(namespace).Patch(w.t.Context(), claim, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) give(o *unstructured.Unstructured) {
	w.t.Helper()
	if _, err := w.Client.Resource(observe.Addresses).Namespace(o.GetNamespace()).Create(w.t.Context(), o, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// unpublished expects that the Cluster was given no control plane VIP.
func (w *world) unpublished(namespace, name string) {
	w.t.Helper()
	if v, err := w.vips(namespace, name); err != nil || v.host != "" || v.clusterVip != "" || v.cpStamp != "" {
		w.t.Errorf("%s has %+v: %v", name, v, err)
	}
}

// A provider binds a claim to what cannot be a VIP, or is not the claim's. It is not
// published, and the Cluster says what is wrong.
func TestProviderThatBindsNonsense(t *testing.T) {
	w := newWorld(t)
	u := w.tenant("")
	class, net := "nonsense", subnet()
	w.classes(class, u.namespace)
	w.examplePool(u.namespace, "p", class)
	for name, text := range map[string]string{
		"loopback": "127.0.0.1", "loopback6": "::1", "multicast": "224.0.0.9", "unspecified": "0.0.0.0", "unspecified6": "::",
		"zone": "fe80::1%eth0", "linklocal": "169.254.1.1", "linklocal6": "fe80::7", "broadcast": "255.255.255.255",
	} {
		u.make(name, class)
		w.give(address(u.namespace, "a-"+name, cpClaim+name, provider.Kind, "p", text))
		w.bind(u.namespace, cpClaim+name, "a-"+name)
		w.says(u.namespace, name, cpReady, "AddressInvalid", "IPAddress a-"+name, text)
		w.unpublished(u.namespace, name)
	}
	// The API server itself takes no text that is no address, and no pool but the claim's.
	for _, o := range []*unstructured.Unstructured{
		address(u.namespace, "text", cpClaim+"x", provider.Kind, "p", "not an address"),
		address(u.namespace, "zeros", cpClaim+"x", provider.Kind, "p", "010.0.0.1"),
		address(u.namespace, "cidr", cpClaim+"x", provider.Kind, "p", "10.0.0.1/24"),
		address(u.namespace, "pool", cpClaim+"zone", provider.Kind, "other", net+".9"),
	} {
		if _, err := w.Client.Resource(observe.Addresses).Namespace(u.namespace).Create(t.Context(), o, metav1.CreateOptions{}); !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) {
			t.Errorf("IPAddress %s: %v", o.GetName(), err)
		}
	}
	u.make("stranger", class)
	w.bind(u.namespace, cpClaim+"stranger", "a-zone")
	w.says(u.namespace, "stranger", cpReady, "AddressInvalid", "IPAddress a-zone names claim", cpClaim+"zone")
	u.make("nothing", class)
	w.bind(u.namespace, cpClaim+"nothing", "no-such-address")
	w.status(u.namespace, cpClaim+"nothing", object{"conditions": []any{object{
		"type": "Ready", "status": "True", "reason": "Available", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
	}}})
	w.says(u.namespace, "nothing", cpReady, "ClaimPending", "is being bound")
	w.unpublished(u.namespace, "nothing")
}

// A provider gives out what others have.
func TestProviderThatGivesWhatIsTaken(t *testing.T) {
	w := newWorld(t)
	victim, u := w.tenant(""), w.tenant("")
	class, net := "taken", subnet()
	w.classes(class, victim.namespace, u.namespace)
	w.pool("", victim.namespace, class, `"vip.capi.gorizond.io/namespaces": `+victim.namespace, net+".10-"+net+".19")
	victim.make("prod", class)
	has := w.served(victim.namespace, "prod")
	victim.make("typed", class, host(net+".30"))
	w.examplePool(u.namespace, "p", class)
	for name, text := range map[string]string{"pool": has.host, "mapped": "::ffff:" + has.host, "ingress": has.inStamp, "manual": net + ".30"} {
		u.make(name, class)
		w.give(address(u.namespace, "a-"+name, cpClaim+name, provider.Kind, "p", text))
		w.bind(u.namespace, cpClaim+name, "a-"+name)
		w.says(u.namespace, name, cpReady, "AddressInUse", "Cluster "+victim.namespace+"/")
		w.unpublished(u.namespace, name)
	}
	// One address for two claims at once: one of them has it.
	u.make("twin-a", class)
	u.make("twin-b", class)
	for _, name := range []string{"twin-a", "twin-b"} {
		w.give(address(u.namespace, name, cpClaim+name, provider.Kind, "p", net+".40"))
	}
	w.bind(u.namespace, cpClaim+"twin-a", "twin-a")
	w.bind(u.namespace, cpClaim+"twin-b", "twin-b")
	w.until("one twin is served and the other is told", func() error {
		said := ""
		for _, name := range []string{"twin-a", "twin-b"} {
			c, err := w.get(observe.Clusters, u.namespace, name)
			if err != nil {
				return err
			}
			_, text := condition(c, cpReady)
			reason, _, _ := strings.Cut(text, ":")
			said += reason + " "
		}
		if said != "Allocated AddressInUse " && said != "AddressInUse Allocated " {
			return fmt.Errorf("they say %s", said)
		}
		return nil
	})
	// What was published stays, whatever the provider says later.
	u.make("swapped", class)
	w.give(address(u.namespace, "before", cpClaim+"swapped", provider.Kind, "p", net+".41"))
	w.give(address(u.namespace, "after", cpClaim+"swapped", provider.Kind, "p", net+".42"))
	w.bind(u.namespace, cpClaim+"swapped", "before")
	w.says(u.namespace, "swapped", cpReady, "Allocated", net+".41")
	w.bind(u.namespace, cpClaim+"swapped", "after")
	w.says(u.namespace, "swapped", cpReady, "ClaimUnused", net+".41", net+".42")
	if v, err := w.vips(u.namespace, "swapped"); err != nil || v.host != net+".41" || v.cpStamp != net+".41" {
		t.Errorf("it has %+v: %v", v, err)
	}
}

// An address that its pool does not hold is not published: the claim is given up for another. The
// in-cluster provider takes an IPAddress that is there for the claim as its own.
func TestProviderThatBindsOutsideOfThePool(t *testing.T) {
	w := newWorld(t)
	u := w.tenant("")
	for name, host := range map[string]string{"beyond": "", "family": "fd00::20"} {
		// A class and a range for each: a pool would serve both, also for ingress.
		class, net, pool := "outside-"+name, subnet(), u.namespace+"-"+name
		w.classes(class, u.namespace)
		w.pool("", pool, class, "", net+".10-"+net+".19")
		if host == "" {
			host = net + ".20"
		}
		w.give(address(u.namespace, cpClaim+name, cpClaim+name, "GlobalInClusterIPPool", pool, host))
		u.make(name, class, annotation(cpPool, pool))
		if v := w.served(u.namespace, name); v.host == host {
			t.Errorf("%s has %s, which its pool does not hold", name, host)
		}
	}
}

// What a provider says about a claim reaches people as a short line of plain text.
func TestProviderThatShouts(t *testing.T) {
	w := newWorld(t)
	u := w.tenant("")
	class := "shouting"
	w.classes(class, u.namespace)
	w.examplePool(u.namespace, "p", class)
	u.make("c", class)
	w.until("there is a claim", func() error {
		_, err := w.get(observe.Claims, u.namespace, cpClaim+"c")
		return err
	})
	const limit = 32 << 10 // of the API server
	loud := "\x1b[2J\x1b]0;owned\x07\u009b31m\u202e\nE1123 00:00:00.000000 1 fake.go:1] line\r\n"
	loud += strings.Repeat("A", limit-len(loud))
	ready := object{"type": "Ready", "status": "False", "reason": "PoolNotReady", "message": loud, "lastTransitionTime": "2026-01-01T00:00:00Z"}
	conditions := []any{ready}
	for i := range 31 {
		conditions = append(conditions, object{"type": fmt.Sprintf("T%d", i), "status": "Unknown", "reason": "R", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"})
	}
	w.status(u.namespace, cpClaim+"c", object{"conditions": conditions})
	w.says(u.namespace, "c", cpReady, "PoolNotReady", "E1123")
	c, err := w.get(observe.Clusters, u.namespace, "c")
	if err != nil {
		t.Fatal(err)
	}
	checkPlain(t, c)
	for line := range strings.Lines(w.allocator.Log()) {
		if strings.HasPrefix(line, "E1123") || strings.ContainsAny(line, "\x1b\x07\u009b\u202e") {
			t.Errorf("the log has a line %.200q", line)
		}
	}
}

// checkPlain expects that the allocator's conditions are short and print as they are.
func checkPlain(t *testing.T, c *unstructured.Unstructured) {
	t.Helper()
	for _, kind := range []string{cpReady, inReady} {
		_, text := condition(c, kind)
		if len(text) > 1200 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("condition %s of %s is %d bytes: %.300q", kind, c.GetName(), len(text), text)
		}
	}
}
