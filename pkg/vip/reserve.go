package vip

import "fmt"

// VIP is what the Cluster carries for the role, whoever wrote it; empty if nothing.
func (s *Snapshot) VIP(role Role) string { return view(s, role, nil).current() }

// Asked judges the pool that somebody asks for by name, whatever classes it is for, but for
// its room.
func Asked(s *Snapshot, role Role, pool *Pool) Candidate {
	asked := Candidate{Pool: pool}
	if pool.Serves.Err == nil && !pool.Serves.HasRole(role) {
		asked.Verdict, asked.Detail = NoPool, fmt.Sprintf("its %s does not name %s", PoolRoleKey, role)
		return asked
	}
	asked.Verdict, asked.Detail = judge(s, role, &asked)
	return asked
}

// WhyNone says why none of the candidates can serve.
func WhyNone(s *Snapshot, role Role, candidates []Candidate) (Reason, string) {
	return whyNone(s, role, candidates)
}

// Unusable says why the address that the role's claim is bound to must not be given to the
// Cluster; the Reason is empty if it may. Whoever else has the address counts, also another
// VIP claim: no Lease decides here.
func (s *Snapshot) Unusable(role Role) (Reason, string) {
	v := view(s, role, nil)
	if err := v.checkAddress(); err != nil {
		return AddressInvalid, err.Error()
	}
	address := v.claim.Address.Text
	if v.claim.Address.Outside {
		return AddressInvalid, fmt.Sprintf("%s is none of the addresses of %s", address, v.claim.Pool)
	}
	if holder, used := v.holder(address); used {
		return AddressInUse, fmt.Sprintf("%s from %s is used by %s", address, v.claim.Pool, holder)
	}
	key, _ := Key(address)
	for _, rival := range s.Holders[key] {
		return AddressInUse, fmt.Sprintf("%s from %s is that of %s too", address, v.claim.Pool, rival)
	}
	for _, other := range Roles() {
		if c := s.Claims[other]; other != role && c != nil && c.Address != nil && sameHost(c.Address.Text, address) {
			return AddressInUse, fmt.Sprintf("%s from %s is that of claim %s too", address, v.claim.Pool, c.Name)
		}
	}
	return "", ""
}
