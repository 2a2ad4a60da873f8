module github.com/gorizond/capi-vip-allocator/test/install

go 1.26.0

replace github.com/gorizond/capi-vip-allocator/test => ../

require (
	github.com/google/go-containerregistry v0.20.6
	github.com/gorizond/capi-vip-allocator/test v0.0.0
	helm.sh/helm/v3 v3.21.4
	k8s.io/api v0.36.3
	k8s.io/apimachinery v0.36.3
	k8s.io/client-go v0.36.3
	sigs.k8s.io/cluster-api v1.14.2
	sigs.k8s.io/yaml v1.6.0
)
