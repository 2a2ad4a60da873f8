package sandbox

import (
	"fmt"
	"testing"
	"time"
)

// However often an object changes, it has one question in line; and a question that
// several ask stays there as long as one of them does.
func TestAnObjectHasOneQuestion(t *testing.T) {
	q := newQueue()
	called := map[string]bool{}
	ask := func(subject, key string) {
		q.ask(subject, "n", key, &request{}, func(bool) { called[subject] = true })
	}
	for i := range 100 {
		ask("a", fmt.Sprint(i))
	}
	ask("b", "shared")
	ask("c", "shared")
	ask("b", "other")
	if len(q.jobs) != 3 || len(q.asked) != 3 || len(q.waiting["n"]) != 3 || len(q.namespaces) != 1 {
		t.Fatalf("%+v", q)
	}
	for _, want := range []string{"99", "shared", "other"} {
		j, _ := q.next(time.Now())
		if j == nil || j.key != want {
			t.Fatalf("got %+v, want %s", j, want)
		}
		if want == "99" {
			ask("a", "newer") // while the older one is being answered
		}
		for _, call := range q.finish(j) {
			call(false)
		}
	}
	if called["a"] || !called["b"] || !called["c"] {
		t.Errorf("called: %v", called)
	}
	if j, _ := q.next(time.Now()); j == nil || j.key != "newer" || len(q.finish(j)) != 1 {
		t.Errorf("got %+v", j)
	}
	if len(q.jobs)+len(q.asked)+len(q.waiting)+len(q.namespaces) != 0 {
		t.Errorf("left: %+v", q)
	}
}

// An object that changes all the time has its turn like any other.
func TestAQuestionKeepsItsPlace(t *testing.T) {
	q := newQueue()
	for i := range 3 {
		q.ask(fmt.Sprint("other", i), fmt.Sprint("n", i), fmt.Sprint("other", i), &request{}, nil)
	}
	q.ask("restless", "n", "0", &request{}, nil)
	for i := range 3 {
		j, _ := q.next(time.Now())
		q.finish(j)
		q.ask(fmt.Sprint("again", i), fmt.Sprint("n", i), fmt.Sprint("again", i), &request{}, nil)
		q.ask("restless", "n", fmt.Sprint(i+1), &request{}, nil)
	}
	if j, _ := q.next(time.Now()); j.key != "3" {
		t.Errorf("it is %s's turn", j.key)
	}
}

// A namespace that rests lets the others have their turn, and has its own afterwards.
func TestANamespaceRests(t *testing.T) {
	q, now := newQueue(), time.Now()
	for _, namespace := range []string{"a", "b", "a"} {
		q.ask(fmt.Sprint(len(q.jobs)), namespace, fmt.Sprint(len(q.jobs)), &request{}, nil)
	}
	q.rest("a", now, time.Second)
	if j, _ := q.next(now); j == nil || j.namespace != "b" {
		t.Fatalf("got %+v", j)
	}
	if j, wait := q.next(now); j != nil || wait != time.Second {
		t.Fatalf("got %+v after %s", j, wait)
	}
	if j, _ := q.next(now.Add(time.Second)); j == nil || j.namespace != "a" || len(q.resting) != 0 {
		t.Errorf("got %+v", j)
	}
}
