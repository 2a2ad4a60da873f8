package vip

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func somePools() []Pool {
	var pools []Pool
	for _, priority := range []int{0, 1, -1} {
		for _, ref := range []PoolRef{
			{Group: "a", Kind: "A", Name: "x"}, {Group: "b", Kind: "A", Name: "x"}, {Group: "a", Kind: "B", Name: "x"},
			{Group: "a", Kind: "A", Name: "y"}, {Group: "a", Kind: "A", Namespace: "n", Name: "x"}, {Group: "a", Kind: "A", Namespace: "m", Name: "x"},
		} {
			pools = append(pools, Pool{Ref: ref, Serves: Serves{Priority: priority}})
		}
	}
	return pools
}

func TestRankIsAStrictTotalOrder(t *testing.T) {
	pools := somePools()
	for i := range pools {
		if rankValues(pools[i], pools[i]) != 0 {
			t.Errorf("%v comes before itself", pools[i])
		}
		for j := range pools {
			if rankValues(pools[i], pools[j]) != -rankValues(pools[j], pools[i]) {
				t.Errorf("%v and %v: both come first, or neither", pools[i], pools[j])
			}
			if pools[i].Ref != pools[j].Ref && rankValues(pools[i], pools[j]) == 0 {
				t.Errorf("%v and %v have the same rank", pools[i].Ref, pools[j].Ref)
			}
			for k := range pools {
				if rankValues(pools[i], pools[j]) < 0 && rankValues(pools[j], pools[k]) < 0 && rankValues(pools[i], pools[k]) >= 0 {
					t.Errorf("%v, %v, %v go round in a circle", pools[i], pools[j], pools[k])
				}
			}
		}
	}
}

func served(name, classes string) Pool {
	return Pool{Ref: PoolRef{Name: name}, Serves: ParseServes(nil, map[string]string{PoolClassKey: classes, PoolRoleKey: "ingress"})}
}

func TestRankPrefers(t *testing.T) {
	for _, test := range []struct {
		name        string
		first, then Pool
	}{
		{"a higher priority to a namespaced pool", Pool{Serves: Serves{Priority: 1}}, Pool{Ref: PoolRef{Namespace: "n"}}},
		{"no priority to a negative one", Pool{}, Pool{Serves: Serves{Priority: -1}, Ref: PoolRef{Namespace: "n"}}},
		{"a namespaced pool to a global one", Pool{Ref: PoolRef{Namespace: "n", Name: "x"}}, Pool{Ref: PoolRef{Name: "x"}}},
		{"a class by its namespace to one by its name", served("a", "n/c"), served("b", "c")},
		{"a class by its name to *", served("b", "c"), served("a", "*")},
		{"the most exact of several entries", served("b", "*,n/c"), served("a", "c,*")},
		{"a namespaced pool to a more exact one", Pool{Ref: PoolRef{Namespace: "n"}, Serves: served("", "*").Serves}, served("a", "n/c")},
		{"the better name", Pool{Ref: PoolRef{Name: "a", Kind: "Z"}}, Pool{Ref: PoolRef{Name: "b", Kind: "A"}}},
		{"the better namespace of one name", Pool{Ref: PoolRef{Name: "a", Namespace: "m", Kind: "Z"}}, Pool{Ref: PoolRef{Name: "a", Namespace: "n", Kind: "A"}}},
		{"the better kind of one name", Pool{Ref: PoolRef{Name: "a", Kind: "A", Group: "z"}}, Pool{Ref: PoolRef{Name: "a", Kind: "B", Group: "a"}}},
		{"the better group of one kind", Pool{Ref: PoolRef{Name: "a", Group: "a"}}, Pool{Ref: PoolRef{Name: "a", Group: "b"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if rankValues(test.first, test.then) >= 0 {
				t.Errorf("%+v does not come before %+v", test.first, test.then)
			}
		})
	}
}

func TestRankDoesNotDependOnTheOrderOfTheList(t *testing.T) {
	pools := somePools()
	slices.SortFunc(pools, rankValues)
	want := slices.Clone(pools)
	for n := range uint64(20) {
		r := rand.New(rand.NewPCG(n, 0)) //nolint:gosec // it is to repeat itself
		r.Shuffle(len(pools), func(i, j int) { pools[i], pools[j] = pools[j], pools[i] })
		slices.SortFunc(pools, rankValues)
		for i := range pools {
			if pools[i].Ref != want[i].Ref || pools[i].Serves.Priority != want[i].Serves.Priority {
				t.Fatalf("seed %d: place %d is %v, want %v", n, i, pools[i], want[i])
			}
		}
	}
}

func rankValues(a, b Pool) int {
	class := ClassKey{Namespace: "n", Name: "c"}
	return rank(Candidate{Pool: &a, Match: a.Serves.match(class)}, Candidate{Pool: &b, Match: b.Serves.match(class)})
}
