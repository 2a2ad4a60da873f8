package rancher

import (
	"reflect"
	"testing"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// What is recorded is read again as it was.
func FuzzRecord(f *testing.F) {
	for _, text := range []string{"", "null", "[]", `{}`, `{"namespace":"a","name":"b","control-plane":"10.0.0.1"}`, `{"ingress":7}`, `{"ingress":"\u0000","INGRESS":"x"}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		record := parseRecord(text)
		if record.VIPs == nil {
			t.Fatal("no map")
		}
		again := parseRecord(record.text())
		if len(record.VIPs) > 0 && !reflect.DeepEqual(record, again) {
			t.Errorf("%q is %+v, and then %+v", text, record, again)
		}
		for role := range record.VIPs {
			if role != vip.ControlPlane && role != vip.Ingress {
				t.Errorf("role %q", role)
			}
		}
	})
}
