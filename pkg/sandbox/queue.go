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
	// subjects are who asked it, and what is called once it is answered; nil if nothing is.
	subjects map[string]func(failed bool)
}

// queue holds questions by the namespace that they come from. Each namespace has its
// turn, so that none waits for more than one question of each other namespace. A subject
// has one question in it, the last that it asked: so the queue is no longer than there
// are objects, however often they change.
type queue struct {
	jobs       map[string]*job   // by key
	asked      map[string]*job   // by subject
	namespaces []string          // in turn
	waiting    map[string][]*job // by namespace
	// resting are the namespaces whose last question took long, and until when they have
	// no turn.
	resting map[string]time.Time
}

func newQueue() *queue {
	return &queue{jobs: map[string]*job{}, asked: map[string]*job{}, waiting: map[string][]*job{}, resting: map[string]time.Time{}}
}

// ask puts the question of a subject in line, in place of the one that it asked before.
func (q *queue) ask(subject, namespace, key string, r *request, done func(failed bool)) {
	j, before := q.jobs[key], q.asked[subject]
	if j == nil && before != nil && len(before.subjects) == 1 && slices.Contains(q.waiting[namespace], before) {
		// In its place in line, or who changes all the time would never have a turn.
		delete(q.jobs, before.key)
		before.key, before.request, j = key, r, before
		q.jobs[key] = j
	}
	if before != nil && before != j {
		delete(before.subjects, subject)
		if len(before.subjects) == 0 {
			q.drop(before)
		}
	}
	if j == nil {
		j = &job{key: key, namespace: namespace, request: r, subjects: map[string]func(bool){}}
		q.jobs[key] = j
		if len(q.waiting[namespace]) == 0 {
			q.namespaces = append(q.namespaces, namespace)
		}
		q.waiting[namespace] = append(q.waiting[namespace], j)
	}
	j.subjects[subject], q.asked[subject] = done, j
}

// drop takes a question out that nobody asks any more. One that is being answered is not
// in line.
func (q *queue) drop(j *job) {
	list := q.waiting[j.namespace]
	at := slices.Index(list, j)
	if at < 0 {
		return
	}
	delete(q.jobs, j.key)
	if list = slices.Delete(list, at, at+1); len(list) > 0 {
		q.waiting[j.namespace] = list
		return
	}
	delete(q.waiting, j.namespace)
	q.namespaces = slices.DeleteFunc(q.namespaces, func(n string) bool { return n == j.namespace })
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

// finish ends a question that was taken, and returns what is to be called.
func (q *queue) finish(j *job) (done []func(failed bool)) {
	delete(q.jobs, j.key)
	for subject, call := range j.subjects {
		delete(q.asked, subject)
		if call != nil {
			done = append(done, call)
		}
	}
	return done
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
