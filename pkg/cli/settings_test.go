package cli

import (
	"reflect"
	"strings"
	"testing"
)

func TestSettingsOfTheController(t *testing.T) {
	args := func(words ...string) func(*scene) {
		var list []any
		for _, word := range words {
			list = append(list, word)
		}
		return func(s *scene) {
			s.set(manager, []any{map[string]any{"name": "manager", "args": list}}, "spec", "template", "spec", "containers")
		}
	}
	for name, test := range map[string]struct {
		edit    func(*scene)
		flags   []string
		state   string
		problem string
		want    Settings
	}{
		"of the Deployment": {edit: func(*scene) {}, state: "found", want: Settings{DefaultPort: 6443, WatchFilter: "a"}},
		"all": {
			edit:  args("--namespace=team", "--default-port=7443", "--pool-kinds=a.b,c.d", "--hold-gate", "hold", "--enable-runtime-extension", "--zap-devel", "--cluster-concurrency=4"),
			state: "found", want: Settings{Namespace: "team", DefaultPort: 7443, PoolKinds: []string{"a.b", "c.d"}, HoldGate: "hold", RuntimeExtension: true},
		},
		"overridden": {
			edit: args("--namespace=team", "--pool-kinds=a.b", "--watch-filter=x"), flags: []string{"--watch-namespace=", "--pool-kinds=e.f,g.h", "--default-port=1"},
			state: "found", want: Settings{DefaultPort: 1, PoolKinds: []string{"e.f", "g.h"}, WatchFilter: "x"},
		},
		"none":      {edit: func(s *scene) { delete(s.objects, manager) }, state: "not found", want: Settings{DefaultPort: 6443}},
		"forbidden": {edit: func(s *scene) { s.forbidden = []string{"deployments"} }, state: "not visible", want: Settings{DefaultPort: 6443}},
		"of a later release": {
			edit: args("--watch-filter=a", "--brand-new"), state: "found", want: Settings{DefaultPort: 6443}, problem: "its flags cannot be read: unknown flag: --brand-new",
		},
		"elsewhere": {edit: func(*scene) {}, flags: []string{"--controller-namespace=x"}, state: "not found", want: Settings{DefaultPort: 6443}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			test.edit(s)
			config, got, err := s.settings(test.flags...).find(t.Context(), s.reading())
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Settings.PoolKinds) == 0 {
				got.Settings.PoolKinds = nil
			}
			if got.State != test.state || got.Problem != test.problem || !reflect.DeepEqual(got.Settings, test.want) {
				t.Errorf("%+v", got)
			}
			if config.WatchFilter != test.want.WatchFilter || config.Namespace != test.want.Namespace {
				t.Errorf("%+v", config)
			}
		})
	}
}

func TestSettingsThatMakeNoSense(t *testing.T) {
	s := newScene(t)
	_, _, err := s.settings("--pool-kinds=ippools").find(t.Context(), s.reading())
	if err == nil || !strings.Contains(err.Error(), "--pool-kinds") {
		t.Error(err)
	}
}
