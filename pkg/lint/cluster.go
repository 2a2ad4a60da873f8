package lint

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"
	clusterv1beta1 "sigs.k8s.io/cluster-api/api/core/v1beta1" //nolint:staticcheck // manifests of that version are in use
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

type cluster struct {
	*object
	spec *clusterv1.Cluster
	view vip.Cluster
}

func (l *linter) loadCluster(o *object) {
	c := &cluster{object: o}
	if o.legacy() {
		var old clusterv1beta1.Cluster
		if !l.readable(o, &old) {
			return
		}
		current, err := kube.ClusterFromV1Beta1(&old)
		if err != nil {
			l.add(o, o.line(), Error, BadField, "%v", err)
			return
		}
		c.spec, c.view = current, kube.Cluster(current)
		l.checkFields(o, new(clusterv1beta1.Cluster))
	} else {
		var current clusterv1.Cluster
		if !l.readable(o, &current) {
			return
		}
		c.spec, c.view = &current, kube.Cluster(&current)
		l.checkFields(o, new(clusterv1.Cluster))
	}
	l.clusters = append(l.clusters, c)
}

func (l *linter) checkCluster(c *cluster) {
	l.checkKeys(c.object, onClusters())
	if !c.view.HasTopology {
		return
	}
	l.checkName(c)
	l.checkOwn(c)
	l.checkPaused(c)
	of := l.classOf(c)
	if of != nil {
		l.checkVariables(c, of)
	}
	for _, role := range vip.Roles() {
		l.checkFilter(c, role)
	}
	if text, set := c.view.Annotations[vip.BackfillAnnotation]; set && text != "true" {
		l.add(c.object, c.annotationLine(vip.BackfillAnnotation), Warning, AnnotationValue, "%s: %.80q changes nothing; only \"true\" does", vip.BackfillAnnotation, text)
	}
	if !l.options.Exists {
		l.checkPlan(c, of)
		l.checkWaiting(c)
	}
}

func (c *cluster) annotationLine(key string) int { return c.line("metadata", "annotations", key) }

// checkName finds names under which neither the Cluster nor its claims can exist.
func (l *linter) checkName(c *cluster) {
	line := c.line("metadata", "name")
	if hasPlaceholder(c.name) {
		return
	}
	if c.name == "" {
		if !c.has("metadata", "generateName") {
			l.add(c.object, line, Error, ClusterName, "metadata.name is missing; name the Cluster")
		}
		return
	}
	if len(c.name) > validation.LabelValueMaxLength {
		l.add(c.object, line, Error, ClusterName, "the name has %d characters, and Cluster API refuses more than %d: it is the value of a label; shorten it", len(c.name), validation.LabelValueMaxLength)
		return
	}
	if len(validation.IsDNS1123Subdomain(c.name)) > 0 {
		l.add(c.object, line, Error, ClusterName, "Kubernetes refuses the name: use lower case letters, digits, \"-\" and \".\", with a letter or digit at both ends")
	}
}

// checkOwn finds what only the allocator writes. In what was read from an API server
// it may well have done so.
func (l *linter) checkOwn(c *cluster) {
	if c.exported || c.live {
		return
	}
	report := func(field, key, effect string) {
		if c.has("metadata", field, key) {
			l.add(c.object, c.line("metadata", field, key), Warning, OwnAnnotation, "%s is written by the allocator alone%s; remove it", key, effect)
		}
	}
	report("annotations", vip.HeldAnnotation, ", and lets it lift a pause that you set")
	for _, role := range vip.Roles() {
		report("annotations", role.WrittenAnnotation(), ", who would take values that you set for its own")
		report("labels", role.Stamp(), "")
		report("labels", role.StampedLabel(), "")
	}
	// An ingress VIP may be chosen by its annotation; an endpoint may not.
	report("annotations", vip.ControlPlane.Stamp(), "; to choose a VIP set spec.controlPlaneEndpoint.host")
}

func (l *linter) checkPaused(c *cluster) {
	if c.view.Held() {
		return
	}
	switch _, annotated := c.view.Annotations[vip.PausedAnnotation]; {
	case annotated:
		l.add(c.object, c.annotationLine(vip.PausedAnnotation), Info, Paused, "the Cluster gets no VIP as long as it carries %s, whatever its value; remove it", vip.PausedAnnotation)
	case c.view.Paused == nil:
	case *c.view.Paused:
		l.add(c.object, c.line("spec", "paused"), Info, Paused, "the Cluster gets no VIP as long as it is paused; remove the field, and the hold gate can keep it waiting")
	case l.options.OtherGate && !c.exported && !c.live:
		l.add(c.object, c.line("spec", "paused"), Info, Paused, "a Cluster that states paused is not kept waiting by the hold gate; remove the field")
	}
}

// checkFilter compares the role's filter with the pools of the input, if there are any.
func (l *linter) checkFilter(c *cluster, role vip.Role) {
	filter := c.view.Annotations[role.PoolAnnotation()]
	ours := l.ours()
	if filter == "" || len(ours) == 0 {
		return
	}
	line, given := c.annotationLine(role.PoolAnnotation()), len(ours)
	named := slices.DeleteFunc(ours, func(p *pool) bool {
		ref := p.Ref
		if ref.Namespace == "" && ref.Kind != "GlobalInClusterIPPool" {
			// It may be applied to the Cluster's namespace.
			ref.Namespace = c.namespace
		}
		return !vip.FilterAdmits(filter, ref)
	})
	if len(named) == 0 {
		l.add(c.object, line, Warning, PoolFilter, "%s: %.80q names none of the %d given pools, so the Cluster would wait; correct it, or give the pool to lint too", role.PoolAnnotation(), filter, given)
		return
	}
	if !slices.ContainsFunc(named, func(p *pool) bool { return p.mayServe(role, c.view.Class, false) }) {
		l.add(c.object, line, Warning, PoolFilter, "%s names %s, which does not serve class %s for role %s: a filter only chooses among the pools that match; label the pool so, or name another", role.PoolAnnotation(), named[0].Ref, c.view.Class.Name, role)
	}
}

// ours are the pools that carry our keys.
func (l *linter) ours() []*pool {
	var list []*pool
	for _, p := range l.pools {
		if p.Ours {
			list = append(list, p)
		}
	}
	return list
}

// classOf returns the Cluster's class if it is given, and nil if it cannot be told
// which one it is: overlays may hold several of one name.
func (l *linter) classOf(c *cluster) *class {
	for _, fits := range []func(*class) bool{
		func(of *class) bool { return of.namespace == c.view.Class.Namespace },
		func(of *class) bool { return sameNamespace(of.namespace, c.view.Class.Namespace) },
	} {
		var found, beside []*class
		for _, of := range l.classes {
			if of.name != c.view.Class.Name || !fits(of) {
				continue
			}
			found = append(found, of)
			if of.file == c.file {
				beside = append(beside, of)
			}
		}
		switch {
		case len(found) == 1:
			return found[0]
		case len(beside) == 1:
			return beside[0]
		case len(found) > 1:
			return nil
		}
	}
	return nil
}
