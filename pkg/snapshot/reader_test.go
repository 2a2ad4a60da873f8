package snapshot

import (
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

func clusterNamed(namespace, name, uid string) *clusterv1.Cluster {
	cluster := &clusterv1.Cluster{ObjectMeta: named(namespace, name)}
	cluster.UID = types.UID(uid)
	return cluster
}

func TestWhoeverBuildsIsBehindUntilTheVeryClusterIsSeen(t *testing.T) {
	known := clusterNamed("a", "one", "u-1")
	b := observerOf(known).ForBuilds()
	for _, test := range []struct {
		name, uid string
		behind    bool
	}{{"one", "u-1", false}, {"one", "u-2", true}, {"two", "u-1", true}} {
		asked := clusterNamed("a", test.name, test.uid)
		snapshot, err := b.Observe(asked)
		if errors.Is(err, ErrBehind) != test.behind || (err == nil) != (snapshot != nil) {
			t.Errorf("%s %s: %v, %v", test.name, test.uid, snapshot, err)
		}
	}
}
