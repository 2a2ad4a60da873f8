package hook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

const (
	// reloadPeriod is how often the Secret is looked at. It is far below settling, so
	// that each replica serves a new certificate before its authority is all there is.
	reloadPeriod = time.Minute
	// firstRetry is how often it is looked at while there is no certificate at all.
	firstRetry = 2 * time.Second
	// secretTimeout bounds one look.
	secretTimeout = 20 * time.Second
)

// errNoCertificate refuses connections until there is a certificate.
var errNoCertificate = errors.New("there is no serving certificate yet")

// keeper keeps the certificate that is served the one that the Secret holds.
type keeper struct {
	share  *share
	loaded atomic.Pointer[tls.Certificate]
	said   string // the last error that was logged
}

func newKeeper(client kubernetes.Interface, namespace, secret, service string) *keeper {
	return &keeper{share: &share{
		secrets: client.CoreV1().Secrets(namespace), namespace: namespace, name: secret, now: time.Now,
		// Cluster API calls <service>.<namespace>.svc; the loopback names are for a
		// manager on the same machine.
		names: []string{
			service + "." + namespace + ".svc", service + "." + namespace + ".svc.cluster.local",
			"localhost", "127.0.0.1", "::1",
		},
	}}
}

// certificate is the one to serve now.
func (k *keeper) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := k.loaded.Load(); c != nil {
		return c, nil
	}
	return nil, errNoCertificate
}

// first returns once there is a certificate; its error is the end of ctx.
func (k *keeper) first(ctx context.Context) error {
	err := wait.PollUntilContextCancel(ctx, firstRetry, true, func(ctx context.Context) (bool, error) {
		k.load(ctx)
		return k.loaded.Load() != nil, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for a serving certificate: %w", err)
	}
	return nil
}

// run looks after the certificate until ctx ends.
func (k *keeper) run(ctx context.Context) {
	wait.JitterUntilWithContext(ctx, k.load, reloadPeriod, 0.2, true)
}

// load takes over what the Secret holds. If that fails, the certificate that was
// loaded before is served on.
func (k *keeper) load(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, secretTimeout)
	defer cancel()
	certificate, err := k.share.current(ctx)
	if err != nil {
		if text := err.Error(); text != k.said && !errors.Is(err, context.Canceled) {
			k.said = text
			logrus.WithError(err).Error("The certificate of the runtime extension cannot be kept current")
		}
		return
	}
	k.said = ""
	k.loaded.Store(certificate)
}
