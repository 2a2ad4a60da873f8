package main

import (
	"strings"
	"testing"
	"time"
)

func TestFaultsNameInfrastructureBornWithoutVIP(t *testing.T) {
	const host, ingress = "10.0.0.1", "10.0.1.1"
	for name, test := range map[string]struct {
		born         birth
		wantsIngress bool
		want         string // part of the error; "" is none
	}{
		"with both":                           {birth{"i", host, ingress}, true, ""},
		"without host":                        {birth{"i", "", ingress}, true, "no host"},
		"with another host":                   {birth{"i", "10.0.0.9", ingress}, true, "10.0.0.9"},
		"without ingress VIP":                 {birth{"i", host, ""}, true, "no ingress VIP"},
		"without ingress, which was disabled": {birth{"i", host, ""}, false, ""},
	} {
		r := row{name: "c", controlPlaneVIP: host, wantsIngress: test.wantsIngress, served: time.Now(), infrastructure: &test.born}
		err := faults([]row{r})
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: got %v, want no fault", name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: got %v, want a fault with %q", name, err, test.want)
		}
		if shown := strings.ToLower(render([]row{r}, 0)); test.want != "" && !strings.Contains(shown, test.want[:7]) {
			t.Errorf("%s: the table does not say it:\n%s", name, shown)
		}
	}
}

func TestCompleteWaitsForVIPsAndInfrastructure(t *testing.T) {
	served := row{served: time.Now(), infrastructure: &birth{}}
	for name, test := range map[string]struct {
		row  row
		want bool
	}{
		"both":              {served, true},
		"no VIPs":           {row{infrastructure: &birth{}}, false},
		"no infrastructure": {row{served: time.Now()}, false},
	} {
		if got := complete([]row{served, test.row}); got != test.want {
			t.Errorf("%s: got %t, want %t", name, got, test.want)
		}
	}
}
