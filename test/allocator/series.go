package allocator

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Series are the values of a scrape, by name and labels as Prometheus writes them:
// `capi_vip_allocator_leader` or `go_gc_duration_seconds{quantile="0"}`.
type Series map[string]float64

// Scrape asks for /metrics once, as Prometheus would.
func (p *Process) Scrape(ctx context.Context) (text string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.MetricsURL(), nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("scrape the allocator: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", fmt.Errorf("scrape the allocator: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("scrape the allocator: %s: %.2000s", response.Status, body)
	}
	return string(body), nil
}

// Series scrapes the allocator.
func (p *Process) Series(ctx context.Context) (Series, error) {
	text, err := p.Scrape(ctx)
	if err != nil {
		return nil, err
	}
	series := Series{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ') // a label may hold a space, a value cannot
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("scrape the allocator: line %q: %w", line, err)
		}
		series[line[:max(at, 0)]] = value
	}
	return series, nil
}
