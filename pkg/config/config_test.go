package config_test

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gorizond/capi-vip-allocator/pkg/config"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// parse returns the configuration that the arguments lead to.
func parse(t *testing.T, args ...string) *config.Config {
	t.Helper()
	t.Setenv("POD_NAMESPACE", "")
	c := config.Default()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	c.BindFlags(flags)
	if err := flags.Parse(config.DropConcurrency(args)); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return c
}

func TestTheDefaultsArePublic(t *testing.T) {
	c := parse(t)
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if !c.EnableReconciler || c.DefaultPort != 6443 || c.MetricsAddress != ":8080" || c.HealthAddress != ":8081" || c.Namespace != "" || c.WatchFilter != "" {
		t.Errorf("%+v", c)
	}
	if c.RuntimeExtension || c.RuntimeExtensionPort != 9443 || c.RuntimeExtensionName != "vip-allocator" {
		t.Errorf("%+v", c)
	}
	if c.Propagate != config.PropagateAuto || len(c.FleetWorkspaces) != 0 {
		t.Errorf("%+v", c)
	}
	if c.LeaseName != "capi-vip-allocator.gorizond.io" || c.LeaseNamespace != "capi-vip-allocator-system" {
		t.Errorf("Lease %s/%s", c.LeaseNamespace, c.LeaseName)
	}
	t.Setenv("POD_NAMESPACE", "elsewhere")
	if got := config.Default().LeaseNamespace; got != "elsewhere" {
		t.Errorf("in namespace elsewhere the Lease is in %s", got)
	}
}

func TestEveryFlagReachesItsField(t *testing.T) {
	c := parse(
		t, "--kubeconfig=k", "--enable-reconciler=false", "--namespace=n", "--watch-filter=w", "--default-port=9345", "--pool-kinds=a.b,c.d",
		"--max-concurrent-reconciles=3", "--metrics-bind-address=:1", "--health-probe-bind-address=:2", "--log-level=debug", "--log-format=json",
		"--leader-elect", "--leader-election-id=id", "--leader-elect-lease-duration=9s", "--leader-elect-renew-deadline=8s", "--leader-elect-retry-period=1s",
		"--hold-gate=switch", "--enable-runtime-extension", "--runtime-extension-port=9444", "--runtime-extension-name=mine",
		"--propagate=off", "--fleet-workspaces=fleet-default,edge",
	)
	if c.Propagate != config.PropagateOff || !slices.Equal(c.FleetWorkspaces, []string{"fleet-default", "edge"}) {
		t.Errorf("%+v", c)
	}
	if c.HoldGate != "switch" || !c.RuntimeExtension || c.RuntimeExtensionPort != 9444 || c.RuntimeExtensionName != "mine" {
		t.Errorf("%+v", c)
	}
	if c.Kubeconfig != "k" || c.EnableReconciler || c.Namespace != "n" || c.WatchFilter != "w" || c.DefaultPort != 9345 || !slices.Equal(c.PoolKinds, []string{"a.b", "c.d"}) ||
		c.Workers != 3 || c.MetricsAddress != ":1" || c.HealthAddress != ":2" || c.LogLevel != "debug" || c.LogFormat != "json" ||
		!c.LeaderElect || c.LeaseName != "id" || c.LeaseDuration != 9*time.Second || c.RenewDeadline != 8*time.Second || c.RetryPeriod != time.Second {
		t.Errorf("%+v", c)
	}
	if want := (vip.Settings{DefaultPort: 9345, Namespace: "n", WatchFilter: "w", HookGate: true}); c.Settings() != want {
		t.Errorf("settings %+v", c.Settings())
	}
}

// The operator makes one value of the two fields that users have.
func TestTheLeaseMayBeInAnotherNamespace(t *testing.T) {
	for id, want := range map[string]string{"mine": "capi-vip-allocator-system/mine", "other/mine": "other/mine"} {
		c := parse(t, "--leader-election-id="+id)
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
		if namespace, name := c.ElectionLease(); namespace+"/"+name != want {
			t.Errorf("%s means Lease %s/%s, want %s", id, namespace, name, want)
		}
		if c.LeaseNamespace != "capi-vip-allocator-system" {
			t.Errorf("%s moves everything else to %s", id, c.LeaseNamespace)
		}
	}
}

// A provider that refused one of these would not start wherever somebody sets it.
func TestFlagsThatTheOperatorAddsAreAccepted(t *testing.T) {
	c := parse(
		t, "--namespace=n", "--health-addr=:9440", "--metrics-bind-addr=localhost:8080", "--diagnostics-address=:8443", "--insecure-diagnostics=true",
		"--webhook-host=h", "--webhook-port=9443", "--webhook-cert-dir=/d", "--profiler-address=:6060", "--sync-period=10m0s", "--v=5",
		"--feature-gates=MachinePool=true,Other=false", "--leader-elect=true", "--leader-election-id=id", "--leader-elect-lease-duration=20s",
		"--leader-elect-renew-deadline=15s", "--leader-elect-retry-period=5s", "--max-concurrent-reconciles=4",
		"--cluster-concurrency=7", "--machine-deployment-concurrency", "8", "--clusterclass-concurrency=9",
	)
	if c.DiagnosticsAddress != ":8443" || !c.InsecureDiagnostics || c.HealthAddress != ":9440" || c.MetricsAddress != "localhost:8080" || c.Workers != 4 || c.LeaseDuration != 20*time.Second {
		t.Errorf("%+v", c)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestFlagsOfV071AreAccepted(t *testing.T) {
	c := parse(
		t, "--zap-devel", "--zap-encoder=console", "--zap-log-level=debug", "--zap-stacktrace-level=error", "--zap-time-encoding=rfc3339",
		"--enable-reconciler=true", "--leader-elect", "--default-port=6443", "-v", "2",
		"--enable-runtime-extension=false", "--runtime-extension-port=9443", "--runtime-extension-name=vip-allocator",
	)
	if !c.EnableReconciler || !c.LeaderElect {
		t.Errorf("%+v", c)
	}
}

func TestAnUnknownFlagIsRefused(t *testing.T) {
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	config.Default().BindFlags(flags)
	if err := flags.Parse([]string{"--no-such-flag"}); err == nil {
		t.Error("it is accepted")
	}
}

func TestValidateNamesTheFlag(t *testing.T) {
	for _, test := range []struct{ arg, want string }{
		{"--default-port=0", "--default-port: 0"},
		{"--default-port=65536", "--default-port: 65536"},
		{"--default-port=-1", "--default-port: -1"},
		{"--max-concurrent-reconciles=0", "--max-concurrent-reconciles: 0"},
		{"--namespace=Team A", `--namespace: "Team A"`},
		{"--namespace=a.b", `--namespace: "a.b"`},
		{"--watch-filter=a b", `--watch-filter: "a b"`},
		{"--pool-kinds=ippools", `--pool-kinds: pool kind "ippools"`},
		{"--metrics-bind-address=8080", `--metrics-bind-address: "8080"`},
		{"--metrics-bind-address=:http-x", `--metrics-bind-address: ":http-x"`},
		{"--health-probe-bind-address=:70000", `--health-probe-bind-address: ":70000"`},
		{"--runtime-extension-port=0", "--runtime-extension-port: 0"},
		{"--runtime-extension-port=65536", "--runtime-extension-port: 65536"},
		{"--runtime-extension-name=a.b", `--runtime-extension-name: "a.b"`},
		{"--propagate=on", `--propagate: "on"`},
		{"--propagate=", `--propagate: ""`},
		{"--fleet-workspaces=fleet-default,*", `--fleet-workspaces: "*"`},
		{"--leader-election-id=", `--leader-election-id: ""`},
		{"--leader-election-id=a/b/c", `--leader-election-id: "a/b/c"`},
		{"--leader-elect-lease-duration=10s", "--leader-elect-lease-duration: 10s"},
		{"--leader-elect-renew-deadline=2400ms", "--leader-elect-renew-deadline: 2.4s"},
		{"--leader-elect-retry-period=0s", "--leader-elect-retry-period: 0s"},
	} {
		t.Run(test.arg, func(t *testing.T) {
			err := parse(t, test.arg).Validate()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v does not contain %q", err, test.want)
			}
		})
	}
	err := parse(t, "--default-port=0", "--max-concurrent-reconciles=0", "--watch-filter=-").Validate()
	if got := strings.Count(err.Error(), "--"); got != 3 {
		t.Errorf("not everything that is wrong is said at once: %v", err)
	}
}

func TestValidateTakes(t *testing.T) {
	for _, arg := range []string{
		"--metrics-bind-address=0", "--metrics-bind-address=", "--metrics-bind-address=127.0.0.1:0", "--health-probe-bind-address=[::1]:8081",
		"--namespace=team-a", "--watch-filter=a_b.c", "--default-port=1", "--default-port=65535", "--pool-kinds=ippools.ipam.metal3.io",
	} {
		if err := parse(t, arg).Validate(); err != nil {
			t.Errorf("%s: %v", arg, err)
		}
	}
}

func TestAllPoolKindsHasEachKindOnce(t *testing.T) {
	c := parse(t, "--pool-kinds=ippools.ipam.metal3.io,inclusterippools.ipam.cluster.x-k8s.io,ippools.ipam.metal3.io")
	want := []schema.GroupResource{
		{Group: "ipam.cluster.x-k8s.io", Resource: "globalinclusterippools"}, {Group: "ipam.cluster.x-k8s.io", Resource: "inclusterippools"},
		{Group: "ipam.metal3.io", Resource: "ippools"},
	}
	if got := c.AllPoolKinds(); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestDropConcurrency(t *testing.T) {
	for _, test := range []struct {
		name       string
		args, want []string
	}{
		{"leaves other arguments alone", []string{"--leader-elect", "--max-concurrent-reconciles=4", "x"}, []string{"--leader-elect", "--max-concurrent-reconciles=4", "x"}},
		{"drops a flag with its value behind an equals sign", []string{"--a", "--cluster-concurrency=4", "--b"}, []string{"--a", "--b"}},
		{"drops a flag with its value as the next argument", []string{"--a", "--cluster-concurrency", "4", "--b"}, []string{"--a", "--b"}},
		{"drops a flag at the end", []string{"--a", "--cluster-concurrency"}, []string{"--a"}},
		{"drops an empty value", []string{"--cluster-concurrency=", "--b"}, []string{"--b"}},
		{"drops kinds with their group", []string{"--cluster.cluster.x-k8s.io-concurrency=1", "--b"}, []string{"--b"}},
		{"drops kinds with digits and dashes", []string{"--ip-pool-v2-concurrency=1"}, []string{}},
		{"leaves what only ends alike", []string{"--concurrency=1", "-concurrency", "cluster-concurrency=4"}, []string{"--concurrency=1", "-concurrency", "cluster-concurrency=4"}},
		{"copes with nothing", nil, []string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := config.DropConcurrency(test.args); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func FuzzDropConcurrency(f *testing.F) {
	f.Add("--a\n--cluster-concurrency=4\n--b")
	f.Add("--cluster-concurrency\n--leader-elect")
	f.Add("-concurrency\n--x-concurrency=\x00")
	f.Fuzz(func(t *testing.T, text string) {
		args := strings.Split(text, "\n")
		kept := config.DropConcurrency(args)
		if len(kept) > len(args) {
			t.Errorf("%q became %q", args, kept)
		}
		rest := args
		for _, arg := range kept {
			at := slices.Index(rest, arg)
			if at < 0 {
				t.Fatalf("%q became %q", args, kept)
			}
			rest = rest[at+1:]
		}
		if !strings.Contains(text, "-concurrency") && len(kept) != len(args) {
			t.Errorf("%q became %q", args, kept)
		}
	})
}

// Whatever the arguments are, they are refused with an error that names a flag, or make
// a configuration that can be worked with.
func FuzzFlags(f *testing.F) {
	for _, text := range []string{
		"", "--pool-kinds=a.b,c.d\n--fleet-workspaces=x", "--pool-kinds=\"\n--watch-filter=a b", "--namespace=../x", "--diagnostics-address=:99999", "--metrics-bind-address=[::]:x",
		"--leader-elect-retry-period=-1s\n--leader-elect-renew-deadline=9223372036854775807ns", "--default-port=0x1b", "-v", "--hold-gate=A", "--runtime-extension-port=-1",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, flags := config.Default(), pflag.NewFlagSet("test", pflag.ContinueOnError)
		flags.SetOutput(io.Discard)
		c.BindFlags(flags)
		if flags.Parse(config.DropConcurrency(strings.Split(text, "\n"))) != nil {
			return
		}
		if err := c.Validate(); err != nil {
			if !strings.Contains(err.Error(), "--") {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if c.Settings().DefaultPort < 1 || len(c.AllPoolKinds()) < 2 || c.Workers < 1 || c.RetryPeriod <= 0 {
			t.Errorf("%q: %+v", text, c)
		}
	})
}
