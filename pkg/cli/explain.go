package cli

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/config"
	"github.com/gorizond/capi-vip-allocator/pkg/gate"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/snapshot"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// explainer explains one Cluster by what was looked at.
type explainer struct {
	*look
	cluster  *clusterv1.Cluster
	reader   *snapshot.Reader
	gates    map[vip.Role]gate.Finding
	snapshot *vip.Snapshot
	decision vip.Decision
	// controller is what was found of the controller.
	controller *Controller
}

// explain plans for the Cluster as the controller does and tells what comes of it.
func (r *reading) explain(ctx context.Context, cluster *clusterv1.Cluster, c *config.Config, controller *Controller) (*Explanation, error) {
	seen, err := r.look(ctx, cluster.Namespace, c)
	if err != nil {
		return nil, err
	}
	if err := seen.addClass(ctx, kube.ClassOf(cluster)); err != nil {
		return nil, err
	}
	newest := seen.newest(cluster)
	reader, err := seen.reader()
	if err != nil {
		return nil, err
	}
	result, err := seen.explanation(reader, newest, controller)
	if err != nil {
		return nil, err
	}
	if result.Downstream, err = r.downstream(ctx, newest); err != nil {
		return nil, err
	}
	result.NotVisible = r.unseen
	return result, nil
}

// explanation explains one of the Clusters that were listed.
func (l *look) explanation(reader *snapshot.Reader, cluster *clusterv1.Cluster, controller *Controller) (*Explanation, error) {
	e, err := l.explainer(reader, cluster, controller)
	if err != nil {
		return nil, err
	}
	result := e.result()
	result.Controller = *controller
	return result, nil
}

// explainer plans for the Cluster, with the gates of its class.
func (l *look) explainer(reader *snapshot.Reader, cluster *clusterv1.Cluster, controller *Controller) (*explainer, error) {
	e := &explainer{look: l, cluster: cluster, reader: reader, controller: controller}
	if class := l.class(kube.ClassOf(cluster)); class != nil {
		e.gates = reader.Inspect(class)
	}
	err := e.plan()
	return e, err
}

// plan decides for the Cluster.
func (e *explainer) plan() (err error) {
	if e.snapshot, e.decision, err = e.reader.Decide(e.cluster); err != nil {
		return fmt.Errorf("observe: %w", err)
	}
	return nil
}

// newest returns the Cluster as it was listed together with everything else, and
// lists it if it was not visible there.
func (l *look) newest(cluster *clusterv1.Cluster) *clusterv1.Cluster {
	for _, listed := range l.Clusters {
		if listed.UID == cluster.UID {
			return listed
		}
	}
	l.Clusters = append(l.Clusters, cluster)
	return cluster
}

func (e *explainer) result() *Explanation {
	view := &e.snapshot.Cluster
	result := &Explanation{
		Namespace: view.Namespace, Name: view.Name, Created: e.cluster.CreationTimestamp,
		Served: e.decision.Skipped == "", Skipped: e.skipped(),
		Gates:    Gates{Hold: e.Settings.HoldGate, Held: view.Held(), Hook: e.Settings.HookGate},
		Topology: topology(e.cluster),
	}
	if view.HasTopology {
		result.Class, result.ClassState = view.Class.String(), e.classState()
	}
	for _, role := range vip.Roles() {
		result.Roles = append(result.Roles, e.role(role))
	}
	return result
}

// skipped says why the Cluster is not served, with the field that says so.
func (e *explainer) skipped() string {
	view, text := &e.snapshot.Cluster, string(e.decision.Skipped)
	switch e.decision.Skipped {
	case vip.SkipPaused:
		if _, annotated := view.Annotations[vip.PausedAnnotation]; annotated {
			return text + " (annotation " + vip.PausedAnnotation + ")"
		}
		return text + " (spec.paused)"
	case vip.SkipNamespace:
		return text + " " + e.Settings.Namespace
	case vip.SkipWatchFilter:
		return fmt.Sprintf("%s %q (label %s)", text, e.Settings.WatchFilter, vip.WatchFilterLabel)
	}
	return text
}

func (e *explainer) classState() string {
	switch {
	case !e.snapshot.Class.Exists && e.misses(classes.kind):
		return classUnseen
	case !e.snapshot.Class.Exists:
		return classNotFound
	case !e.snapshot.Class.Ready:
		return classNotReady
	}
	return classReady
}

// topology is Cluster API's own word on what keeps it from building.
func topology(cluster *clusterv1.Cluster) *Condition {
	if meta.IsStatusConditionTrue(cluster.Status.Conditions, clusterv1.ClusterTopologyReconciledCondition) {
		return nil
	}
	return conditionOf(cluster, clusterv1.ClusterTopologyReconciledCondition)
}

func conditionOf(cluster *clusterv1.Cluster, name string) *Condition {
	found := meta.FindStatusCondition(cluster.Status.Conditions, name)
	if found == nil {
		return nil
	}
	return &Condition{Status: string(found.Status), Reason: found.Reason, Message: vip.Short(found.Message), Since: found.LastTransitionTime}
}

// findCluster gets the Cluster of that name: in the namespace, or wherever it is.
func (r *reading) findCluster(ctx context.Context, namespace, name string, anywhere bool) (*clusterv1.Cluster, error) {
	if anywhere {
		return r.findAnywhere(ctx, name)
	}
	object, err := r.of(clusters).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, r.notFound(ctx, namespace, name)
	}
	if err != nil {
		return nil, fmt.Errorf("get Cluster %s/%s: %w", namespace, name, err)
	}
	return decodeOne[clusterv1.Cluster](object)
}

// notFound tells a Cluster that does not exist from a kind that does not.
func (r *reading) notFound(ctx context.Context, namespace, name string) error {
	_, err := r.of(clusters).Namespace(namespace).List(ctx, metav1.ListOptions{Limit: 1})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%s is not served: Cluster API is not installed here", clusters.Group)
	}
	return fmt.Errorf("Cluster %s/%s does not exist; -n names its namespace, -A looks in all of them", namespace, name) //nolint:revive,staticcheck // a kind is written with a capital
}

func (r *reading) findAnywhere(ctx context.Context, name string) (*clusterv1.Cluster, error) {
	list, err := r.of(clusters).List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		return nil, fmt.Errorf("list Clusters of all namespaces: %w", err)
	}
	var namespaces []string
	for i := range list.Items {
		namespaces = append(namespaces, list.Items[i].GetNamespace())
	}
	switch len(namespaces) {
	case 0:
		return nil, fmt.Errorf("no namespace has a Cluster %s", name)
	case 1:
		return decodeOne[clusterv1.Cluster](&list.Items[0])
	}
	return nil, fmt.Errorf("there is a Cluster %s in namespaces %s: choose one with -n", name, strings.Join(namespaces, ", "))
}
