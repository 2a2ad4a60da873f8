package lint

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// poolVersions are those of the in-cluster provider.
func poolVersions() []string { return []string{"v1alpha1", "v1alpha2"} }

// poolFields are those of spec, by version.
func poolFields(version string) []string {
	if version == "v1alpha1" {
		return []string{"addresses", "subnet", "start", "end", "prefix", "gateway"}
	}
	return []string{"addresses", "prefix", "gateway", "allocateReservedIPAddresses", "excludedAddresses", "addressReuseGracePeriodSeconds"}
}

// currentPool is a pool of v1alpha1 as the provider reads it: its subnet, or its first and last
// address, as addresses.
func currentPool(old map[string]any) map[string]any {
	current := (&unstructured.Unstructured{Object: old}).DeepCopy()
	spec, _ := current.Object["spec"].(map[string]any)
	if spec == nil {
		return old
	}
	text := func(name string) string { value, _ := spec[name].(string); return value }
	start, end, subnet := text("start"), text("end"), text("subnet")
	if _, lists := spec["addresses"]; !lists {
		switch {
		case start != "" && end != "":
			spec["addresses"] = []any{start + "-" + end}
		case subnet != "":
			spec["addresses"] = []any{subnet}
		}
	}
	if prefix, err := netip.ParsePrefix(subnet); err == nil && spec["prefix"] == nil {
		spec["prefix"] = int64(prefix.Bits())
	}
	return current.Object
}

// checkPoolFields finds fields that a pool does not have.
func (l *linter) checkPoolFields(p *pool) {
	spec, _ := p.raw["spec"].(map[string]any)
	known := poolFields(p.version)
	var unknown []string
	for field := range spec {
		if !slices.Contains(known, field) {
			unknown = append(unknown, field)
		}
	}
	slices.Sort(unknown)
	for _, field := range unknown {
		hint := "known are " + strings.Join(known, ", ")
		for _, other := range known {
			if vip.Similar(field, other) || strings.HasPrefix(strings.ToLower(other), strings.ToLower(field)) {
				hint = "did you mean " + other + "?"
			}
		}
		l.add(p.object, p.line("spec", field), Warning, UnknownField, "spec.%.80s is no field of %s %s: kubectl refuses it, and the API server drops it; %s", field, p.kind, p.version, hint)
	}
}

// checkNetwork compares prefix, gateway and addresses as the provider's webhook does.
func (l *linter) checkNetwork(p *pool) {
	spec, _ := p.raw["spec"].(map[string]any)
	if _, exists := spec["prefix"]; !exists && p.version != "v1alpha1" {
		l.add(p.object, p.line("spec"), Error, PoolNetwork, "spec.prefix is missing, which the API server requires; write the length of the network's prefix, such as 24")
		return
	}
	whole, err := p.written()
	if err != nil || len(whole.Ranges()) == 0 {
		return
	}
	first := whole.Ranges()[0].From()
	for _, r := range whole.Ranges() {
		if r.From().Is4() != first.Is4() {
			l.add(p.object, p.line("spec", "addresses"), Error, PoolNetwork, "spec.addresses mixes IPv4 and IPv6, which the provider refuses; make a pool of each")
			return
		}
	}
	network, err := first.Prefix(int(p.Network.Prefix))
	if err != nil {
		l.add(p.object, p.line("spec", "prefix"), Error, PoolNetwork, "spec.prefix %d is no length of a prefix of %s; the provider refuses it", p.Network.Prefix, first)
		return
	}
	for i, entry := range p.entries("addresses") {
		text, _ := entry.(string)
		if set, err := kube.ParseRanges([]string{text}, nil); err == nil && !within(set, network) {
			l.add(p.object, p.line("spec", "addresses", i), Error, PoolNetwork, "%.80s is outside of %s, the network of %s with spec.prefix %d, so the provider refuses the pool; correct the prefix, or make a pool for each network", text, network, first, p.Network.Prefix)
		}
	}
	l.checkGateway(p, network)
}

func within(set *netipx.IPSet, network netip.Prefix) bool {
	for _, r := range set.Ranges() {
		if !network.Contains(r.From()) || !network.Contains(r.To()) {
			return false
		}
	}
	return true
}

func (l *linter) checkGateway(p *pool, network netip.Prefix) {
	if p.Network.Gateway == "" {
		return
	}
	line := p.line("spec", "gateway")
	gateway, err := netip.ParseAddr(p.Network.Gateway)
	switch {
	case err != nil:
		l.add(p.object, line, Error, PoolNetwork, "spec.gateway %.80q is no IP address, so the provider refuses the pool", p.Network.Gateway)
	case gateway.Is4() != network.Addr().Is4():
		l.add(p.object, line, Error, PoolNetwork, "spec.gateway %s is not of the family of the addresses, so the provider refuses the pool", gateway)
	case !network.Contains(gateway):
		l.add(p.object, line, Warning, PoolNetwork, "spec.gateway %s is outside of %s, the network of the addresses; correct one of them", gateway, network)
	}
}

// written is what spec.addresses lists, whatever of it is handed out.
func (p *pool) written() (*netipx.IPSet, error) {
	var texts []string
	for _, entry := range p.entries("addresses") {
		text, _ := entry.(string)
		texts = append(texts, text)
	}
	return kube.ParseRanges(texts, nil)
}

// checkUsable reports addresses that can be no VIP, and tells whether any other is left.
func (l *linter) checkUsable(p *pool) bool {
	bad, good := "", false
	for _, r := range p.Ranges.Ranges() {
		for _, end := range []netip.Addr{r.From(), r.To()} {
			if _, err := vip.ParseAddress(end.String()); err != nil {
				bad = fmt.Sprint(err)
				continue
			}
			good = true
		}
	}
	line := p.line("spec", "addresses")
	switch {
	case bad == "":
	case good:
		l.add(p.object, line, Warning, PoolAddresses, "some of its addresses can be no VIP: %s; a Cluster that gets one waits; exclude them by excludedAddresses", bad)
	default:
		l.add(p.object, line, Error, PoolAddresses, "none of its addresses can be a VIP: %s; list addresses of the machines' network", bad)
	}
	return bad == "" || good
}

// checkStray reports a pool that carries something of ours, and nothing that makes it a VIP pool.
func (l *linter) checkStray(p *pool) {
	if p.substituted || !vip.HasKeys(p.Labels, p.Annotations) {
		return
	}
	if err := vip.ParseServes(p.Labels, p.Annotations).Err; err != nil {
		l.add(p.object, p.line("metadata"), Error, PoolKeys, "%v; the pool serves nobody until then", err)
	}
}

// checkNames reports classes that the pool names and that look like a slip of one that is given.
func (l *linter) checkNames(p *pool) {
	for _, entry := range p.Serves.Classes {
		meant := ""
		for _, c := range l.classes {
			if c.name == entry.Name {
				meant = ""
				break
			}
			if vip.Similar(entry.Name, c.name) {
				meant = c.name
			}
		}
		if meant != "" {
			l.add(p.object, p.keyLine(fmt.Errorf("%s: ", vip.PoolClassKey)), Warning, PoolKeys, "no ClusterClass %s is given; did you mean %s?", entry.Name, meant)
		}
	}
}

// loadNodes notes the range from which Cluster API's provider for Proxmox gives machines
// addresses. It is no pool that anybody lists.
func (l *linter) loadNodes(o *object) {
	for _, path := range [][]any{{"spec"}, {"spec", "template", "spec"}} {
		for _, field := range []string{"ipv4Config", "ipv6Config"} {
			var steps []string
			for _, step := range append(slices.Clone(path), field) {
				steps = append(steps, step.(string))
			}
			texts, _, err := unstructured.NestedStringSlice(o.raw, append(steps, "addresses")...)
			if err != nil || len(texts) == 0 {
				continue
			}
			if gateway, _, _ := unstructured.NestedString(o.raw, append(steps, "gateway")...); gateway != "" {
				texts = append(texts, gateway)
			}
			set, err := kube.ParseRanges(texts, nil)
			if err != nil {
				continue // its own provider says so
			}
			ref := vip.PoolRef{Group: o.group, Kind: o.kind, Namespace: o.namespace, Name: o.name}
			l.pools = append(l.pools, &pool{object: o, Pool: &kube.Pool{Ref: ref, Ranges: set}, nodes: true})
		}
	}
}
