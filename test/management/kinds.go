package management

import (
	"context"
	"fmt"
	"io/fs"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// InstallKinds installs the kinds of providers that were left out, in the version
// that is stored and without webhooks: whoever asks for them may read and write
// such objects without a process that converts or judges them.
func (c *Cluster) InstallKinds(ctx context.Context, components ...string) error {
	binaries := map[string]string{CAPI: c.binaries.CAPI, IPAM: c.binaries.IPAM}
	for _, name := range components {
		binary, ok := binaries[name]
		if !ok {
			return fmt.Errorf("component %q has no kinds", name)
		}
		if err := c.installStored(ctx, manifestsOf(binary), nil); err != nil {
			return err
		}
	}
	return nil
}

// installStored installs the kinds of a folder in the version that is stored. The contracts are
// those of installProvider.
func (c *Cluster) installStored(ctx context.Context, folder fs.FS, contracts map[string]string) error {
	objects, err := readObjects(folder)
	if err != nil {
		return err
	}
	kinds := slices.DeleteFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() != crdKind })
	for _, crd := range kinds {
		crd.SetLabels(contractLabels(crd.GetLabels(), contracts))
		if err := storedOnly(crd); err != nil {
			return fmt.Errorf("%s %s: %w", crd.GetKind(), crd.GetName(), err)
		}
	}
	return c.applier.apply(ctx, kinds)
}

// storedOnly leaves of a kind's versions the one that is stored.
func storedOnly(crd *unstructured.Unstructured) error {
	versions, _, err := unstructured.NestedSlice(crd.Object, "spec", "versions")
	if err != nil {
		return err
	}
	versions = slices.DeleteFunc(versions, func(version any) bool {
		fields, ok := version.(map[string]any)
		return !ok || fields["storage"] != true
	})
	if err := unstructured.SetNestedSlice(crd.Object, versions, "spec", "versions"); err != nil {
		return err
	}
	return unstructured.SetNestedMap(crd.Object, map[string]any{"strategy": "None"}, "spec", "conversion")
}
