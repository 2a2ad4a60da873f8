package server

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/client-go/tools/record"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/config"
	"github.com/gorizond/capi-vip-allocator/pkg/rancher"
)

// propagate carries the VIPs to Rancher and Fleet, or takes them back from there. It
// returns at once; passes begin until ctx ends, and write until writes ends.
func (s *server) propagate(ctx, writes context.Context, recorder record.EventRecorder, underWay *sync.RWMutex) error {
	clusters, err := s.caches.ForKind(clusterv1.GroupVersion.WithKind("Cluster"))
	if err != nil {
		return fmt.Errorf("propagation: %w", err)
	}
	setup := rancher.Setup{
		Config: s.rest, CRDs: s.crds, Clusters: clusters, Settings: s.config.Settings(), Workspaces: s.config.FleetWorkspaces,
		Recorder: recorder, UnderWay: underWay, Recovered: s.metrics.Recovered, Unreadable: s.metrics.Unreadable,
	}
	if s.config.Propagate == config.PropagateOff {
		return rancher.Withdraw(ctx, writes, setup)
	}
	return rancher.Start(ctx, writes, setup)
}
