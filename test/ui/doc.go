// Package ui looks at the page of `kubectl vip ui` as users do: with a real browser, headless
// Chromium, on a real management cluster with a running allocator.
package ui
