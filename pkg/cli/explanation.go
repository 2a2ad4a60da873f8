package cli

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Explanation is what `explain cluster` tells of one Cluster.
type Explanation struct {
	Namespace string      `json:"namespace"`
	Name      string      `json:"name"`
	Created   metav1.Time `json:"created"`
	// Class is the namespace/name of its ClusterClass; empty without topology.
	Class string `json:"class,omitempty"`
	// ClassState is "ready", "not ready", "not found" or "not visible".
	ClassState string `json:"classState,omitempty"`
	// Served says that the allocator handles the Cluster; Skipped says why it does not.
	Served  bool   `json:"served"`
	Skipped string `json:"skipped,omitempty"`
	Gates   Gates  `json:"gates"`
	// Topology is Cluster API's condition TopologyReconciled unless it is True: what
	// a class or the hook gate waits for stands there.
	Topology *Condition `json:"topology,omitempty"`
	// Roles holds both roles, control-plane first.
	Roles []Role `json:"roles"`
	// Downstream are Clusters of Rancher and Fleet that stand for this one.
	Downstream []Downstream `json:"downstream,omitempty"`
	Controller Controller   `json:"controller"`
	// NotVisible lists what the user may not see, or what is not installed.
	NotVisible []Unseen `json:"notVisible,omitempty"`
}

// Values of Explanation.ClassState.
const (
	classReady    = "ready"
	classNotReady = "not ready"
	classNotFound = "not found"
	classUnseen   = "not visible"
)

// Gates are the two gates that do not depend on the class.
type Gates struct {
	// Hold says that the hold gate is on, Held that it holds this Cluster back, which
	// it has done since the Cluster was created.
	Hold bool `json:"hold"`
	Held bool `json:"held"`
	// Hook says that Cluster API asks the controller before it builds.
	Hook bool `json:"hook"`
}

// Condition is a condition as it stands on the Cluster.
type Condition struct {
	Status  string      `json:"status"`
	Reason  string      `json:"reason"`
	Message string      `json:"message,omitempty"`
	Since   metav1.Time `json:"since"`
}

// Role is one role of the Cluster.
type Role struct {
	Role string `json:"role"`
	// Applies says that the Cluster is to have this VIP, or that it is disabled.
	Applies bool `json:"applies"`
	// Source says where Reason and Message are from: "planned" by the controller's own
	// planner from what was seen just now; "reported" by the controller as condition,
	// where too little was visible to plan, or the API server refused what was planned;
	// "unknown" if there is no condition either.
	Source string `json:"source"`
	// Ready, Reason and Message are those of the condition. An allocated VIP with
	// something in ToDo is about to be written.
	Ready   bool   `json:"ready"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	Notes   []Note `json:"notes,omitempty"`
	// VIP is the role's address once it is known.
	VIP string `json:"vip,omitempty"`
	// ToDo is what the controller does next; empty if it is done.
	ToDo []string `json:"toDo,omitempty"`
	// Next is what a person should do next; empty for a role that is ready.
	Next string `json:"next,omitempty"`
	// Closest is the pool that was most likely meant, where none serves class and role.
	Closest *NearMiss `json:"closest,omitempty"`
	// Endpoint is host:port of spec.controlPlaneEndpoint, for the control plane.
	Endpoint string   `json:"endpoint,omitempty"`
	Variable Variable `json:"variable"`
	Stamp    Stamp    `json:"stamp"`
	// Claim is the claim of the role's name, whoever owns it.
	Claim *Claim `json:"claim,omitempty"`
	// Pools are all pools of the class and role, in the order in which they are tried.
	Pools []Candidate `json:"pools,omitempty"`
	// Gate is whether the class waits for the VIP; nil if the class was not seen or is not ready.
	Gate *ClassGate `json:"gate,omitempty"`
	// Reported is the role's condition on the Cluster.
	Reported *Condition `json:"reported,omitempty"`
}

// Values of Role.Source.
const (
	planned  = "planned"
	reported = "reported"
	unknown  = "unknown"
)

// NearMiss is a pool that nearly serves the role.
type NearMiss struct {
	Pool string `json:"pool"`
	// Why says what it lacks.
	Why string `json:"why"`
}

// Note is a finding beside the reason.
type Note struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Variable is the topology variable of a role.
type Variable struct {
	// Path is its name, or the path of a field in it.
	Path string `json:"path"`
	// Declared says that the class has it.
	Declared bool   `json:"declared"`
	Value    string `json:"value,omitempty"`
	// Written is what the allocator notes about its own writing: the path, or "none".
	Written string `json:"written,omitempty"`
}

// Stamp is how the VIP is published on the CAPI Cluster.
type Stamp struct {
	Annotation string `json:"annotation,omitempty"`
	Label      string `json:"label,omitempty"`
}

// Claim is an IPAddressClaim.
type Claim struct {
	Name    string      `json:"name"`
	Created metav1.Time `json:"created"`
	Pool    string      `json:"pool"`
	// Owned says that it belongs to this very Cluster.
	Owned    bool `json:"owned"`
	Bound    bool `json:"bound"`
	Deleting bool `json:"deleting"`
	// Address is empty while the claim is not bound, or if the IPAddress is not visible.
	Address string `json:"address,omitempty"`
}

// Candidate is a pool that was considered.
type Candidate struct {
	Pool string `json:"pool"`
	// Claimed says that the role's claim is on it.
	Claimed bool `json:"claimed"`
	// Verdict is the reason why the pool cannot take a new claim, Why says more; both are
	// empty if it can.
	Verdict string `json:"verdict,omitempty"`
	Why     string `json:"why,omitempty"`
	// Free is what a new claim can count on; nil if the provider does not tell.
	Free  *int64 `json:"free,omitempty"`
	Total *int64 `json:"total,omitempty"`
}

// ClassGate is how the class holds infrastructure back.
type ClassGate struct {
	// State is "gated", "gatedUnlessEmpty", "ungated", or "none" if the class has no
	// variable for the role.
	State string `json:"state"`
	// Patch is the patch that decides.
	Patch string `json:"patch,omitempty"`
	// Why says what is wrong.
	Why string `json:"why,omitempty"`
}

// Downstream is a Cluster of Rancher or Fleet.
type Downstream struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// ControlPlane and Ingress are the stamps that it carries.
	ControlPlane Stamp `json:"controlPlane"`
	Ingress      Stamp `json:"ingress"`
}
