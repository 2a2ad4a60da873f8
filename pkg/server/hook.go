package server

import (
	"fmt"

	"github.com/gorizond/capi-vip-allocator/pkg/hook"
)

// Names of what belongs to the runtime extension, in our own namespace. The chart
// and the documentation name them too.
const (
	hookService = "capi-vip-allocator-runtime-extension"
	hookSecret  = "capi-vip-allocator-runtime-extension-tls"
)

// addHook makes the runtime extension, if it is switched on.
func (s *server) addHook() error {
	if !s.config.RuntimeExtension {
		return nil
	}
	var err error
	s.hook, err = hook.New(hook.Options{
		Name: s.config.RuntimeExtensionName, Port: s.config.RuntimeExtensionPort,
		Namespace: s.config.LeaseNamespace, Service: hookService, Secret: hookSecret,
		Client: s.client, Settings: s.config.Settings(), Meter: s.metrics,
	})
	if err != nil {
		return fmt.Errorf("runtime extension: %w", err)
	}
	s.health.serving = s.hook.Serving
	return nil
}

// openHook lets the hook judge Clusters by the caches, which have synced. A standby
// does that as well as a leader.
func (s *server) openHook() {
	if s.hook == nil {
		return
	}
	s.hook.Use(s.observer.ForBuilds())
}
