package rancher

import (
	"context"
	"errors"
	"fmt"

	"github.com/sirupsen/logrus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// carry makes the patches. It returns what keeps it from making all of them.
func (p *propagator) carry(s *Source, d Decision) (blocks []string, err error) {
	cause := p.memory.cause(s)
	var errs []error
	for i := range d.Patches {
		patch := &d.Patches[i]
		block, again := p.ration.cut(patch, cause)
		if block != "" {
			blocks = append(blocks, block)
			p.wakeIn(s.Key, again)
		}
		if patch.Empty() {
			continue
		}
		block, err := p.send(patch, cause)
		if block != "" {
			blocks = append(blocks, block)
		}
		errs = append(errs, err)
	}
	return blocks, errors.Join(errs...)
}

// send makes one patch. A refusal is the API server's last word for a while; an
// error may pass, and so may a conflict: others wrote the object at the same time, or
// it was made anew.
func (p *propagator) send(patch *Patch, cause string) (block string, err error) {
	t := patch.Target
	version, err := apply(p.writes, p.client, patch)
	switch {
	case apierrors.IsNotFound(err):
		return "", nil // its own event follows
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		block = "the API server refuses the stamps: " + vip.Short(err.Error())
		p.ration.refused(patch, cause, block)
		return block, nil
	case err != nil:
		return "", err
	}
	p.memory.wrote(t.UID, version)
	p.ration.wrote(patch, cause)
	logrus.WithField("cluster", t.Cluster.String()).Infof("Brought the VIPs of %s up to date", t)
	return "", nil
}

// apply sends the patch and returns the resourceVersion that it led to.
func apply(ctx context.Context, client metadata.Interface, patch *Patch) (version string, err error) {
	t := patch.Target
	body, err := patch.Body()
	if err != nil {
		return "", err
	}
	logrus.WithField("cluster", t.Cluster.String()).Debugf("Patching %s, version %s: %s", t, t.Version, body)
	updated, err := client.Resource(resourceOf(t.Kind)).Namespace(t.Namespace).
		Patch(ctx, t.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: kube.FieldManager})
	if err != nil {
		return "", fmt.Errorf("patch %s: %w", t, err)
	}
	return updated.ResourceVersion, nil
}
