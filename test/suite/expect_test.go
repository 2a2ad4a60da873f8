package suite

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// expectation is something that a Cluster should be; the error says what it is instead.
type expectation func(*clusterv1.Cluster) error

func check(c *clusterv1.Cluster, expectations []expectation) error {
	var errs []error
	for _, expected := range expectations {
		errs = append(errs, expected(c))
	}
	return errors.Join(errs...)
}

// becomes waits until the Cluster is as expected, all at once, and returns it.
func (c *cluster) becomes(expectations ...expectation) *clusterv1.Cluster {
	c.w.t.Helper()
	var last *clusterv1.Cluster
	c.w.eventually("Cluster "+c.name+" is as expected", func() error {
		last = c.now()
		return check(last, expectations)
	})
	return last
}

// is reports what is not as expected now.
func (c *cluster) is(expectations ...expectation) {
	c.w.t.Helper()
	if err := check(c.now(), expectations); err != nil {
		c.w.t.Errorf("Cluster %s: %v", c.name, err)
	}
}

func endpoint(host string, port int32) expectation {
	return func(c *clusterv1.Cluster) error {
		if got := c.Spec.ControlPlaneEndpoint; got.Host != host || got.Port != port {
			return fmt.Errorf("endpoint is %s:%d, want %s:%d", got.Host, got.Port, host, port)
		}
		return nil
	}
}

// noEndpoint expects no host; a port alone names no endpoint.
func noEndpoint() expectation {
	return func(c *clusterv1.Cluster) error {
		if host := c.Spec.ControlPlaneEndpoint.Host; host != "" {
			return fmt.Errorf("endpoint is %s, want none", host)
		}
		return nil
	}
}

// variable expects the JSON value of a variable, or of a field at a path like "a.b".
func variable(path string, want any) expectation {
	return func(c *clusterv1.Cluster) error {
		wanted, _ := json.Marshal(want)
		got, _ := json.Marshal(valueAt(c, path))
		if !bytes.Equal(got, wanted) {
			return fmt.Errorf("variable %s is %s, want %s", path, got, wanted)
		}
		return nil
	}
}

// noVariable expects the variable, or the field of it, to be absent.
func noVariable(path string) expectation { return variable(path, nil) }

func valueAt(c *clusterv1.Cluster, path string) any {
	name, rest, nested := strings.Cut(path, ".")
	for i := range c.Spec.Topology.Variables {
		if c.Spec.Topology.Variables[i].Name != name {
			continue
		}
		var value any
		if err := json.Unmarshal(c.Spec.Topology.Variables[i].Value.Raw, &value); err != nil {
			return err.Error()
		}
		for nested {
			object, _ := value.(map[string]any)
			name, rest, nested = strings.Cut(rest, ".")
			value = object[name]
		}
		return value
	}
	return nil
}

var legalLabel = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`)

// stamped expects the role's VIP as annotation, as label where it is a legal one,
// and the label that says so.
func stamped(r role, address string) expectation {
	return func(c *clusterv1.Cluster) error {
		label := address
		if !legalLabel.MatchString(address) {
			label = ""
		}
		return errors.Join(
			same("annotation", r.stamp(), c.Annotations, address),
			same("label", r.stamp(), c.Labels, label),
			same("label", r.hasVIP(), c.Labels, "true"))
	}
}

// unstamped expects no trace of a stamp of the role.
func unstamped(r role) expectation {
	return func(c *clusterv1.Cluster) error {
		return errors.Join(
			same("annotation", r.stamp(), c.Annotations, ""),
			same("label", r.stamp(), c.Labels, ""),
			same("label", r.hasVIP(), c.Labels, ""))
	}
}

// written expects the value of the role's -written annotation, "" for none.
func written(r role, path string) expectation {
	return func(c *clusterv1.Cluster) error { return same("annotation", r.written(), c.Annotations, path) }
}

// same compares an entry; want "" means that it is absent.
func same(what, key string, values map[string]string, want string) error {
	if got, exists := values[key]; got != want || (exists && want == "") {
		return fmt.Errorf("%s %s is %q, want %q", what, key, got, want)
	}
	return nil
}

// reason expects the role's condition, with all of the fragments in its message.
func reason(r role, want string, fragments ...string) expectation {
	return func(c *clusterv1.Cluster) error {
		condition := meta.FindStatusCondition(c.Status.Conditions, r.condition())
		if condition == nil {
			return fmt.Errorf("there is no condition %s, want %s", r.condition(), want)
		}
		status := "False"
		if ready[want] {
			status = "True"
		}
		if condition.Reason != want || string(condition.Status) != status {
			return fmt.Errorf("condition %s is %s, %s (%s), want %s, %s",
				condition.Type, condition.Status, condition.Reason, condition.Message, status, want)
		}
		for _, fragment := range fragments {
			if !strings.Contains(condition.Message, fragment) {
				return fmt.Errorf("condition %s says %q, want it to name %q", condition.Type, condition.Message, fragment)
			}
		}
		return nil
	}
}

func noCondition(r role) expectation {
	return func(c *clusterv1.Cluster) error {
		if condition := meta.FindStatusCondition(c.Status.Conditions, r.condition()); condition != nil {
			return fmt.Errorf("condition %s is %s (%s), want none", condition.Type, condition.Reason, condition.Message)
		}
		return nil
	}
}

// built expects infrastructure.
func built() expectation {
	return func(c *clusterv1.Cluster) error {
		if c.Spec.InfrastructureRef.Name == "" || c.Spec.ControlPlaneRef.Name == "" {
			return errors.New("there is no infrastructure or no control plane")
		}
		return nil
	}
}

// unbuilt expects none.
func unbuilt() expectation {
	return func(c *clusterv1.Cluster) error {
		if name := c.Spec.InfrastructureRef.Name; name != "" {
			return fmt.Errorf("there is infrastructure: %s", name)
		}
		return nil
	}
}

// all makes one expectation of several.
func all(expectations ...expectation) expectation {
	return func(c *clusterv1.Cluster) error { return check(c, expectations) }
}

// has expects the VIP of a role from a claim, in every place of a class with the
// usual variables.
func has(r role, address string) expectation {
	common := all(variable(r.variable(), address), stamped(r, address), written(r, r.variable()), reason(r, "Allocated", address))
	if r == ingress {
		return common
	}
	return all(endpoint(address, 6443), common)
}

// served waits for the VIP of a role from a claim and returns it.
func (c *cluster) served(r role) string {
	c.w.t.Helper()
	var address string
	c.becomes(func(o *clusterv1.Cluster) error {
		address = o.Annotations[r.stamp()]
		return has(r, address)(o)
	})
	return address
}

// wanted expects a line that begins with each of the texts.
func wanted(lines []string, texts ...string) error {
	for _, text := range texts {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, text) }) {
			return fmt.Errorf("nothing begins with %q in %q", text, lines)
		}
	}
	return nil
}

// reasonOf returns the reason of the role's condition, "" if there is none.
func reasonOf(c *clusterv1.Cluster, r role) string {
	if condition := meta.FindStatusCondition(c.Status.Conditions, r.condition()); condition != nil {
		return condition.Reason
	}
	return ""
}

// conditionOf returns the message of the role's condition, "" if there is none.
func conditionOf(c *clusterv1.Cluster, r role) string {
	if condition := meta.FindStatusCondition(c.Status.Conditions, r.condition()); condition != nil {
		return condition.Message
	}
	return ""
}

// absent expects the text not to contain the fragment.
func absent(text, fragment string) error {
	if strings.Contains(text, fragment) {
		return fmt.Errorf("%q names %q", text, fragment)
	}
	return nil
}
