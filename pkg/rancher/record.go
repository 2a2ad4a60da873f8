package rancher

import (
	"encoding/json"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Record is what we wrote on a target, as the annotation vip.PropagatedAnnotation
// holds it. A value under one of our keys is ours only if the record says so: field
// managers would tell that too, but a restore from a backup drops them, and then
// nobody would dare to take the value of a released VIP away.
type Record struct {
	Cluster types.NamespacedName
	VIPs    map[vip.Role]string
}

type recordJSON struct {
	Namespace    string `json:"namespace"`
	Name         string `json:"name"`
	ControlPlane string `json:"control-plane,omitempty"`
	Ingress      string `json:"ingress,omitempty"`
}

// parseRecord reads the annotation. What cannot be read records nothing.
func parseRecord(text string) Record {
	var r recordJSON
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return Record{VIPs: map[vip.Role]string{}}
	}
	record := Record{Cluster: types.NamespacedName{Namespace: r.Namespace, Name: r.Name}, VIPs: map[vip.Role]string{}}
	for role, address := range map[vip.Role]string{vip.ControlPlane: r.ControlPlane, vip.Ingress: r.Ingress} {
		if address != "" {
			record.VIPs[role] = address
		}
	}
	return record
}

// text is the annotation's value; empty for a record of nothing.
func (r *Record) text() string {
	if len(r.VIPs) == 0 {
		return ""
	}
	data, err := json.Marshal(recordJSON{
		Namespace: r.Cluster.Namespace, Name: r.Cluster.Name,
		ControlPlane: r.VIPs[vip.ControlPlane], Ingress: r.VIPs[vip.Ingress],
	})
	if err != nil {
		return "" // strings can always be encoded
	}
	return string(data)
}
