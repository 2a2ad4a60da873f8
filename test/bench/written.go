package bench

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// written sets the times of what watches showed to when the API server had answered
// the write that they showed. On a busy API server everybody's watches are many
// seconds late, as it converts each event to every version of the kind, one after
// another and through Cluster API's webhook: that is neither side's doing.
func (r *recorder) written(timelines map[types.NamespacedName]timeline, requests Requests) {
	writes := map[string][]audit.Event{} // by resource, namespace and name
	for _, event := range audit.Keep(requests, audit.Event.IsWrite, audit.Event.Accepted) {
		switch event.Agent() {
		case observe.UserAgent, scriptAgent, "ipam":
			if event.Object.Resource == "clusters" && event.Object.Subresource != "" {
				continue // no VIP is in the status
			}
			key := path(event.Object.Resource, event.Object.Namespace, event.Object.Name)
			writes[key] = append(writes[key], event)
		}
	}
	for key, t := range timelines {
		ofCluster := writes[path("clusters", key.Namespace, key.Name)]
		created := audit.Keep(ofCluster, func(e audit.Event) bool { return e.Verb == "create" })
		t.created, t.carried = last(created, t.created), last(ofCluster, t.carried)
		for role, seen := range t.published {
			t.published[role] = last(ofCluster, seen)
		}
		for role, seen := range t.bound {
			ofClaim := writes[path("ipaddressclaims", key.Namespace, r.claimOf(key, role))]
			t.bound[role] = last(audit.Keep(ofClaim, audit.By("ipam")), seen)
		}
		timelines[key] = t
	}
}

func path(resource, namespace, name string) string { return resource + "/" + namespace + "/" + name }

// last is when the last of the writes was answered that somebody can have seen then.
func last(writes []audit.Event, seen time.Time) time.Time {
	at := seen
	for _, write := range writes {
		if write.Received.Before(seen) {
			at = write.Answered
		}
	}
	if at.After(seen) {
		return seen // a watch may be faster than the answer
	}
	return at
}
