package snapshot

import (
	"maps"
	"reflect"
	"sync"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/gate"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// ClassViews remembers how classes were read and what was found out about their gates,
// since a class serves many Clusters. A view lives as long as its class.
type ClassViews struct {
	mu    sync.Mutex
	views map[vip.ClassKey]classView
}

type classView struct {
	resourceVersion string
	class           vip.Class
	// gates are those of the newest version of the class that was inspected; nil until one was.
	gates map[vip.Role]gate.Finding
	// patches reads the patches for a role, the first time that it is called.
	patches map[vip.Role]func() *gate.Patches
}

func newClassViews() *ClassViews { return &ClassViews{views: map[vip.ClassKey]classView{}} }

// of reads the class, once for each of its versions.
func (c *ClassViews) of(key vip.ClassKey, class *clusterv1.ClusterClass) classView {
	if class == nil {
		return classView{class: kube.Class(nil)}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.views[key]
	if known.resourceVersion != class.ResourceVersion || !known.class.Exists {
		known = c.set(key, class, known.gates)
	}
	return known
}

// Inspected notes the gates of the class, and tells whether they are news.
func (c *ClassViews) Inspected(key vip.ClassKey, class *clusterv1.ClusterClass, gates map[vip.Role]gate.Finding) (news bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	news = !reflect.DeepEqual(c.views[key].gates, gates)
	c.set(key, class, gates)
	return news
}

func (c *ClassViews) set(key vip.ClassKey, class *clusterv1.ClusterClass, gates map[vip.Role]gate.Finding) classView {
	view := classView{resourceVersion: class.ResourceVersion, class: kube.Class(class), gates: gates, patches: map[vip.Role]func() *gate.Patches{}}
	for role, variable := range view.class.Roles {
		view.patches[role] = sync.OnceValue(func() *gate.Patches { return gate.NewPatches(class.Spec.Patches, variable.Path) })
	}
	view.class.Pending = view.class.Ready && gates == nil
	for role, finding := range gates {
		open := finding.State == gate.Ungated || finding.State == gate.Unclear
		if variable, exists := view.class.Roles[role]; exists && view.class.Ready && open {
			variable.Ungated = finding.Why
			view.class.Roles[role] = variable
		}
	}
	c.views[key] = view
	return view
}

// GatesOf are the gates of the class as far as they are known; none while its variables
// are not reconciled.
func (c *ClassViews) GatesOf(key vip.ClassKey) map[vip.Role]gate.Finding {
	c.mu.Lock()
	defer c.mu.Unlock()
	view := c.views[key]
	if !view.class.Ready {
		return nil
	}
	return maps.Clone(view.gates)
}

// Forget drops the view of a class that is gone.
func (c *ClassViews) Forget(key vip.ClassKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.views, key)
}
