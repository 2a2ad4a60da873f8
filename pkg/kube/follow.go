package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
)

// ErrServedChanged says that Cluster API was upgraded or downgraded to one that
// serves other versions. Caches and queues belong to the former one, and a fresh start
// is the simplest way to follow.
var ErrServedChanged = errors.New("the served versions have changed, a fresh start follows them")

// FollowServed returns ErrServedChanged once other versions are served, of Cluster API or
// of a kind of pool, or nil when ctx ends.
func FollowServed(ctx context.Context, crds *CRDs, client discovery.DiscoveryInterface, served Served, pools *Pools) error {
	watched := slices.Clone(pools.wanted)
	for _, kind := range Kinds() {
		resource, _ := meta.UnsafeGuessKindToResource(kind)
		watched = append(watched, resource.GroupResource())
	}
	changed, err := crds.changes(watched)
	if err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		if what := servedOtherwise(ctx, client, served, pools); what != "" {
			return fmt.Errorf("%w: %s", ErrServedChanged, what)
		}
	}
}

// servedOtherwise says what is served in another version; empty if nothing is. It asks a
// few times, since discovery follows a CRD with a delay.
func servedOtherwise(ctx context.Context, client discovery.DiscoveryInterface, served Served, pools *Pools) (what string) {
	_ = wait.ExponentialBackoffWithContext(ctx, wait.Backoff{Duration: 300 * time.Millisecond, Factor: 3, Steps: 4}, func(context.Context) (bool, error) {
		if now, missing := DiscoverServed(client); missing == "" && !maps.Equal(now, served) {
			what = fmt.Sprintf("%s instead of %s", now, served)
		} else {
			what = pools.servedOtherwise()
		}
		return what != "", nil
	}) // that nothing changed is no error
	return what
}
