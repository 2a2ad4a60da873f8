package cli

import (
	"cmp"
	"context"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gorizond/capi-vip-allocator/pkg/config"
)

// ClusterList is what `clusters` tells.
type ClusterList struct {
	Clusters   []ClusterLine `json:"clusters"`
	Controller Controller    `json:"controller"`
	// NotVisible lists what the user may not see, or what is not installed.
	NotVisible []Unseen `json:"notVisible,omitempty"`
}

// ClusterLine is one Cluster in short.
type ClusterLine struct {
	Namespace string      `json:"namespace"`
	Name      string      `json:"name"`
	Created   metav1.Time `json:"created"`
	Class     string      `json:"class,omitempty"`
	// Skipped says why the allocator does not handle the Cluster; empty if it does.
	Skipped string `json:"skipped,omitempty"`
	// Roles holds both roles, control-plane first.
	Roles []RoleLine `json:"roles"`
}

// RoleLine is one role of a Cluster in short.
type RoleLine struct {
	Role    string `json:"role"`
	Applies bool   `json:"applies"`
	Ready   bool   `json:"ready"`
	// VIP is the address once it is known, From the pool that it is from, or "manual".
	VIP  string `json:"vip,omitempty"`
	From string `json:"from,omitempty"`
	// Since is when the address was bound, or since when the role waits.
	Since *metav1.Time `json:"since,omitempty"`
	// Reason, Message and Next say what it waits for, as in explain.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	Next    string `json:"next,omitempty"`
}

// clusterList tells of the Clusters of one namespace; empty means all.
func (r *reading) clusterList(ctx context.Context, namespace, fallback string, c *config.Config, controller *Controller) (*ClusterList, error) {
	all, err := r.explainAll(ctx, namespace, fallback, c, controller)
	if err != nil {
		return nil, err
	}
	result := &ClusterList{Clusters: []ClusterLine{}, Controller: *controller, NotVisible: r.unseen}
	for _, e := range all {
		result.Clusters = append(result.Clusters, e.line())
	}
	return result, nil
}

// explainAll explains every Cluster of the namespace, or of all.
func (r *reading) explainAll(ctx context.Context, namespace, fallback string, c *config.Config, controller *Controller) ([]*Explanation, error) {
	seen, err := r.look(ctx, fallback, c)
	if err != nil {
		return nil, err
	}
	reader, err := seen.reader()
	if err != nil {
		return nil, err
	}
	var result []*Explanation
	for _, cluster := range seen.Clusters {
		if namespace != "" && cluster.Namespace != namespace {
			continue
		}
		e, err := seen.explanation(reader, cluster, controller)
		if err != nil {
			return nil, err
		}
		result = append(result, e)
	}
	slices.SortFunc(result, func(a, b *Explanation) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return result, nil
}

// line sums the Cluster up.
func (e *Explanation) line() ClusterLine {
	line := ClusterLine{Namespace: e.Namespace, Name: e.Name, Created: e.Created, Class: e.Class, Skipped: e.Skipped}
	for i := range e.Roles {
		line.Roles = append(line.Roles, e.Roles[i].line())
	}
	return line
}

func (r *Role) line() RoleLine {
	line := RoleLine{Role: r.Role, Applies: r.Applies, Ready: r.Ready, VIP: r.VIP, Reason: r.Reason, Message: r.Message, Next: r.Next}
	switch {
	case line.VIP != "":
	case r.Stamp.Annotation != "": // of a Cluster that is not handled now
		line.VIP = r.Stamp.Annotation
	default:
		line.VIP = host(r.Endpoint)
	}
	switch {
	case line.VIP == "":
	case r.Claim != nil && r.Claim.Address == line.VIP:
		line.From, line.Since = r.Claim.Pool, &r.Claim.Created
	case r.Claim == nil && r.Variable.Written == "":
		line.From = "manual"
	}
	if r.Reported != nil && line.Since == nil {
		line.Since = &r.Reported.Since
	}
	return line
}

// host is that of an endpoint that was joined with its port.
func host(endpoint string) string {
	end := strings.LastIndexByte(endpoint, ':')
	if end < 0 {
		return endpoint
	}
	return strings.Trim(endpoint[:end], "[]")
}
