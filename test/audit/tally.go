package audit

import (
	"cmp"
	"maps"
	"slices"
)

// Tally counts requests by how they were answered.
type Tally struct {
	Key      string
	Accepted int // answered with 2xx
	Refused  int // answered with anything else
}

// Count tallies events by a key of the caller's choice, the most frequent first.
func Count(events []Event, key func(Event) string) []Tally {
	tallies := map[string]*Tally{}
	for _, event := range events {
		name := key(event)
		if tallies[name] == nil {
			tallies[name] = &Tally{Key: name}
		}
		if event.Accepted() {
			tallies[name].Accepted++
		} else {
			tallies[name].Refused++
		}
	}
	sorted := slices.Collect(maps.Values(tallies))
	slices.SortFunc(sorted, func(a, b *Tally) int {
		return cmp.Or(cmp.Compare(b.Accepted+b.Refused, a.Accepted+a.Refused), cmp.Compare(a.Key, b.Key))
	})
	result := make([]Tally, 0, len(sorted))
	for _, tally := range sorted {
		result = append(result, *tally)
	}
	return result
}
