package bench

import (
	"slices"
	"time"

	"gonum.org/v1/gonum/stat"

	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// Quantile is the smallest of the durations that is at least as long as the
// fraction p of them; 0 if there are none.
func Quantile(p float64, durations []time.Duration) time.Duration {
	if len(durations) == 0 {
		return 0
	}
	seconds := make([]float64, len(durations))
	for i, duration := range durations {
		seconds[i] = duration.Seconds()
	}
	slices.Sort(seconds)
	return time.Duration(stat.Quantile(p, stat.Empirical, seconds, nil) * float64(time.Second))
}

// ToEndpoint are the times from a Cluster's creation to its endpoint.
func (c Crowd) ToEndpoint() []time.Duration {
	return c.each(func(t timeline) time.Duration { return t.published[observe.ControlPlane].Sub(t.created) })
}

// ToIngressStamp are the times from a Cluster's creation to the stamp with its
// ingress VIP.
func (c Crowd) ToIngressStamp() []time.Duration {
	return c.each(func(t timeline) time.Duration { return t.published[observe.Ingress].Sub(t.created) })
}

// ToDone are the times from a Cluster's creation to its end of the measurement.
func (c Crowd) ToDone() []time.Duration {
	return c.each(func(t timeline) time.Duration { return t.done().Sub(t.created) })
}

// BoundToPublished are, for all claims, the times from the address in the claim to
// the address in the Cluster. The two come by two watches, which may differ by a
// moment.
func (c Crowd) BoundToPublished() []time.Duration {
	var durations []time.Duration
	for _, role := range roles {
		durations = append(durations, c.each(func(t timeline) time.Duration {
			return t.published[role].Sub(t.bound[role])
		})...)
	}
	return durations
}

// Rate is how many Clusters were done per second.
func (c Crowd) Rate() float64 { return float64(len(c.clusters)) / c.Total.Seconds() }

func (c Crowd) each(duration func(timeline) time.Duration) []time.Duration {
	durations := make([]time.Duration, 0, len(c.clusters))
	for _, t := range c.clusters {
		durations = append(durations, duration(t))
	}
	return durations
}

// Writes are the requests that were to change something.
func (r Requests) Writes() Requests { return audit.Keep(r, audit.Event.IsWrite) }

// ofAllocator are the requests that the allocator made.
func (r Requests) ofAllocator() Requests { return audit.Keep(r, audit.By(observe.UserAgent)) }

// PerAgent tallies the requests by the program that made them.
func (r Requests) PerAgent() []audit.Tally { return audit.Count(r, audit.Event.Agent) }

// PerResource tallies the requests by verb and resource.
func (r Requests) PerResource() []audit.Tally {
	return audit.Count(r, func(e audit.Event) string { return e.Verb + " " + e.Resource() })
}

// Ratio is how much longer the crowd took than the floor.
func (c Crowd) Ratio(floor Crowd) float64 { return c.Total.Seconds() / floor.Total.Seconds() }

// Ratio is how much longer one Cluster alone takes by the allocator than by the
// script, at the median.
func (a Alone) Ratio() float64 {
	return Quantile(0.5, a.Ours).Seconds() / Quantile(0.5, a.Script).Seconds()
}
