package suite

import (
	"fmt"
	"strings"
	"testing"
)

// Every way to write down whom a pool serves.
func TestMatchingForms(t *testing.T) {
	t.Parallel()
	for name, form := range map[string]struct {
		roles   string
		options func(w *world, k *class) []poolOption
	}{
		"labels": {"control-plane", func(_ *world, k *class) []poolOption {
			return []poolOption{labelled(poolRole, "control-plane"), labelled(poolClass, k.name)}
		}},
		"labels with several names": {"control-plane ingress", func(_ *world, k *class) []poolOption {
			return []poolOption{labelled(poolRole, "control-plane_ingress"), labelled(poolClass, "other_"+k.name)}
		}},
		"the label true and an annotation": {"ingress", func(_ *world, k *class) []poolOption {
			return []poolOption{labelled(poolRole, "ingress"), labelled(poolClass, "true"), annotated(poolClass, "other,"+k.name)}
		}},
		"both labels true": {"control-plane ingress", func(_ *world, k *class) []poolOption {
			return []poolOption{labelled(poolRole, "true"), annotated(poolRole, "ingress,control-plane"), labelled(poolClass, "true"), annotated(poolClass, k.name)}
		}},
		"annotations alone": {"control-plane ingress", func(_ *world, k *class) []poolOption {
			return []poolOption{annotated(poolRole, " ingress , control-plane "), annotated(poolClass, "other ,  "+k.name+" ")}
		}},
		"label and annotation united": {"control-plane", func(_ *world, k *class) []poolOption {
			return []poolOption{labelled(poolRole, "control-plane"), labelled(poolClass, "other"), annotated(poolClass, k.name)}
		}},
		"a long list": {"ingress", func(_ *world, k *class) []poolOption {
			return []poolOption{labelled(poolRole, "ingress"), annotated(poolClass, strings.Repeat("some-other-class,", 500)+k.name)}
		}},
		"namespace and name": {"control-plane", func(w *world, k *class) []poolOption {
			return []poolOption{labelled(poolRole, "control-plane"), annotated(poolClass, "elsewhere/"+k.name+","+w.namespace+"/"+k.name)}
		}},
		"every class": {"control-plane ingress", func(*world, *class) []poolOption {
			return []poolOption{namespaced(), labelled(poolRole, "control-plane_ingress"), annotated(poolClass, "*")}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.vipClass()
			p := w.pool(form.options(w, k)...)
			c := w.cluster(k)
			for _, r := range bothRoles {
				if strings.Contains(form.roles, string(r)) {
					c.becomes(reason(r, "Allocated", p.name))
				} else {
					c.becomes(reason(r, "NoPool"))
				}
			}
		})
	}
}

// A class name may be longer than a label value.
func TestMatchingLongClassName(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass(named(w.namespace + "." + strings.Repeat("long-name.", 15) + "end"))
	p := w.pool(annotated(poolRole, "control-plane"), annotated(poolClass, k.name))
	w.cluster(k).becomes(has(controlPlane, p.address(0)))
}

// Pools that are near misses serve nobody.
func TestMatchingNearMisses(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	elsewhere := w.newNamespace()
	for _, options := range [][]poolOption{
		{labelled(poolRole, "control-plane"), labelled(poolClass, k.name+"-not")},
		{labelled(poolRole, "ingress"), labelled(poolClass, k.name)},
		{labelled(poolRole, "control-plane"), annotated(poolClass, elsewhere+"/"+k.name)},
		{namespaced(), inNamespace(elsewhere), labelled(poolRole, "control-plane"), labelled(poolClass, k.name)},
		{labelled("example.com/role", "control-plane"), labelled(poolClass, "true")},
	} {
		w.pool(options...)
	}
	c := w.cluster(k)
	c.becomes(reason(controlPlane, "NoPool", k.name, "control-plane"))
	w.barrier()
	if c.claim(controlPlane) != nil {
		t.Error("there is a control-plane claim")
	}
}

// A class that has the name of one in another namespace is another class where the
// pool says so.
func TestMatchingClassOfANamespace(t *testing.T) {
	w := newWorld(t)
	here := w.class(declares("clusterVip", text))
	elsewhere := w.newNamespace()
	there := w.class(declares("clusterVip", text), inNamespace(elsewhere), named(here.name))
	p := w.pool(labelled(poolRole, "control-plane"), annotated(poolClass, elsewhere+"/"+there.name))
	w.cluster(there).becomes(reason(controlPlane, "Allocated", p.name))
	w.cluster(here).becomes(reason(controlPlane, "NoPool", w.namespace+"/"+here.name))
}

// A cluster-scoped pool may be kept for some namespaces; an empty list is nobody.
func TestMatchingNamespaces(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k), annotated(poolNamespaces, "elsewhere"))
	c := w.cluster(k)
	c.becomes(reason(controlPlane, "PoolNotAllowed", p.name, poolNamespaces))
	p.change(annotated(poolNamespaces, ""))
	w.barrier()
	c.is(reason(controlPlane, "PoolNotAllowed", p.name))
	c.rests()
	p.change(annotated(poolNamespaces, "elsewhere, "+w.namespace))
	c.becomes(has(controlPlane, p.address(0)))
}

// Ranking: priority, then namespaced before global, then the name. The class's
// first Cluster goes to the best pool, and each pool is passed over once it is full.
func TestMatchingOrder(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	one := size(1)
	names := func(stem string) metadata { return named(w.namespace + "-" + stem) }
	order := []*pool{
		w.pool(one, names("z-high"), serving(controlPlane, k), annotated(poolPriority, "10")),
		w.pool(one, names("y-namespaced"), namespaced(), serving(controlPlane, k), annotated(poolPriority, " 0 ")),
		w.pool(one, names("a-global"), serving(controlPlane, k)),
		w.pool(one, names("b-global"), serving(controlPlane, k)),
		w.pool(one, names("a-low"), namespaced(), serving(controlPlane, k), annotated(poolPriority, "-1")),
	}
	for i, p := range order {
		w.cluster(k, named(fmt.Sprintf("number-%d", i))).becomes(reason(controlPlane, "Allocated", p.name))
		p.uses(1)
	}
	w.cluster(k).becomes(reason(controlPlane, "PoolExhausted"))
}

// The Cluster may filter its pools by name, or by namespace and name; if none is
// left it waits and never takes another.
func TestMatchingFilter(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	best := w.pool(serving(controlPlane, k), annotated(poolPriority, "10"))
	plain := w.pool(serving(controlPlane, k))
	local := w.pool(namespaced(), serving(ingress, k))
	global := w.pool(serving(ingress, k), annotated(poolPriority, "10"))

	c := w.cluster(k, annotated(controlPlane.poolFilter(), plain.name), annotated(ingress.poolFilter(), w.namespace+"/"+local.name))
	c.becomes(reason(controlPlane, "Allocated", plain.name), reason(ingress, "Allocated", local.name))

	waits := w.cluster(k, annotated(controlPlane.poolFilter(), "no-such-pool"), annotated(ingress.poolFilter(), w.namespace+"/"+global.name))
	waits.becomes(reason(controlPlane, "PoolFiltered", "no-such-pool", controlPlane.poolFilter()), reason(ingress, "PoolFiltered"))
	w.barrier()
	if claims := waits.claims(); len(claims) > 0 {
		t.Errorf("there are claims: %q", claims)
	}
	waits.change(annotated(controlPlane.poolFilter(), best.name), without(ingress.poolFilter()))
	waits.becomes(reason(controlPlane, "Allocated", best.name), reason(ingress, "Allocated", global.name))
}

// The filter chooses among the pools that match; it does not add one.
func TestMatchingFilterAddsNoPool(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	stranger := w.pool(labelled(poolRole, "control-plane"), labelled(poolClass, "other"))
	c := w.cluster(k, annotated(controlPlane.poolFilter(), stranger.name))
	c.becomes(reason(controlPlane, "NoPool"))
	c.usesNoPool(stranger)
}

// A malformed pool serves nobody, and its would-be Clusters read which key is wrong.
func TestMatchingMalformedPool(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options []poolOption
		says    []string
	}{
		"priority":       {[]poolOption{annotated(poolPriority, "high")}, []string{poolPriority, `"high"`}},
		"role":           {[]poolOption{annotated(poolRole, "control-plane,worker")}, []string{poolRole, `"worker"`}},
		"class":          {[]poolOption{labelled(poolClass, "Upper")}, []string{poolClass, `"Upper"`}},
		"namespace list": {[]poolOption{annotated(poolNamespaces, "ok,Not OK")}, []string{poolNamespaces, `"Not OK"`}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.class(declares("clusterVip", text))
			p := w.pool(append([]poolOption{serving(controlPlane, k)}, test.options...)...)
			c := w.cluster(k)
			c.becomes(reason(controlPlane, "PoolInvalid", append(test.says, p.name)...))
			c.usesNoPool(p)
			good := w.pool(serving(controlPlane, k))
			c.becomes(reason(controlPlane, "Allocated", good.name))
			other := w.pool(serving(controlPlane, k), annotated(poolPriority, "1"))
			w.cluster(k).becomes(reason(controlPlane, "Allocated", other.name))
		})
	}
}

// A pool that was malformed serves as soon as it is mended.
func TestMatchingMendedPool(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k), annotated(poolPriority, "1.5"))
	c := w.cluster(k)
	c.becomes(reason(controlPlane, "PoolInvalid", `"1.5"`))
	c.rests()
	p.change(without(poolPriority))
	c.becomes(has(controlPlane, p.address(0)))
}
