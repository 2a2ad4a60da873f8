package rancher

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// State says what may be done for a Cluster.
type State int

// What may be done for a Cluster.
const (
	// Gone: the Cluster does not exist, or nothing is to be carried any more.
	// Whatever was written for it is withdrawn.
	Gone State = iota
	// Resting: the Cluster is paused, being deleted, or not ours. Nothing is written.
	Resting
	// Served: its targets are brought to its stamps.
	Served
)

// Source is a Cluster whose stamps are carried.
type Source struct {
	Key   types.NamespacedName
	UID   string
	State State
	// Skipped is why a Resting Cluster is not handled, if it is because of itself.
	Skipped vip.Skip
	// VIPs are what the Cluster is stamped with.
	VIPs map[vip.Role]string
	// Unsettled names the roles whose stamp has just gone and may come back: on the
	// targets it stays as it is.
	Unsettled map[vip.Role]bool
}

// NewSource views a Cluster.
func NewSource(c *vip.Cluster, settings vip.Settings) Source {
	s := Source{
		Key: types.NamespacedName{Namespace: c.Namespace, Name: c.Name}, UID: c.UID,
		State: Resting, Skipped: vip.SkipOf(c, settings), VIPs: map[vip.Role]string{}, Unsettled: map[vip.Role]bool{},
	}
	if s.Skipped == "" {
		s.State = Served
	}
	for _, role := range vip.Roles() {
		// The annotation decides: it holds every VIP, the labels not all of them.
		if address := c.Annotations[role.Stamp()]; address != "" {
			s.VIPs[role] = address
		}
	}
	return s
}
