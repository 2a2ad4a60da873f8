package cli

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gorizond/capi-vip-allocator/pkg/config"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/lint"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Diagnosis is what `doctor` tells.
type Diagnosis struct {
	// Problems are in the order in which they are best mended.
	Problems []Problem `json:"problems"`
	// Installed are the programs that matter here, as far as their Deployments show.
	Installed []Program `json:"installed"`
	Clusters  int       `json:"clusters"`
	Classes   int       `json:"classes"`
	Pools     int       `json:"pools"`
	// NotVisible lists what the user may not see, or what is not installed.
	NotVisible []Unseen `json:"notVisible,omitempty"`
}

// Problem is one thing that is wrong.
type Problem struct {
	Severity lint.Severity `json:"severity"`
	// Object is what it is about, as in "Cluster team-a/web"; empty for the installation.
	Object string `json:"object,omitempty"`
	// Check is a check of lint or a reason of explain; empty for the installation.
	Check   string `json:"check,omitempty"`
	Message string `json:"message"`
	// Next is what to do about it, where the message does not say that already.
	Next string `json:"next,omitempty"`
}

// Program is something that is installed.
type Program struct {
	Name string `json:"name"`
	// Version is that of its image; empty if the image does not tell.
	Version string `json:"version,omitempty"`
	State   string `json:"state"`
}

// doctor gathers what is wrong.
type doctor struct {
	*reading
	config     *config.Config
	controller *Controller
	fallback   string // the namespace that is looked at where no more is allowed
	diagnosis  Diagnosis
}

// diagnose looks at the installation, at every Cluster, and by lint at every class, pool and
// Cluster.
func (r *reading) diagnose(ctx context.Context, fallback string, c *config.Config, controller *Controller) (*Diagnosis, error) {
	d := &doctor{reading: r, config: c, controller: controller, fallback: fallback, diagnosis: Diagnosis{Problems: []Problem{}}}
	for _, examine := range []func(context.Context) error{d.installation, d.clusters, d.manifests} {
		if err := examine(ctx); err != nil {
			return nil, err
		}
	}
	rank := map[lint.Severity]int{lint.Error: 0, lint.Warning: 1, lint.Info: 2}
	slices.SortStableFunc(d.diagnosis.Problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(rank[a.Severity], rank[b.Severity]), cmp.Compare(kindRank(a.Object), kindRank(b.Object)))
	})
	d.diagnosis.NotVisible = r.unseen
	return &d.diagnosis, nil
}

// kindRank puts what causes first: the installation, pools, classes, then Clusters.
func kindRank(object string) int {
	switch kind, _, _ := strings.Cut(object, " "); {
	case object == "":
		return 0
	case strings.HasSuffix(kind, "Pool"):
		return 1
	case kind == classes.kind:
		return 2
	}
	return 3
}

func (d *doctor) add(severity lint.Severity, object, check, message, next string) {
	d.diagnosis.Problems = append(d.diagnosis.Problems, Problem{Severity: severity, Object: object, Check: check, Message: message, Next: next})
}

// clusters plans for every Cluster.
func (d *doctor) clusters(ctx context.Context) error {
	all, err := d.explainAll(ctx, "", d.fallback, d.config, d.controller)
	if err != nil {
		return err
	}
	for _, e := range all {
		if e.Class == "" {
			continue
		}
		d.diagnosis.Clusters++
		d.cluster(e)
	}
	return nil
}

// cluster tells what keeps a Cluster from its VIPs, and what is odd about those that it has.
func (d *doctor) cluster(e *Explanation) {
	object, ready := clusters.kind+" "+e.Namespace+"/"+e.Name, true
	for i := range e.Roles {
		r := &e.Roles[i]
		switch reason := vip.Reason(r.Reason); {
		case !r.Applies:
		case !r.Ready:
			ready = false
			d.add(severityOf(reason), object, r.Reason, r.Role+": "+r.Message, r.Next)
		case reason.Warning():
			d.add(lint.Warning, object, r.Reason, r.Role+": "+r.Message, r.Next)
		}
		for _, note := range r.Notes {
			d.add(lint.Warning, object, note.Reason, r.Role+": "+note.Message, "")
		}
	}
	if e.Served && ready && e.Topology != nil && e.Topology.Reason == "ReconcileFailed" {
		d.add(lint.Warning, object, "TopologyReconciled", "it has its VIPs, and Cluster API cannot build it: "+ends(e.Topology.Message),
			fmt.Sprintf("kubectl describe cluster %s -n %s", e.Name, e.Namespace))
	}
}

// severityOf tells whether a Cluster that waits for the reason waits for somebody.
func severityOf(reason vip.Reason) lint.Severity {
	if reason.Transient() || reason == vip.ClaimTerminating {
		return lint.Info
	}
	return lint.Error
}

// manifests runs the checks of lint over what is there.
func (d *doctor) manifests(ctx context.Context) error {
	var sources []lint.Source
	add := func(what resource, objects []unstructured.Unstructured) error {
		for i := range objects {
			data, err := objects[i].MarshalJSON()
			if err != nil {
				return fmt.Errorf("read %s %s: %w", what.kind, objects[i].GetName(), err)
			}
			sources = append(sources, lint.Source{Name: fmt.Sprintf("%s%d", liveSource, len(sources)), Data: data})
		}
		return nil
	}
	for _, what := range []resource{clusters, classes} {
		objects, err := d.again(ctx, what)
		if err != nil {
			return err
		}
		if err := add(what, objects); err != nil {
			return err
		}
	}
	for _, want := range d.config.AllPoolKinds() {
		kind, served, err := kube.DiscoverPoolKind(d.discovery, want)
		if err != nil || !served {
			continue // it was told where the pools were listed first
		}
		what := resource{GroupVersionResource: kind.GroupVersionResource, kind: kind.Kind, clusterScoped: !kind.Namespaced, pool: true}
		objects, err := d.again(ctx, what)
		if err != nil {
			return err
		}
		if err := add(what, objects); err != nil {
			return err
		}
	}
	result := lint.Run(sources, lint.Options{OtherGate: d.config.HoldGate != "" || d.config.RuntimeExtension, Exists: true})
	d.diagnosis.Classes, d.diagnosis.Pools = result.Classes, result.Pools
	for i := range result.Findings {
		f := &result.Findings[i]
		d.add(f.Severity, f.Object(), string(f.Check), place.ReplaceAllString(f.Message, ""), "")
	}
	return nil
}

// liveSource begins the names under which lint is given what is there, place finds where it says
// that something stands: of what is not in a file that tells nothing.
const liveSource = "live-"

var place = regexp.MustCompile(` \(` + liveSource + `\d+:\d+\)`)

// again lists what was listed before, as it stands in the API. What is not visible was told
// then.
func (d *doctor) again(ctx context.Context, what resource) ([]unstructured.Unstructured, error) {
	told := slices.Clone(d.unseen)
	defer func() { d.unseen = told }()
	return d.list(ctx, what, d.fallback)
}
