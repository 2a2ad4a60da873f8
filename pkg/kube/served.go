package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
)

// Versions of Cluster API's groups. Everything is handled as newest.
const newest, oldest = "v1beta2", "v1beta1"

// Served is, for each group of Kinds, the version in which the API server is
// asked: the best one that it serves.
type Served map[string]string

// Resource is a resource of Kinds at the version that is served. Any other, such as a
// pool of the same group, stays.
func (s Served) Resource(resource schema.GroupVersionResource) schema.GroupVersionResource {
	for _, kind := range Kinds() {
		if of, _ := meta.UnsafeGuessKindToResource(kind); of == resource {
			resource.Version = s.Kind(kind).Version
			break
		}
	}
	return resource
}

// Kind is the kind at the version that is served.
func (s Served) Kind(kind schema.GroupVersionKind) schema.GroupVersionKind {
	if version := s[kind.Group]; version != "" {
		kind.Version = version
	}
	return kind
}

// translates tells whether the kind is one of Kinds and is served at another version.
func (s Served) translates(kind schema.GroupVersionKind) bool {
	return slices.Contains(Kinds(), kind) && s.Kind(kind) != kind
}

func (s Served) String() string {
	var versions []string
	for _, group := range slices.Sorted(maps.Keys(s)) {
		versions = append(versions, group+"/"+s[group])
	}
	return strings.Join(versions, ", ")
}

// DiscoverServed asks which versions are served. missing says what is not there yet,
// or why it cannot be told; then the versions are not to be used.
func DiscoverServed(client discovery.DiscoveryInterface) (served Served, missing string) {
	served = Served{}
	for _, gvk := range Kinds() {
		if served[gvk.Group] == "" {
			if served[gvk.Group], missing = bestVersion(client, gvk); missing != "" {
				return nil, missing
			}
			continue
		}
		if serves, err := servesKind(client, served.Kind(gvk)); err != nil {
			return nil, err.Error()
		} else if !serves {
			return nil, served.Kind(gvk).String() + " is not served"
		}
	}
	return served, ""
}

func bestVersion(client discovery.DiscoveryInterface, kind schema.GroupVersionKind) (version, missing string) {
	for _, version := range []string{newest, oldest} {
		kind.Version = version
		serves, err := servesKind(client, kind)
		if err != nil {
			return "", err.Error()
		}
		if serves {
			return version, ""
		}
	}
	return "", fmt.Sprintf("%s is served neither at %s nor at %s", kind.GroupKind(), newest, oldest)
}

func servesKind(client discovery.DiscoveryInterface, kind schema.GroupVersionKind) (bool, error) {
	list, err := client.ServerResourcesForGroupVersion(kind.GroupVersion().String())
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("discover %s: %w", kind.GroupVersion(), err)
	}
	return slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Kind == kind.Kind }), nil
}

// WaitForKinds returns once the API server serves Kinds. An informer of a kind
// that is not installed would retry for ever without a word, so this comes first;
// it says what is missing each time it changes.
func WaitForKinds(ctx context.Context, client discovery.DiscoveryInterface) (Served, error) {
	const retry = 5 * time.Second // only while Cluster API is not installed
	var served Served
	said := ""
	err := wait.PollUntilContextCancel(ctx, retry, true, func(context.Context) (bool, error) {
		var missing string
		served, missing = DiscoverServed(client)
		if missing != "" && missing != said {
			logrus.Warnf("Waiting for Cluster API: %s", missing)
		}
		said = missing
		return missing == "", nil
	})
	if err != nil {
		return nil, fmt.Errorf("waiting for Cluster API (%s): %w", said, err)
	}
	logrus.Infof("Cluster API is served as %s", served)
	return served, nil
}
