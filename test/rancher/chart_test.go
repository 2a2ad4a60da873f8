package rancher

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/test/chart"
)

// The rights come only where they are asked for, and reach no further than this.
func TestChart(t *testing.T) {
	t.Parallel()
	const role = "capi-vip-allocator-propagation"
	propagation := func(values map[string]any) map[string]any { return map[string]any{"propagation": values} }
	for name, test := range map[string]struct {
		values map[string]any
		args   []string
		rights bool
	}{
		"off":        {values: map[string]any{}},
		"on":         {values: propagation(map[string]any{"enabled": true}), args: []string{"--propagate=auto"}, rights: true},
		"taken back": {values: propagation(map[string]any{"enabled": true, "withdraw": true}), args: []string{"--propagate=off"}, rights: true},
		"workspaces": {
			values: propagation(map[string]any{"enabled": true, "fleetWorkspaces": []any{"edge", "fleet-default"}}),
			args:   []string{"--propagate=auto", "--fleet-workspaces=edge,fleet-default"}, rights: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := chart.Render(t.Context(), test.values)
			if err != nil {
				t.Fatal(err)
			}
			args := slices.DeleteFunc(slices.Clone(c.Args), func(arg string) bool {
				return !strings.HasPrefix(arg, "--propagate") && !strings.HasPrefix(arg, "--fleet-workspaces")
			})
			if !slices.Equal(args, test.args) {
				t.Errorf("args %q, want %q", args, test.args)
			}
			if got := strings.Contains(string(c.Manifests), role); got != test.rights {
				t.Errorf("there are rights: %t", got)
			}
			if got := len(cattleRules.FindAllString(string(c.Manifests), -1)); (got == 2) != test.rights {
				t.Errorf("%d rules are about Rancher or Fleet", got)
			}
			if test.rights {
				checkRules(t, string(c.Manifests), role)
			}
		})
	}
	for _, wrong := range []map[string]any{{"enabled": "yes"}, {"withdraw": nil}, {"fleetWorkspaces": []any{"*"}}, {"mode": "auto"}} {
		if _, err := chart.Render(t.Context(), propagation(wrong)); err == nil {
			t.Errorf("%v is taken", wrong)
		}
	}
}

// cattleRules are the rules about kinds of Rancher or Fleet.
var cattleRules = regexp.MustCompile(`apiGroups: \[[a-z]+\.cattle\.io\]`)

func checkRules(t *testing.T, manifests, role string) {
	t.Helper()
	type rule struct {
		APIGroups, Resources, Verbs []string
	}
	for part := range strings.SplitSeq(manifests, "\n---\n") {
		var object struct {
			Kind     string
			Metadata struct{ Name string }
			Rules    []rule
		}
		if err := yaml.Unmarshal([]byte(part), &object); err != nil {
			t.Fatalf("%v in %s", err, part)
		}
		if object.Kind != "ClusterRole" || object.Metadata.Name != role {
			continue
		}
		for i, group := range []string{"management.cattle.io", "fleet.cattle.io"} {
			got := object.Rules[i]
			if !slices.Equal(got.APIGroups, []string{group}) || !slices.Equal(got.Resources, []string{"clusters"}) || !slices.Equal(got.Verbs, []string{"list", "watch", "patch"}) {
				t.Errorf("rule %d is %+v", i, got)
			}
		}
		return
	}
	t.Error("there is no such ClusterRole")
}
