package management

import (
	"context"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gorizond/capi-vip-allocator/test/loopback"
)

//go:embed crds/*.yaml
var demoKinds embed.FS

// installDemoKinds applies the kinds of the provider that has no controller.
func (c *Cluster) installDemoKinds(ctx context.Context) error {
	objects, err := readObjects(demoKinds)
	if err != nil {
		return err
	}
	return c.applier.apply(ctx, objects)
}

// manifestsOf is the folder that Build puts beside a provider's binary.
func manifestsOf(binary string) fs.FS {
	return os.DirFS(filepath.Join(filepath.Dir(binary), "manifests"))
}

// installProvider applies a provider's namespace, CRDs and webhook
// configurations, as its own kustomization would, except that the API server
// reaches the webhooks at a loopback port instead of a Service.
//
// The contracts are labels by which Cluster API finds out which versions of a kind follow
// which of its contracts; none are those of Cluster API's own kinds.
func (c *Cluster) installProvider(ctx context.Context, manifests fs.FS, namespace, prefix string, port int, contracts map[string]string) error {
	objects, err := readObjects(manifests)
	if err != nil {
		return err
	}
	for _, object := range objects {
		var err error
		switch object.GetKind() {
		case crdKind:
			object.SetLabels(contractLabels(object.GetLabels(), contracts))
			err = c.convertThrough(object, port)
		case "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration":
			object.SetName(prefix + object.GetName())
			err = c.admitThrough(object, port)
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	home := &unstructured.Unstructured{}
	home.SetAPIVersion("v1")
	home.SetKind("Namespace")
	home.SetName(namespace)
	return c.applier.apply(ctx, append([]*unstructured.Unstructured{home}, objects...))
}

// contractLabels adds the labels of the contracts.
func contractLabels(labels, contracts map[string]string) map[string]string {
	if labels == nil {
		labels = map[string]string{}
	}
	if contracts == nil {
		contracts = map[string]string{"cluster.x-k8s.io/v1beta1": "v1beta1", "cluster.x-k8s.io/v1beta2": "v1beta2"}
	}
	maps.Copy(labels, contracts)
	return labels
}

// convertThrough makes the API server call the provider to convert a kind
// between its versions.
func (c *Cluster) convertThrough(crd *unstructured.Unstructured, port int) error {
	return unstructured.SetNestedMap(crd.Object, map[string]any{
		"strategy": "Webhook",
		"webhook": map[string]any{
			"conversionReviewVersions": []any{"v1"},
			"clientConfig":             c.clientConfig(port, "/convert"),
		},
	}, "spec", "conversion")
}

// admitThrough replaces the Service of each admission webhook.
func (c *Cluster) admitThrough(configuration *unstructured.Unstructured, port int) error {
	webhooks, _, err := unstructured.NestedSlice(configuration.Object, "webhooks")
	if err != nil {
		return err
	}
	for _, webhook := range webhooks {
		webhook, ok := webhook.(map[string]any)
		if !ok {
			return fmt.Errorf("a webhook is no object")
		}
		path, found, err := unstructured.NestedString(webhook, "clientConfig", "service", "path")
		if err != nil || !found {
			return fmt.Errorf("webhook %v has no path: %w", webhook["name"], err)
		}
		webhook["clientConfig"] = c.clientConfig(port, path)
	}
	return unstructured.SetNestedSlice(configuration.Object, webhooks, "webhooks")
}

func (c *Cluster) clientConfig(port int, path string) map[string]any {
	return map[string]any{
		"url":      "https://" + loopback.Address(port) + path,
		"caBundle": base64.StdEncoding.EncodeToString(c.authority.pem),
	}
}

// readObjects decodes all YAML files of a folder and its subfolders.
func readObjects(folder fs.FS) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	err := fs.WalkDir(folder, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(folder, path)
		if err != nil {
			return err
		}
		decoded, err := decode(content)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		objects = append(objects, decoded...)
		return nil
	})
	return objects, err
}
