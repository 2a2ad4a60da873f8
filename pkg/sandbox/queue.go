package sandbox

import (
	"slices"
	"time"
)

// job is a question that waits for its answer.
type job struct {
	key       string
	namespace string
	request   *request
	done      []func(Answer, error)
}

// queue holds questions by the namespace that they come from. Each namespace has its
// turn, so that none waits for more than one question of each other namespace.
type queue struct {
	jobs       map[string]*job   // by key
	namespaces []string          // in turn
	waiting    map[string][]*job // by namespace
	// resting are the namespaces whose last question took too much, and until when they
	// have no turn.
	resting map[string]time.Time
}

func newQueue() *queue {
	return &queue{jobs: map[string]*job{}, waiting: map[string][]*job{}, resting: map[string]time.Time{}}
}

func (q *queue) add(j *job) {
	q.jobs[j.key] = j
	if len(q.waiting[j.namespace]) == 0 {
		q.namespaces = append(q.namespaces, j.namespace)
	}
	q.waiting[j.namespace] = append(q.waiting[j.namespace], j)
}

// next takes the next question. If there are only such of resting namespaces it is nil,
// and wait is how long the first of them rests.
func (q *queue) next(now time.Time) (j *job, wait time.Duration) {
	for i, namespace := range q.namespaces {
		if left := q.resting[namespace].Sub(now); left > 0 {
			if wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		delete(q.resting, namespace)
		j, q.waiting[namespace] = q.waiting[namespace][0], q.waiting[namespace][1:]
		q.namespaces = slices.Delete(q.namespaces, i, i+1)
		if len(q.waiting[namespace]) > 0 {
			q.namespaces = append(q.namespaces, namespace)
		} else {
			delete(q.waiting, namespace)
		}
		return j, 0
	}
	return nil, wait
}

// rest has the namespace wait for its next turn.
func (q *queue) rest(namespace string, now time.Time, until time.Duration) {
	for other, end := range q.resting {
		if !end.After(now) {
			delete(q.resting, other)
		}
	}
	q.resting[namespace] = now.Add(until)
}
