package management

import (
	"context"
	"fmt"
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
		objects, err := readObjects(manifestsOf(binary))
		if err != nil {
			return err
		}
		kinds := slices.DeleteFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() != crdKind })
		for _, crd := range kinds {
			crd.SetLabels(contractLabels(crd.GetLabels()))
			if err := storedOnly(crd); err != nil {
				return fmt.Errorf("%s %s: %w", crd.GetKind(), crd.GetName(), err)
			}
		}
		if err := c.applier.apply(ctx, kinds); err != nil {
			return err
		}
	}
	return nil
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
