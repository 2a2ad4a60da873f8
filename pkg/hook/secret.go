package hook

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"time"

	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// ownLabel marks the Secret as ours: only such a one is ever written.
const ownLabel = vip.Prefix + "runtime-extension"

// attempts bounds how often a lost race is run again: of replicas that write at the
// same time each but one loses, and then finds nothing left to write.
const attempts = 10

// share is the Secret in which all replicas have their certificates. Whoever finds
// that something is due writes it, and what the API server accepted counts for all.
type share struct {
	secrets         typedcorev1.SecretInterface
	namespace, name string
	names           []string // of the server
	now             func() time.Time
}

// current returns the certificate to serve, after writing whatever was due.
func (s *share) current(ctx context.Context) (*tls.Certificate, error) {
	var lost error
	for range attempts {
		secret, err := s.secrets.Get(ctx, s.name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			secret, err = nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("get Secret %s/%s: %w", s.namespace, s.name, err)
		}
		secret, err = s.bring(ctx, secret)
		if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) {
			lost = err
			continue
		}
		if err != nil {
			return nil, err
		}
		c, err := parse(secret.Data)
		if err != nil {
			return nil, fmt.Errorf("read Secret %s/%s: %w", s.namespace, s.name, err)
		}
		return &c.pair, nil
	}
	return nil, fmt.Errorf("somebody else keeps writing Secret %s/%s: %w", s.namespace, s.name, lost)
}

// bring writes the Secret if anything is due, and returns it as the API server has
// it. A nil Secret is one that does not exist.
func (s *share) bring(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error) {
	if secret != nil && secret.Labels[ownLabel] != "true" {
		return nil, fmt.Errorf("use Secret %s/%s: it is somebody else's, since it has no label %s: \"true\"; delete it, and it is made anew", s.namespace, s.name, ownLabel)
	}
	var before map[string][]byte
	if secret != nil {
		before = secret.Data
	}
	data, changed, problem, err := renew(before, s.names, s.now())
	if err != nil {
		return nil, fmt.Errorf("renew Secret %s/%s: %w", s.namespace, s.name, err)
	}
	if problem != nil {
		logrus.WithError(problem).Warnf("Secret %s/%s cannot be used and is replaced", s.namespace, s.name)
	}
	if !changed {
		return secret, nil
	}
	if secret == nil {
		secret, err = s.secrets.Create(ctx, s.fresh(data), metav1.CreateOptions{FieldManager: kube.FieldManager})
	} else {
		secret = secret.DeepCopy()
		if secret.Data == nil {
			secret.Data = map[string][]byte{}
		}
		maps.Copy(secret.Data, data)
		secret, err = s.secrets.Update(ctx, secret, metav1.UpdateOptions{FieldManager: kube.FieldManager})
	}
	if err != nil {
		return nil, fmt.Errorf("write Secret %s/%s: %w", s.namespace, s.name, err)
	}
	logrus.Infof("Renewed the certificates in Secret %s/%s", s.namespace, s.name)
	return secret, nil
}

func (s *share) fresh(data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: s.name, Labels: map[string]string{ownLabel: "true"}},
		Type:       corev1.SecretTypeTLS, Data: data,
	}
}
