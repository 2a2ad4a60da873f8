package management

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gorizond/capi-vip-allocator/test/loopback"
)

// probe asks the component at a loopback port for path; nil means that it
// answered 200 OK.
func (c *Cluster) probe(ctx context.Context, scheme string, port int, path string) error {
	_, err := c.fetch(ctx, http.StatusOK, scheme, port, path)
	return err
}

// providerReady makes the readiness check of a provider, given the controller
// that tests wait for. The provider's own check is not enough: it does not look
// at the controllers, nor always at the webhooks, whose certificate moreover
// tells this cluster's provider from another's.
func (c *Cluster) providerReady(controller string) func(context.Context, []int) error {
	started := fmt.Sprintf("controller_runtime_max_concurrent_reconciles{controller=%q}", controller)
	return func(ctx context.Context, ports []int) error {
		_, webhooks := c.fetch(ctx, http.StatusNotFound, "https", ports[webhookPort], "/")
		metrics, err := c.fetch(ctx, http.StatusOK, "http", ports[metricsPort], "/metrics")
		if err == nil && !strings.Contains(metrics, started) {
			err = fmt.Errorf("controller %s has not started", controller)
		}
		return errors.Join(c.probe(ctx, "http", ports[healthPort], "/readyz"), webhooks, err)
	}
}

// fetch returns what the component at a loopback port answers, if it does so
// with the wanted status.
func (c *Cluster) fetch(ctx context.Context, status int, scheme string, port int, path string) (string, error) {
	roots := x509.NewCertPool()
	roots.AddCert(c.authority.certificate)
	client := &http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: roots},
			DisableKeepAlives: true,
		},
	}
	url := scheme + "://" + loopback.Address(port) + path
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != status {
		return "", fmt.Errorf("%s answers %s", url, response.Status)
	}
	body, err := io.ReadAll(response.Body)
	return string(body), err
}
