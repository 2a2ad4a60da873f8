// Command codegen writes the typed wrangler controllers of pkg/generated for the
// Cluster API kinds that the allocator watches. Run it with `go generate`.
package main

import (
	"os"

	controllergen "github.com/rancher/wrangler/v3/pkg/controller-gen"
	"github.com/rancher/wrangler/v3/pkg/controller-gen/args"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"
)

func main() {
	// With GOPATH set the generator writes below it instead of into this tree.
	if err := os.Unsetenv("GOPATH"); err != nil {
		panic(err)
	}
	controllergen.Run(args.Options{
		OutputPackage: "github.com/gorizond/capi-vip-allocator/pkg/generated",
		Boilerplate:   "pkg/codegen/boilerplate.go.txt",
		Groups: map[string]args.Group{
			clusterv1.GroupVersion.Group: {
				PackageName: "cluster.x-k8s.io",
				Types:       []any{clusterv1.Cluster{}, clusterv1.ClusterClass{}},
			},
			ipamv1.GroupVersion.Group: {
				PackageName: "ipam.cluster.x-k8s.io",
				Types:       []any{ipamv1.IPAddressClaim{}, ipamv1.IPAddress{}},
			},
		},
	})
}
