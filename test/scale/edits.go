package scale

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// editInterval is the time between two edits where the number of Clusters must make no
// difference.
const editInterval = 10 * time.Millisecond

// Edits are changes of labels that mean nothing to the allocator: it has to look, and to
// leave everything as it is.
type Edits struct {
	Count    int
	Took     time.Duration
	CPU      time.Duration // of the allocator, for all
	Passes   int
	Pass     time.Duration // how long one pass took, on average
	Requests []audit.Event
	Usage    allocator.Usage // at the end
}

// PerEvent is the allocator's CPU time for one edit.
func (e Edits) PerEvent() time.Duration { return e.CPU / time.Duration(max(e.Count, 1)) }

// edit has users edit one Cluster after another.
func (w *world) edit(ctx context.Context, process *allocator.Process, count int, interval time.Duration) (Edits, error) {
	result := Edits{Count: count}
	earlier, err := passesOf(ctx, process)
	if err != nil {
		return result, err
	}
	if _, err := w.rest(ctx, process); err != nil {
		return result, err
	}
	position, err := w.audit.Position()
	if err != nil {
		return result, err
	}
	before, err := process.Usage()
	if err != nil {
		return result, err
	}
	begin := time.Now()
	if err := w.editClusters(ctx, count, interval); err != nil {
		return result, err
	}
	result.Took = time.Since(begin)
	if _, err := w.rest(ctx, process); err != nil {
		return result, err
	}
	if result.Usage, err = process.Usage(); err != nil {
		return result, err
	}
	result.CPU = result.Usage.CPU - before.CPU
	if result.Requests, err = w.requests(position); err != nil {
		return result, err
	}
	later, err := passesOf(ctx, process)
	if result.Passes = int(later.count - earlier.count); result.Passes > 0 {
		result.Pass = time.Duration((later.seconds - earlier.seconds) / float64(result.Passes) * float64(time.Second))
	}
	return result, err
}

func (w *world) editClusters(ctx context.Context, count int, interval time.Duration) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	for n := range count {
		w.edits++
		value := w.edits
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return group.Wait()
		}
		i := n % w.clusters
		group.Go(func() error {
			patch := fmt.Sprintf(`{"metadata":{"labels":{"example.com/edited":"%d"}}}`, value)
			_, err := w.client.Resource(observe.Clusters).Namespace(w.tenants[i%tenants].namespace).
				Patch(ctx, clusterName(i), types.MergePatchType, []byte(patch), metav1.PatchOptions{})
			return err
		})
	}
	return group.Wait()
}

// churn has a tenth of all Clusters edited per minute.
func (w *world) churn(ctx context.Context, process *allocator.Process, long time.Duration) (Edits, error) {
	interval := time.Minute * 10 / time.Duration(w.clusters)
	return w.edit(ctx, process, max(1, int(long/interval)), interval)
}
