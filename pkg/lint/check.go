package lint

// Check names what a finding is about. The values are public; docs/lint.md explains each.
type Check string

// Checks of any document.
const (
	// BadYAML: the document cannot be parsed.
	BadYAML Check = "yaml"
	// BadField: a field has the wrong type.
	BadField Check = "field"
	// UnknownField: a field that the kind does not have in that version.
	UnknownField Check = "unknown-field"
	// Substitution: a value that is filled in before the API server sees it.
	Substitution Check = "substitution"
	// UnknownKey: a label or annotation of ours that means nothing where it stands.
	UnknownKey Check = "unknown-key"
)

// Checks of pools.
const (
	// PoolLabel: a label value that the API server refuses.
	PoolLabel Check = "pool-label"
	// PoolKeys: labels and annotations of which the pool serves nobody.
	PoolKeys Check = "pool-keys"
	// PoolKind: a pool that can never serve, or only with a flag.
	PoolKind Check = "pool-kind"
	// PoolRanges: addresses that cannot be read.
	PoolRanges Check = "pool-ranges"
	// PoolNetwork: prefix, gateway and addresses that do not fit each other.
	PoolNetwork Check = "pool-network"
	// PoolAddresses: addresses that can be no VIP.
	PoolAddresses Check = "pool-addresses"
	// PoolEmpty: a pool that can hand out nothing.
	PoolEmpty Check = "pool-empty"
	// PoolGrace: released addresses are handed out again at once.
	PoolGrace Check = "pool-grace"
	// PoolOverlap: two VIP pools share addresses.
	PoolOverlap Check = "pool-overlap"
	// NodeRange: a VIP pool and a pool without our keys share addresses.
	NodeRange Check = "node-range"
)

// Checks of ClusterClasses.
const (
	// ClassName: a class that no label can name.
	ClassName Check = "class-name"
	// ClassGate: infrastructure may be built before the VIP is known.
	ClassGate Check = "class-gate"
	// ClassEmpty: the same, for a Cluster that states an empty string.
	ClassEmpty Check = "class-empty"
	// ClassUnclear: it cannot be told whether that may happen.
	ClassUnclear Check = "class-unclear"
	// ClassVariable: the variable of a role is missing or cannot hold a VIP.
	ClassVariable Check = "class-variable"
	// ClassExternal: only an external patch could tell.
	ClassExternal Check = "class-external"
	// Migration: a Cluster whose topology would stop with this class.
	Migration Check = "migration"
)

// Checks of Clusters.
const (
	// ClusterName: a name that Cluster API refuses.
	ClusterName Check = "cluster-name"
	// AnnotationValue: an annotation whose value changes nothing.
	AnnotationValue Check = "annotation-value"
	// OwnAnnotation: what only the allocator writes, set by hand.
	OwnAnnotation Check = "own-annotation"
	// PoolFilter: a filter that admits none of the given pools.
	PoolFilter Check = "pool-filter"
	// EmptyVariable: an empty string that the class refuses.
	EmptyVariable Check = "empty-variable"
	// VariableValue: another value that the class refuses.
	VariableValue Check = "variable-value"
	// ManualAddress: a VIP set by hand that cannot serve.
	ManualAddress Check = "manual-address"
	// ManualInRange: a VIP set by hand that a pool could hand out too.
	ManualInRange Check = "manual-in-range"
	// AddressTwice: a VIP set by hand that is used twice.
	AddressTwice Check = "address-twice"
	// Plan: a Cluster that would wait for a VIP.
	Plan Check = "plan"
	// Paused: a Cluster that gets no VIP for now.
	Paused Check = "paused"
)

// Checks lists every check.
func Checks() []Check {
	return []Check{
		BadYAML, BadField, UnknownField, Substitution, UnknownKey,
		PoolLabel, PoolKeys, PoolKind, PoolRanges, PoolNetwork, PoolAddresses, PoolEmpty, PoolGrace, PoolOverlap, NodeRange,
		ClassName, ClassGate, ClassEmpty, ClassUnclear, ClassVariable, ClassExternal, Migration,
		ClusterName, AnnotationValue, OwnAnnotation, PoolFilter, EmptyVariable, VariableValue, ManualAddress, ManualInRange, AddressTwice, Plan, Paused,
	}
}
