package vip

import (
	"encoding/json"
	"strconv"
	"strings"
)

func (v *roleView) fillEndpoint(value string, mayWriteHost bool) {
	endpoint := v.Cluster.Endpoint
	switch {
	case endpoint.Host == "" && mayWriteHost:
		v.patch.setEndpoint(Endpoint{Host: value, Port: v.endpointPort()})
	case endpoint.Host != "" && endpoint.Port == 0:
		v.patch.setEndpoint(Endpoint{Host: endpoint.Host, Port: v.endpointPort()})
	}
	if v.patch.derivesPort() {
		v.patch.reads = append(v.patch.reads, v.portBeside(), v.Class.Port.Variable)
	}
	v.comparePorts()
}

// endpointPort is the port of the endpoint: the one that it has, which is never changed,
// else what the Cluster says, the class, the flag, in this order.
func (v *roleView) endpointPort() int32 {
	if v.Cluster.Endpoint.Port != 0 {
		return v.Cluster.Endpoint.Port
	}
	var beside int32
	if number, isNumber := valueAt(v.Cluster.Variables, v.portBeside()).(json.Number); isNumber {
		beside, _ = portOf(number)
	}
	named, _ := portAt(v.Cluster.Variables, v.Class.Port.Variable)
	for _, port := range []int32{beside, named, v.Class.Port.Default, v.Class.Port.BesideDefault, v.Cluster.APIServerPort} {
		if port != 0 {
			return port
		}
	}
	return v.Settings.DefaultPort
}

// portBeside is the path of the port beside the host in an object variable; empty if the
// host is in no object.
func (v *roleView) portBeside() string {
	at := strings.LastIndexByte(v.variable.Path, '.')
	if v.role != ControlPlane || at < 0 {
		return ""
	}
	return v.variable.Path[:at] + ".port"
}

// comparePorts tells of variables that hold another port than the endpoint has or gets.
func (v *roleView) comparePorts() {
	paths := []string{v.Class.Port.Variable}
	if beside := v.portBeside(); v.Class.Port.Beside && beside != v.Class.Port.Variable {
		paths = append(paths, beside)
	}
	port := v.endpointPort()
	for _, path := range paths {
		value := valueAt(v.Cluster.Variables, path)
		if held, isPort := portOf(value); value != nil && (!isPort || held != port) {
			text, _ := json.Marshal(value) //nolint:errchkjson // it was read from JSON
			v.out.note(ValuesDiffer, "variable %s holds %.80s, and the endpoint's port is %d", path, text, port)
		}
	}
}

// fillPort writes the endpoint's port beside the host, where the class has a field for it
// and the Cluster has no value: a patch that takes both would fail over the one.
func (v *roleView) fillPort() {
	if path := v.portBeside(); path != "" && v.Class.Port.Beside && valueAt(v.Cluster.Variables, path) == nil && v.refusesPort() == nil {
		v.patch.setNumber(path, v.endpointPort())
	}
}

// refusesPort says why the field beside the host cannot take the endpoint's port.
func (v *roleView) refusesPort() error {
	admits := v.Class.Port.Admits
	if v.role != ControlPlane || !v.Class.Port.Beside || admits == nil || valueAt(v.Cluster.Variables, v.portBeside()) != nil {
		return nil
	}
	return admits(v.endpointPort())
}

// portAt returns the TCP port at the path, if there is one.
func portAt(variables []Variable, path string) (port int32, ok bool) {
	return portOf(valueAt(variables, path))
}

// PortOf reads a TCP port from a JSON value: an integer, or digits in a string.
func PortOf(raw json.RawMessage) (port int32, ok bool) { return portOf(decode(raw)) }

func portOf(value any) (port int32, ok bool) {
	var text string
	switch value := value.(type) {
	case json.Number:
		text = value.String()
	case string:
		text = value
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, false
	}
	return int32(n), true //nolint:gosec // it has 16 bits
}
