package vip

// Held tells whether our own admission policy holds the Cluster back: it set the
// annotation and the pause when the Cluster was created. Whatever looks otherwise
// is a user's pause, or that of `clusterctl move`, and is never lifted.
func (c *Cluster) Held() bool {
	_, marked := c.Annotations[HeldAnnotation]
	_, annotated := c.Annotations[PausedAnnotation]
	return marked && !annotated && c.Paused != nil && *c.Paused && !c.HasInfrastructure
}

// WaitsFor tells whether infrastructure must not be built before the role has its
// VIP: the class uses it. A class without a variable for the control plane leaves
// the endpoint to be read from the Cluster itself.
func (s *Snapshot) WaitsFor(role Role) bool {
	variable := s.Class.Roles[role]
	return variable.Consumed || (role == ControlPlane && !variable.Declared)
}

// named tells whether the Cluster names a VIP for the role already. The same patch
// brings it to the other places, whatever becomes of a claim.
func (s *Snapshot) named(role Role) bool { return view(s, role, nil).current() != "" }

// releaseStranger lifts the pause of a held Cluster that is to be given no VIP: it
// would wait for ever, and a paused Cluster cannot even be deleted. Clusters of
// another --namespace or --watch-filter are held for another allocator.
func releaseStranger(s *Snapshot, skip Skip) []PatchOp {
	if !s.Cluster.Held() || skip == SkipPaused || !s.Settings.Reach(&s.Cluster) {
		return nil
	}
	patch := newPatch(&s.Cluster)
	patch.liftHold()
	return patch.ops()
}

// hold lets a held Cluster go once the patch gives it all that its class waits for,
// and says of every role that keeps it that it does.
func hold(s *Snapshot, d *Decision, patch *patch) {
	if s.Settings.HoldGate {
		if !s.Class.Exists || !s.Class.Ready {
			return
		}
		kept := false
		for role, outcome := range d.Roles {
			named := s.named(role) && outcome.Reason != VariableRefused && outcome.Reason != CopiedVIP
			if !outcome.Reason.Ready() && s.WaitsFor(role) && !named {
				outcome.note(ClusterHeld, "the Cluster is kept paused until then (annotation %s)", HeldAnnotation)
				kept = true
			}
		}
		if kept {
			return
		}
	}
	patch.liftHold()
}
