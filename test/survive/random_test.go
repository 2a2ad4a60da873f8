package survive

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	seed      = flag.Uint64("seed", 0, "play this random history and no other")
	steps     = flag.String("steps", "", "with -seed: play only these of its steps, such as 0,3,4")
	histories = flag.Uint64("histories", 0, "how many random histories to play; 0 means 12, or 1000 with -long")
)

// step is one event of a history. Which one it is and what it does follows from its
// own seed, so that it stays the same when others are left out.
type step struct {
	number int
	seed   uint64
}

// chain draws the steps of a history.
func chain(seed uint64) []step {
	const least, most = 12, 36
	random := rand.New(rand.NewPCG(seed, 0))
	all := make([]step, least+random.IntN(most-least))
	for i := range all {
		all[i] = step{i, random.Uint64()}
	}
	return all
}

// Users, GitOps tools, IPAM, the network and the process do at random what they can
// do. Then all faults end, and every Cluster becomes what a new one with the same
// manifest becomes, without a write too many, and leaves nothing behind.
func TestRandomHistories(t *testing.T) {
	t.Parallel()
	want := undisturbed(t)
	if *seed != 0 {
		play(t, *seed, chosen(t, chain(*seed)), want)
		return
	}
	count := *histories
	if count == 0 {
		if count = 12; *long {
			count = 1000
		}
	}
	// A red run shall be about what was changed; new histories are for -long.
	first := uint64(1)
	if *long {
		first = rand.Uint64()
	}
	const workers = 6
	for worker := range uint64(workers) {
		t.Run(fmt.Sprint("worker ", worker), func(t *testing.T) {
			t.Parallel()
			for n := worker; n < count; n += workers {
				all := chain(first + n)
				if !t.Run(fmt.Sprint("seed ", first+n), func(t *testing.T) { play(t, first+n, all, want) }) {
					shrink(t, first+n, all, want)
					return
				}
			}
		})
	}
}

// chosen are the steps that -steps names, all without it.
func chosen(t *testing.T, all []step) []step {
	if *steps == "" {
		return all
	}
	var some []step
	for text := range strings.SplitSeq(*steps, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n >= len(all) {
			t.Fatalf("-steps: %q is no step of %d", text, len(all))
		}
		some = append(some, all[n])
	}
	return some
}

// shrink leaves out as many steps as it can while the history still fails, and says
// how to play the rest.
func shrink(t *testing.T, seed uint64, failing []step, want portraits) {
	limit := 5 * time.Minute
	if *long {
		limit = 15 * time.Minute
	}
	begin := time.Now()
	for size := (len(failing) + 1) / 2; size > 0 && time.Since(begin) < limit; size /= 2 {
		for at := 0; at < len(failing) && time.Since(begin) < limit; {
			rest := slices.Concat(failing[:at], failing[min(at+size, len(failing)):])
			if t.Run("shrinking", func(t *testing.T) { play(t, seed, rest, want) }) {
				at += size // these are needed
			} else {
				failing = rest
			}
		}
	}
	var numbers []string
	for _, s := range failing {
		numbers = append(numbers, strconv.Itoa(s.number))
	}
	t.Errorf("fails with %d steps: go test ./survive -run TestRandomHistories -seed %d -steps %s", len(failing), seed, strings.Join(numbers, ","))
}
