package cli

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/gate"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/snapshot"
	"github.com/gorizond/capi-vip-allocator/pkg/ui"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// painter makes Views of what is followed.
type painter struct {
	*follower
	// place names the management cluster; only is the namespace that is shown, empty for all.
	place, only string

	mu   sync.Mutex
	last *sketch
}

// sketch is what a View was made of.
type sketch struct {
	*look
	reader     *snapshot.Reader
	controller *Controller
	gates      map[vip.ClassKey]map[vip.Role]gate.Finding
	// standing is how it stands with each Cluster, by namespace/name.
	standing map[string]clusterState
	crowd    *crowd
}

// clusterState is a Cluster and what is so for its roles.
type clusterState struct {
	*clusterv1.Cluster
	skipped string
	roles   [2]Role // in the order of vip.Roles
}

// paint publishes a View each time that something has changed.
func (p *painter) paint(ctx context.Context, publish func(*ui.View)) error {
	// A change rarely comes alone. Where a View takes long, half of the time is left to others.
	const together = 100 * time.Millisecond
	var last *ui.View
	for {
		began := time.Now()
		view, err := p.view(ctx)
		switch {
		case err == nil:
			last = view
		case last == nil:
			return err
		default:
			old := *last
			old.Trouble, view = err.Error(), &old
		}
		publish(view)
		rest := max(together, time.Since(began))
		select {
		case <-ctx.Done():
			return nil
		case <-p.changed:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(rest):
		}
	}
}

// view makes a View of what there is.
func (p *painter) view(ctx context.Context) (*ui.View, error) {
	s, err := p.sketch(ctx)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.last = s
	p.mu.Unlock()
	words := &screen{now: time.Now()}
	view := &ui.View{
		Place: p.place, Scope: "all namespaces", Trouble: p.pulse.trouble(), NotVisible: unseenWords(s.unseen),
		Controller: ui.Fact{Name: "Controller", Text: words.controller(s.controller), Tone: controllerTone(s.controller)},
	}
	if p.only != "" {
		view.Scope = "namespace " + p.only
	}
	view.Clusters, view.Classes = s.lines(p.only), s.classLines(words)
	view.Pools = newAtlas(s).pools(p.only)
	return view, nil
}

// sketch plans for every Cluster.
func (p *painter) sketch(ctx context.Context) (*sketch, error) {
	l, controller, err := p.look(ctx)
	if err != nil {
		return nil, err
	}
	s := &sketch{
		look: l, controller: controller, gates: map[vip.ClassKey]map[vip.Role]gate.Finding{}, standing: map[string]clusterState{},
	}
	if s.reader, err = l.reader(); err != nil {
		return nil, err
	}
	for _, class := range l.Classes {
		s.gates[vip.ClassKey{Namespace: class.Namespace, Name: class.Name}] = s.reader.Inspect(class)
	}
	if !l.blind() {
		s.crowd = newCrowd()
	}
	for _, cluster := range l.Clusters {
		e := &explainer{look: l, cluster: cluster, reader: s.reader, controller: controller}
		if err := e.plan(); err != nil {
			return nil, err
		}
		of := clusterState{Cluster: cluster, skipped: e.skipped()}
		for i, role := range vip.Roles() {
			of.roles[i] = e.brief(role)
		}
		s.standing[cluster.Namespace+"/"+cluster.Name] = of
		if s.crowd != nil {
			s.crowd.count(e.snapshot, &e.decision)
		}
	}
	return s, nil
}

// lines are the Clusters of the namespace, or all: those that wait come first, the oldest of them at the top.
func (s *sketch) lines(namespace string) []ui.Cluster {
	result := make([]ui.Cluster, 0, len(s.Clusters))
	for _, cluster := range s.Clusters {
		if namespace == "" || cluster.Namespace == namespace {
			result = append(result, s.line(cluster))
		}
	}
	slices.SortFunc(result, func(a, b ui.Cluster) int {
		if a.Waits() != b.Waits() {
			if a.Waits() {
				return -1
			}
			return 1
		}
		byAge := 0
		if a.Waits() {
			byAge = a.Created.Compare(b.Created)
		}
		return cmp.Or(byAge, strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name.Name, b.Name.Name))
	})
	return result
}

func (s *sketch) line(cluster *clusterv1.Cluster) ui.Cluster {
	line := ui.Cluster{Name: ui.Name{Namespace: cluster.Namespace, Name: cluster.Name}, Created: cluster.CreationTimestamp.Time}
	if class := kube.ClassOf(cluster); class.Name != "" {
		line.Class = class.String()
	}
	of := s.standing[cluster.Namespace+"/"+cluster.Name]
	line.Skipped = of.skipped
	for i := range of.roles {
		line.Roles = append(line.Roles, uiRole(&of.roles[i]))
	}
	return line
}

// uiRole repeats what explain says of the role.
func uiRole(r *Role) ui.Role {
	role := ui.Role{Role: r.Role, Applies: r.Applies, Ready: r.Ready, VIP: r.VIP, Reason: r.Reason, Message: r.Message, Next: r.Next}
	if r.Reported != nil && r.Reported.Reason == r.Reason {
		role.Since = r.Reported.Since.Time
	}
	return role
}

func (s *sketch) classLines(words *screen) []ui.Class {
	users := map[vip.ClassKey]int{}
	for _, cluster := range s.Clusters {
		users[kube.ClassOf(cluster)]++
	}
	var result []ui.Class
	for _, class := range s.Classes {
		key := vip.ClassKey{Namespace: class.Namespace, Name: class.Name}
		line := ui.Class{Name: ui.Name{Namespace: class.Namespace, Name: class.Name}, Clusters: users[key]}
		view := s.reader.ViewClass(key, class)
		if findings := s.gates[key]; findings == nil {
			line.State = "not ready: Cluster API has not reconciled its variables"
		} else {
			for _, role := range vip.Roles() {
				line.Gates = append(line.Gates, uiGate(role, view.Roles[role], findings[role], words))
			}
		}
		result = append(result, line)
	}
	slices.SortFunc(result, func(a, b ui.Class) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name.Name, b.Name.Name))
	})
	return result
}

func uiGate(role vip.Role, variable vip.ClassVariable, finding gate.Finding, words *screen) ui.Gate {
	g := ui.Gate{Role: string(role), Fact: ui.Fact{Text: words.gateText(classGate(finding)), Tone: gateTone(finding.State)}}
	if variable.Declared {
		g.Variable = variable.Path
	}
	return g
}

func gateTone(state gate.State) ui.Tone {
	switch state {
	case gate.Gated:
		return ui.Good
	case gate.Unconcerned:
		return ui.Faint
	}
	return ui.Warn
}

func controllerTone(c *Controller) ui.Tone {
	switch {
	case c.Problem != "" || (c.State == controllerFound && c.ReadyReplicas == 0):
		return ui.Bad
	case c.State != controllerFound:
		return ui.Warn
	}
	return ""
}

func unseenWords(unseen []Unseen) []string {
	var result []string
	for _, u := range unseen {
		what := u.Kind
		if u.Scope != "" {
			what += " " + u.Scope
		}
		result = append(result, what+" ("+u.Why+"). Unknown: "+u.Unknown)
	}
	return result
}
