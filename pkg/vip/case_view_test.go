package vip_test

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorizond/capi-vip-allocator/pkg/allocator"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

func (f *caseFile) snapshot(t testing.TB) *vip.Snapshot {
	t.Helper()
	s := &vip.Snapshot{
		Cluster: f.Cluster.view(), Class: f.Class.view(), Claims: map[vip.Role]*vip.Claim{},
		Holders:  map[netip.Addr][]vip.Holder{},
		Settings: vip.Settings{DefaultPort: 6443, Namespace: f.Settings.Namespace, WatchFilter: f.Settings.WatchFilter, HoldGate: f.Settings.HoldGate},
	}
	if f.Settings.Port != 0 {
		s.Settings.DefaultPort = f.Settings.Port
	}
	rooms := allocator.New()
	for i := range f.Pools {
		pool := f.Pools[i].view()
		s.Pools = append(s.Pools, pool)
		rooms.SetPool(pool.Ref, f.Pools[i].room())
	}
	for role, claim := range f.Claims {
		s.Claims[role] = claim.view(role)
	}
	for role, pool := range f.Recoveries {
		if s.Recoveries == nil {
			s.Recoveries = map[vip.Role]vip.PoolRef{}
		}
		s.Recoveries[role] = poolRefOf(pool)
	}
	for address, holders := range f.Holders {
		key, ok := vip.Key(address)
		if !ok {
			t.Fatalf("holders: %q is no address", address)
		}
		for _, holder := range holders {
			kind, name, _ := strings.Cut(holder, " ")
			namespace, name, _ := strings.Cut(name, "/")
			name, rival := strings.CutSuffix(name, " rival")
			name, allocated := strings.CutSuffix(name, " allocated")
			s.Holders[key] = append(s.Holders[key], vip.Holder{Kind: kind, Namespace: namespace, Name: name, Rival: rival, Allocated: allocated})
		}
	}
	return placed(s, rooms)
}

// placed is the Snapshot as it is when the allocator has said where claims go.
func placed(s *vip.Snapshot, rooms *allocator.Allocator) *vip.Snapshot {
	decision := vip.Plan(s)
	return s.Placed(rooms.Place(allocator.RequestOf(s, &decision)))
}

func (c *caseCluster) view() vip.Cluster {
	view := vip.Cluster{
		Namespace: caseNamespace, Name: caseName, UID: caseUID,
		Labels: fullKeys(c.Labels), Annotations: fullKeys(c.Annotations),
		HasTopology: !c.NoTopology, Deleting: c.Deleting, Paused: c.Paused, OwnedByRancher: c.OwnedByRancher,
		Endpoint: endpointOf(c.Endpoint), APIServerPort: c.APIServerPort,
		HasInfrastructure: c.Infrastructure, InfrastructureProvisioned: c.Provisioned,
	}
	for role, reason := range c.Conditions {
		if view.Conditions == nil {
			view.Conditions = map[string]vip.Condition{}
		}
		view.Conditions[role.ConditionType()] = vip.Condition{True: reason.Ready(), Reason: reason}
	}
	if view.HasTopology {
		view.Class, view.ClassField = vip.ClassKey{Namespace: caseNamespace, Name: "rke2"}, "/spec/topology/classRef/name"
	}
	if c.V1Beta1 {
		view.AbsentEndpoint = map[string]any{"host": "", "port": 0}
	}
	for _, entry := range c.Variables {
		for name, value := range entry {
			view.Variables = append(view.Variables, vip.Variable{Name: name, Value: value})
		}
	}
	return view
}

// endpointOf reads "host:port", "host" or ":port".
func endpointOf(text string) vip.Endpoint {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return vip.Endpoint{Host: text}
	}
	n, _ := strconv.Atoi(port)
	return vip.Endpoint{Host: host, Port: int32(n)} //nolint:gosec // written by hand
}

// fullKeys lets cases leave out the prefix that all our keys have.
func fullKeys(short map[string]string) map[string]string {
	var full map[string]string
	for key, value := range short {
		if full == nil {
			full = map[string]string{}
		}
		if !strings.Contains(key, "/") {
			key = vip.Prefix + key
		}
		full[key] = value
	}
	return full
}

func (c *caseClass) view() vip.Class {
	if c == nil {
		c = &caseClass{Variables: map[string]caseVariable{"clusterVip": {}, "ingressVip": {}}}
	}
	if c.State == "missing" {
		return vip.Class{}
	}
	view := vip.Class{Exists: true, Ready: c.State == "", Declares: map[string]bool{}, Roles: map[vip.Role]vip.ClassVariable{}}
	for path, variable := range c.Variables {
		name, _, _ := strings.Cut(path, ".")
		view.Declares[name] = variable.Near == ""
	}
	view.Port = vip.ClassPort{Variable: c.Port.Variable, Default: c.Port.Default, Beside: c.Port.Beside, BesideDefault: c.Port.BesideDefault}
	if c.Port.Most > 0 {
		view.Port.Admits = func(port int32) error {
			if port > c.Port.Most {
				return fmt.Errorf("should be less than or equal to %d", c.Port.Most)
			}
			return nil
		}
	}
	for _, role := range vip.Roles() {
		path := c.Paths[role]
		if path == "" {
			path = role.DefaultVariable()
		}
		variable, declared := c.Variables[path]
		described := vip.ClassVariable{
			Path: path, Declared: declared && variable.Near == "", Near: variable.Near, Shared: variable.Shared, Problem: variable.Problem, Default: variable.Default, NeededBy: variable.NeededBy, Consumed: variable.Consumed, Ungated: variable.Ungated,
		}
		described.Choices, described.Family = variable.Choices, variable.Family
		if variable.Choices != nil {
			described.Admits = func(address string) error {
				if !slices.Contains(variable.Choices, address) {
					return fmt.Errorf("should be one of %v", variable.Choices)
				}
				return nil
			}
		}
		if variable.Admits != "" {
			described.Admits = func(address string) error {
				if !regexp.MustCompile(variable.Admits).MatchString(address) {
					return fmt.Errorf("should match '%s'", variable.Admits)
				}
				return nil
			}
		}
		described.Shared = variable.Shared && role == vip.Ingress
		view.Roles[role] = described
	}
	return view
}

func poolRefOf(text string) vip.PoolRef {
	ref := vip.PoolRef{Group: "ipam.cluster.x-k8s.io", Kind: "GlobalInClusterIPPool", Name: text}
	if namespace, name, namespaced := strings.Cut(text, "/"); namespaced {
		ref.Kind, ref.Namespace, ref.Name = "InClusterIPPool", namespace, name
	}
	return ref
}

func (p *casePool) view() vip.Pool {
	pool := vip.Pool{Ref: poolRefOf(p.Name), Deleting: p.Deleting, Paused: p.Paused, Grace: time.Duration(p.Grace) * time.Second}
	if p.Kind != "" {
		pool.Ref.Kind = p.Kind
	}
	if p.Addresses != nil {
		var addresses []netip.Addr
		for _, text := range p.Addresses {
			addresses = append(addresses, netip.MustParseAddr(text))
		}
		pool.Lowest = addresses[0]
		pool.Holds = func(address netip.Addr) bool { return slices.Contains(addresses, address) }
	}
	annotations := fullKeys(p.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	if p.Class != "" {
		annotations[vip.PoolClassKey] = p.Class
	}
	if p.Role != "" {
		annotations[vip.PoolRoleKey] = p.Role
	}
	pool.Serves = vip.ParseServes(fullKeys(p.Labels), annotations)
	return pool
}

func (p *casePool) room() *allocator.Pool {
	if p.Free == nil {
		return &allocator.Pool{}
	}
	return &allocator.Pool{Usable: *p.Free, Reported: true}
}

func (c *caseClaim) view(role vip.Role) *vip.Claim {
	view := &vip.Claim{
		Name: role.ClaimName(caseName), UID: "claim-" + string(role), ResourceVersion: "7",
		Deleting: c.Deleting, Role: role, Pool: poolRefOf(c.Pool), Outdated: c.Outdated, Bound: c.Bound || c.Address != nil, Binding: c.Binding,
		ClusterLabel: c.Cluster, ReservedUntil: c.Reserved, Contested: c.Contested, LeaseHeld: c.LeaseHeld, DeletedAt: c.DeletedAt,
	}
	if c.Refusal != "" {
		view.Refusal = vip.Refusal{Reason: c.Refusal, Message: "says the provider"}
	}
	if c.Role != nil {
		view.Role = vip.Role(*c.Role)
	}
	owner := c.Owner
	if owner == "" {
		owner = caseUID
	}
	if owner != "none" {
		view.OwnerUIDs = []string{owner}
		if !c.Stranger {
			view.OwnerClusters = []string{owner}
		}
	}
	if a := c.Address; a != nil {
		view.Address = &vip.Address{Name: view.Name, Text: a.Text, Claim: view.Name, Pool: view.Pool, Deleting: a.Deleting, Outside: a.Outside}
		if a.Claim != "" {
			view.Address.Claim = a.Claim
		}
		if a.Pool != "" {
			view.Address.Pool = poolRefOf(a.Pool)
		}
	}
	return view
}
