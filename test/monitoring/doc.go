// Package monitoring tests the alerts and the dashboard of the Helm chart with
// Prometheus itself, in a Go module of its own because of what Prometheus needs: the
// alerts by promtool, on made-up series; and every query by the engine, on what a real
// allocator showed.
package monitoring
