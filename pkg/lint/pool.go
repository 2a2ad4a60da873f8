package lint

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// restSeconds is how long a released VIP should rest: ARP caches and nodes that are
// shutting down use it a little longer than its Cluster exists.
const restSeconds = 120

type pool struct {
	*object
	*kube.Pool
	// nodes says that it is no pool, but a range from which a provider gives machines addresses.
	nodes bool
}

// isInCluster tells whether the in-cluster provider serves pools of the kind.
func isInCluster(o *object) bool {
	return kube.IsInCluster(vip.PoolRef{Group: o.group, Kind: o.kind})
}

// handsOutPrefixes tells whether pools of the kind hand out prefixes, not addresses.
func handsOutPrefixes(o *object) bool { return strings.HasSuffix(o.kind, "PrefixPool") }

func (l *linter) loadPool(o *object) {
	if !l.texts(o) {
		return
	}
	namespaced := o.kind != "GlobalInClusterIPPool"
	raw := o.raw
	if o.version == "v1alpha1" {
		raw = currentPool(raw)
	}
	l.pools = append(l.pools, &pool{object: o, Pool: kube.NewPool(&unstructured.Unstructured{Object: raw}, namespaced)})
}

func (l *linter) checkPool(p *pool) {
	inCluster := isInCluster(p.object)
	if p.nodes {
		return
	}
	if inCluster || p.Ours {
		l.checkKeys(p.object, onPools())
	}
	if !p.Ours {
		l.checkStray(p)
		return
	}
	if !p.substituted {
		l.checkLabels(p)
		l.checkServes(p)
		l.checkNames(p)
	}
	switch {
	case p.substituted:
	case handsOutPrefixes(p.object):
		l.add(p.object, p.line("kind"), Error, PoolKind, "pools of this kind hand out prefixes, not addresses, and never serve VIPs; use an IP pool")
	case !inCluster:
		l.add(p.object, p.line("kind"), Info, PoolKind, "pools of this kind are read only if --pool-kinds names it, as resource.%s; their addresses are not checked here", p.group)
	case !slices.Contains(poolVersions(), p.version):
		l.add(p.object, p.line("apiVersion"), Error, PoolKind, "the in-cluster provider has no version %.40q of this kind, so the API server refuses the pool; write ipam.cluster.x-k8s.io/v1alpha2", p.version)
	default:
		l.checkPoolFields(p)
		l.checkNetwork(p)
		l.checkRanges(p)
		if p.Ranges != nil && p.Grace <= 0 {
			l.add(p.object, p.line("spec", "addressReuseGracePeriodSeconds"), Info, PoolGrace,
				"a released address can be handed out again at once; set addressReuseGracePeriodSeconds: %d (in-cluster IPAM provider 1.1 or later)", restSeconds)
		}
	}
}

// checkLabels finds values that the API server refuses in a label.
func (l *linter) checkLabels(p *pool) {
	for _, key := range []string{vip.PoolClassKey, vip.PoolRoleKey} {
		value, exists := p.Labels[key]
		if !exists || vip.LegalLabelValue(value) {
			continue
		}
		why, remedy := "is no legal label value", "use the annotation "+key
		switch {
		case strings.Contains(value, ","):
			why = "has commas, which a label value cannot hold"
			remedy = fmt.Sprintf("join the names by \"_\", or use the annotation %s, which takes commas", key)
		case strings.Contains(value, "*"):
			why = "has the wildcard, which a label value cannot hold"
		case strings.Contains(value, "/"):
			why = "has a slash, which a label value cannot hold"
		case len(value) > validation.LabelValueMaxLength:
			why = fmt.Sprintf("is longer than the %d characters of a label value", validation.LabelValueMaxLength)
		}
		l.add(p.object, p.line("metadata", "labels", key), Error, PoolLabel, "label %s: %.80q %s, so the API server refuses the pool; %s", key, value, why, remedy)
	}
}

// checkServes reports what makes the pool serve nobody.
func (l *linter) checkServes(p *pool) {
	for _, err := range p.problems() {
		l.add(p.object, p.keyLine(err), Error, PoolKeys, "%v; the pool serves nobody until then", err)
	}
	namespaces := p.line("metadata", "annotations", vip.PoolNamespacesKey)
	switch {
	case p.Serves.Namespaces == nil:
	case p.kind != "GlobalInClusterIPPool" && (p.Namespace != "" || isInCluster(p.object)):
		l.add(p.object, namespaces, Info, PoolKeys, "%s says nothing on a namespaced pool, which serves Clusters of its own namespace only; remove it", vip.PoolNamespacesKey)
	case len(p.Serves.Namespaces) == 0:
		l.add(p.object, namespaces, Warning, PoolEmpty, "%s names no namespace, so the pool serves nobody; name some, or remove it for all", vip.PoolNamespacesKey)
	}
}

// problems are the errors of the pool's keys one by one.
func (p *pool) problems() []error { return split(p.Serves.Err) }

func split(err error) []error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return joined.Unwrap()
	}
	return nil
}

// keyLine is where the label or annotation stands that the error names. Of a key
// that is both, the label is to blame if it has the same error alone.
func (p *pool) keyLine(err error) int {
	key, _, _ := strings.Cut(err.Error(), ":")
	alone := vip.ParseServes(p.Labels, nil)
	inLabel := slices.ContainsFunc(split(alone.Err), func(e error) bool { return e.Error() == err.Error() })
	if p.has("metadata", "labels", key) && (inLabel || !p.has("metadata", "annotations", key)) {
		return p.line("metadata", "labels", key)
	}
	return p.line("metadata", "annotations", key)
}

// mayServe tells whether the pool can serve the role of Clusters of that class, as far
// as manifests tell. byName leaves out pools that serve every class.
func (p *pool) mayServe(role vip.Role, class vip.ClassKey, byName bool) bool {
	if p.Serves.Err != nil || !p.Serves.HasRole(role) {
		return false
	}
	return names(&p.Serves, class) || !byName && p.Serves.Class(class)
}
