package allocator

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
)

// ScrapeSecure asks for a path of the secure metrics, whose certificate signs itself, by
// the given method. The token may be empty.
func ScrapeSecure(ctx context.Context, method, url, token string) (code int, text string, err error) {
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // as Prometheus does
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return 0, "", fmt.Errorf("scrape the allocator: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, "", fmt.Errorf("scrape the allocator: %w", err)
	}
	return response.StatusCode, string(body), nil
}
