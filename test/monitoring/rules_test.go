package monitoring

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// ruleFile renders the alerts and writes them as a file of rules.
func ruleFile(t *testing.T, v values) (path string) {
	t.Helper()
	spec, _, _ := unstructured.NestedMap(render(t, v)[prometheusRule].Object, "spec")
	content, err := yaml.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// alerts are the rules that come with the given values, by name.
func alerts(t *testing.T, more values) map[string]rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile(ruleFile(t, metrics("prometheusRule", more)), false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	found := map[string]rulefmt.Rule{}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			found[rule.Alert] = rule
		}
	}
	return found
}

func TestAlertsPassPromtool(t *testing.T) {
	t.Parallel()
	needsPromtool(t)
	if err := runPromtool(t.Context(), "", "check", "rules", "--lint=all", "--lint-fatal", ruleFile(t, metrics("prometheusRule", nil))); err != nil {
		t.Error(err)
	}
}

// Every alert fires where it should, with the words that a person reads, and is silent
// otherwise: the cases in testdata/alerts, in promtool's own format.
func TestAlertsFire(t *testing.T) {
	t.Parallel()
	needsPromtool(t)
	rules := ruleFile(t, metrics("prometheusRule", nil))
	for name := range alerts(t, nil) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cases, err := os.ReadFile(filepath.Join("testdata", "alerts", name+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			if err := firesAndKeepsSilent(cases, name); err != nil {
				t.Error(err)
			}
			// The cases name the rules by a path from where they are.
			file := filepath.Join(filepath.Dir(rules), name+".yaml")
			if err := os.WriteFile(file, cases, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := runPromtool(t.Context(), filepath.Dir(rules), "test", "rules", file); err != nil {
				t.Error(err)
			}
		})
	}
}

// firesAndKeepsSilent expects both sorts of cases for the alert, and for no other.
func firesAndKeepsSilent(cases []byte, alert string) error {
	var file struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string `json:"alertname"`
				ExpAlerts []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
	}
	if err := yaml.Unmarshal(cases, &file); err != nil {
		return err
	}
	fires, silent := 0, 0
	for _, test := range file.Tests {
		for _, expectation := range test.AlertRuleTest {
			switch {
			case expectation.Alertname != alert:
				return fmt.Errorf("there is a case for %s", expectation.Alertname)
			case len(expectation.ExpAlerts) > 0:
				fires++
			default:
				silent++
			}
		}
	}
	if fires == 0 || silent == 0 {
		return fmt.Errorf("%d cases fire, %d are silent", fires, silent)
	}
	return nil
}

// Every case belongs to an alert.
func TestAlertCasesHaveAnAlert(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "alerts", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	known := alerts(t, nil)
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".yaml"); known[name].Alert == "" {
			t.Errorf("there is no alert %s", name)
		}
	}
}

var section = regexp.MustCompile(`(?m)^### (\w+)$`)

// Every alert sends its reader to a section of the runbook, and every section has an alert.
func TestAlertsHaveARunbook(t *testing.T) {
	runbook, err := os.ReadFile(filepath.Join("..", "..", "docs", "alerts.md"))
	if err != nil {
		t.Fatal(err)
	}
	var sections, names []string
	for _, match := range section.FindAllSubmatch(runbook, -1) {
		sections = append(sections, string(match[1]))
	}
	for name, rule := range alerts(t, nil) {
		names = append(names, name)
		// The anchor is how GitHub spells a heading.
		if want := "https://github.com/gorizond/capi-vip-allocator/blob/main/docs/alerts.md#" + strings.ToLower(name); rule.Annotations["runbook_url"] != want {
			t.Errorf("%s points to %s, want %s", name, rule.Annotations["runbook_url"], want)
		}
	}
	slices.Sort(sections)
	slices.Sort(names)
	if !slices.Equal(sections, names) {
		t.Errorf("docs/alerts.md is about %v, the alerts are %v", sections, names)
	}
}

// What the values say of an alert arrives, and leaves its other values as they were.
func TestAlertValues(t *testing.T) {
	const low, exhausted = "CAPIVIPPoolLowFreeAddresses", "CAPIVIPPoolExhausted"
	standard := alerts(t, nil)
	changed := alerts(t, values{
		"alertLabels": values{"team": "platform", "tier": "1"},
		"runbook":     "https://example.com/runbook",
		"alerts": values{
			low:       values{"threshold": 0.05, "for": "1h", "severity": "info", "labels": values{"tier": "2"}},
			exhausted: values{"enabled": false},
		},
	})
	if len(changed) != len(standard)-1 || changed[exhausted].Alert != "" {
		t.Errorf("%d of %d alerts are left", len(changed), len(standard))
	}
	rule := changed[low]
	if got, want := fmt.Sprint(rule.Labels), "map[severity:info team:platform tier:2]"; got != want {
		t.Errorf("its labels are %s, want %s", got, want)
	}
	if !strings.HasSuffix(strings.TrimSpace(rule.Expr), "< 0.05") || rule.For.String() != "1h" {
		t.Errorf("it is %s for %s", rule.Expr, rule.For)
	}
	if got := rule.Annotations["runbook_url"]; got != "https://example.com/runbook#capivippoollowfreeaddresses" {
		t.Errorf("its runbook is %s", got)
	}
	if other := changed["CAPIVIPAllocatorDown"]; other.Expr != standard[other.Alert].Expr || other.For != standard[other.Alert].For {
		t.Errorf("CAPIVIPAllocatorDown changed too: %+v", other)
	}
}

// An ungated class does no harm where the chart gates every Cluster by other means.
func TestAlertOfUngatedClassesWhereAllIsGated(t *testing.T) {
	some := values{"matchLabels": values{"gated": "yes"}}
	for name, test := range map[string]struct {
		more   values
		alerts bool
	}{
		"no gate":                     {values{}, true},
		"hold gate":                   {values{"holdGate": values{"enabled": true}}, false},
		"hold gate in some places":    {values{"holdGate": values{"enabled": true, "namespaceSelector": some}}, true},
		"hold gate for some Clusters": {values{"holdGate": values{"enabled": true, "objectSelector": some}}, true},
		"hook gate":                   {values{"runtimeExtension": values{"enabled": true}}, false},
		"hook gate in some places":    {values{"runtimeExtension": values{"enabled": true, "extensionConfig": values{"namespaceSelector": some}}}, true},
		"hook gate for another chart": {values{"runtimeExtension": values{"enabled": true, "extensionConfig": values{"create": false}}}, true},
	} {
		all := metrics("prometheusRule", nil)
		for key, value := range test.more {
			all[key] = value
		}
		content, err := os.ReadFile(ruleFile(t, all))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(content), "CAPIVIPClassUngated"); got != test.alerts {
			t.Errorf("%s: the alert is there: %v", name, got)
		}
	}
}
