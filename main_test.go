package main

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gorizond/capi-vip-allocator/pkg/cli"
)

// On a laptop a bare call must not become a controller that writes to whatever the kubeconfig
// names. (In a Pod it is the controller: test/install runs what the manifests say.)
func TestABareCallOutsideAPodOnlyPrintsHelp(t *testing.T) {
	for _, args := range [][]string{{"capi-vip-allocator"}, {"capi-vip-allocator", "--leader-elect", "--cluster-concurrency=3"}} {
		root := command(args)
		var out bytes.Buffer
		root.SetErr(&out)
		var code cli.ExitCode
		if err := root.Execute(); !errors.As(err, &code) || int(code) != 2 {
			t.Errorf("%q: %v", args, err)
		}
		if !strings.Contains(out.String(), "capi-vip-allocator run") || !strings.Contains(out.String(), "Available Commands") {
			t.Errorf("%q prints %s", args, out.String())
		}
	}
}

// The plugin of kubectl is never the controller.
func TestThePluginHasTheCommandsForPeopleOnly(t *testing.T) {
	names := func(program string) (names []string) {
		for _, c := range command([]string{program}).Commands() {
			names = append(names, c.Name())
		}
		return names
	}
	want := []string{"clean", "clusters", "doctor", "explain", "lint", "pools", "reserve", "ui", "version"}
	if got := names("kubectl-vip"); !slices.Equal(got, want) {
		t.Errorf("the plugin has %q", got)
	}
	if got := names("capi-vip-allocator"); !slices.Equal(got, slices.Insert(want, 7, "run")) {
		t.Errorf("the program has %q", got)
	}
	if root := command([]string{"kubectl-vip"}); root.Runnable() {
		t.Error("the plugin runs without a command")
	}
}
