package vip

import (
	"encoding/json"
	"net/netip"
	"time"
)

// Snapshot is everything that one pass over a Cluster observed. Plan reads it and
// nothing else.
type Snapshot struct {
	Cluster Cluster
	Class   Class
	// Pools are all pools that carry our keys, in any order.
	Pools []Pool
	// Claims holds, per role, the claim of our name in the Cluster's namespace, whoever owns it.
	Claims map[Role]*Claim
	// Recoveries holds, per role, the pool from which a lost VIP could be taken back.
	Recoveries map[Role]PoolRef
	// Started holds, per role, the IPAddress that was made for a claim which is not there yet.
	Started map[Role]Started
	// Holders lists, by Key of the address, who else uses an address that this
	// Cluster claims or publishes.
	Holders  map[netip.Addr][]Holder
	Settings Settings
	// Placements say, per role, where the claims go that the planner wanted; without one
	// nothing is claimed.
	Placements map[Role]Placement
}

// Started is an IPAddress that the Cluster owns and that waits for its claim.
type Started struct {
	Pool PoolRef
	Key  netip.Addr
}

// Settings are the flags that the planner depends on.
type Settings struct {
	// DefaultPort is the endpoint's port where nobody names one.
	DefaultPort int32
	// Namespace limits the Clusters that are written; empty means all.
	Namespace string
	// WatchFilter limits them by the watch-filter label; empty means all.
	WatchFilter string
	// HoldGate says that the admission policy that holds new Clusters back is on.
	HoldGate bool
	// HookGate says that Cluster API asks us before it builds a new Cluster.
	HookGate bool
}

// Cluster is what the planner knows of a Cluster, free of API versions.
type Cluster struct {
	// APIVersion is the one that the Cluster was read at, with its group.
	APIVersion           string
	Namespace, Name, UID string
	Created              time.Time
	Labels, Annotations  map[string]string
	// HasTopology says that spec.topology is set, Class what it names.
	HasTopology bool
	Class       ClassKey
	// ClassField is the JSON Pointer of the field that holds the class's name.
	ClassField string
	Deleting   bool
	// Paused is spec.paused; nil where the field is absent.
	Paused *bool
	// OwnedByRancher says that a provisioning.cattle.io Cluster owns it.
	OwnedByRancher bool
	Endpoint       Endpoint
	// APIServerPort is spec.clusterNetwork.apiServerPort; zero where it is absent.
	APIServerPort int32
	// AbsentEndpoint is what an unset endpoint looks like in the API version that
	// the Cluster was read at: nil where the field is left out.
	AbsentEndpoint any
	// Variables are nil where the list is absent, which is not the same as empty.
	Variables                 []Variable
	HasInfrastructure         bool
	InfrastructureProvisioned bool
	// Conditions holds our own conditions by type.
	Conditions map[string]Condition
}

// Endpoint is spec.controlPlaneEndpoint; an empty Host or zero Port is absent.
type Endpoint struct {
	Host string
	Port int32
}

// Variable is one entry of spec.topology.variables, in its place.
type Variable struct {
	Name  string
	Value json.RawMessage
}

// Condition is one of our conditions as it stands on a Cluster.
type Condition struct {
	True    bool
	Reason  Reason
	Message string
}

// Class is what the planner knows of the Cluster's ClusterClass.
type Class struct {
	Exists bool
	// Ready says that status.variables are current.
	Ready bool
	// Pending says that it is still being found out whether the class is gated.
	Pending bool
	// Declares names every variable that the class declares.
	Declares map[string]bool
	// Roles describes the variable of each role.
	Roles map[Role]ClassVariable
	// Port says where the class has the port of the control plane's endpoint.
	Port ClassPort
}

// ClassPort says where a class has the port of the control plane's endpoint.
type ClassPort struct {
	// Variable is the path of the variable that the class names for it, Default that
	// variable's default; zero values where there is none.
	Variable string
	Default  int32
	// Beside says that the object variable that holds the host has an integer field "port"
	// beside it, BesideDefault is that field's default.
	Beside        bool
	BesideDefault int32
	// Admits tells whether that field takes the port; nil admits everything.
	Admits func(port int32) error
}

// ClassVariable is a class's variable for a role.
type ClassVariable struct {
	// Path is the variable's name, or the path of a field in an object variable,
	// as in "controlPlaneEndpoint.host".
	Path string
	// Declared says that status.variables holds it.
	Declared bool
	// Problem says why no address can be written to it; empty if one can.
	Problem string
	// Shared says that it is the variable of the control plane too.
	Shared bool
	// Near is a variable that the class declares and that looks as if it was meant,
	// where Path is none; empty if none does.
	Near string
	// Default is the class's own default at Path; a value equal to it is nobody's choice.
	Default string
	// Admits tells whether the variable's schema takes the address; nil admits everything.
	Admits func(address string) error
	// Choices are the only values that the schema takes; nil if it does not list them, or
	// too many. Family is "ipv4" or "ipv6" if its format says so.
	Choices []string
	Family  string
	// NeededBy names a patch of the class that would fail without the value
	// although the role is disabled; empty if there is none. If that could not be found
	// out, Unclear says why, and NeededBy is the patch that is to blame, if one is.
	NeededBy, Unclear string
	// Pending says that NeededBy or Consumed is still being found out.
	Pending bool
	// Ungated says why Cluster API may build infrastructure before the role has its
	// VIP, or why that is not certain; empty if the class prevents it.
	Ungated string
	// Consumed says that an enabled patch of the class uses the variable. It is known
	// of held Clusters, and of those of which somebody asks whether they may be built.
	Consumed bool
}

// Claim is an IPAddressClaim of one of our names.
type Claim struct {
	Name, UID, ResourceVersion string
	// OwnerUIDs are the UIDs of its owners, OwnerClusters the UIDs among them
	// that belong to a Cluster of our Cluster's name.
	OwnerUIDs, OwnerClusters []string
	Deleting                 bool
	Role                     Role // from its label; empty if it has none
	Pool                     PoolRef
	// ClusterLabel is its Cluster's name as the label says, ReservedUntil what the annotation
	// of a reserved one says; empty where there is none.
	ClusterLabel, ReservedUntil string
	// Outdated says that labels or owner references differ from what we write today.
	Outdated bool
	// Bound says that the provider named an IPAddress, Address is that object; nil
	// while it is not visible.
	Bound   bool
	Address *Address
	// Binding says that an IPAddress for the claim exists although the claim does
	// not name it yet.
	Binding bool
	// Refusal is why the provider says that it cannot bind the claim; empty if it
	// says nothing.
	Refusal Refusal
	// Contested says that another pool could hand out the same address, so that
	// something atomic must decide who gets it; LeaseHeld, that it is decided for us.
	Contested, LeaseHeld bool
	// DeletedAt is when its deletion began, zero unless Deleting.
	DeletedAt time.Time
}

// Refusal is a provider's Ready condition with status False.
type Refusal struct {
	Reason, Message string
}

// Reasons of Refusal that the IPAM contract defines.
const (
	RefusedPoolNotReady  = "PoolNotReady"
	RefusedPoolExhausted = "PoolExhausted"
)

// Address is an IPAddress as its provider made it.
type Address struct {
	Name, Text string
	// Claim is the claim that it names, Pool its pool.
	Claim    string
	Pool     PoolRef
	Deleting bool
	// Outside says that the pool's ranges can be read and do not hold the address.
	Outside bool
	// Pinned says that we made it before its claim.
	Pinned bool
}

// Holder is somebody else who uses an address.
type Holder struct {
	Kind, Namespace, Name string
	// Where says which field holds it.
	Where string
	// Rival says that it is the IPAddress of another Cluster's VIP claim. That alone
	// is no use of the address: whoever gets its Lease publishes it.
	Rival bool
	// Allocated says that it is a Cluster which has the address from a claim of its own.
	Allocated bool
}

// String returns "Kind namespace/name (where)", as far as these are known.
func (h Holder) String() string {
	text := h.Kind + " " + h.Name
	if h.Namespace != "" {
		text = h.Kind + " " + h.Namespace + "/" + h.Name
	}
	if h.Where != "" {
		text += " (" + h.Where + ")"
	}
	return text
}

func (c *Cluster) annotated(key, value string) bool { return c.Annotations[key] == value }

func (c *Cluster) disabled(role Role) bool {
	return c.annotated(role.EnabledAnnotation(), "false")
}

func (c *Cluster) paused() bool {
	_, annotated := c.Annotations[PausedAnnotation]
	return annotated || (c.Paused != nil && *c.Paused)
}

// ownedBy tells whether the Cluster of that UID owns the claim and the claim is of the role.
func (c *Claim) ownedBy(uid string, role Role) bool {
	if c.Role != "" && c.Role != role {
		return false
	}
	for _, owner := range c.OwnerUIDs {
		if owner == uid {
			return true
		}
	}
	return false
}
