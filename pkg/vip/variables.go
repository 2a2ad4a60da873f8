package vip

import (
	"bytes"
	"encoding/json"
	"strings"
)

// variableAt returns the string at the path in the variables; empty where it is
// absent or no string.
func variableAt(variables []Variable, path string) string {
	text, _ := valueAt(variables, path).(string)
	return text
}

// VariableAt returns the string at the path in the Cluster's variables, as in
// "clusterVip" or "controlPlaneEndpoint.host"; empty where it is absent or no string.
func (c *Cluster) VariableAt(path string) string { return variableAt(c.Variables, path) }

func valueAt(variables []Variable, path string) any {
	name, rest, nested := strings.Cut(path, ".")
	for i := range variables {
		if variables[i].Name != name {
			continue
		}
		value := decode(variables[i].Value)
		for nested {
			object, isObject := value.(map[string]any)
			if !isObject {
				return nil
			}
			name, rest, nested = strings.Cut(rest, ".")
			value = object[name]
		}
		return value
	}
	return nil
}

// decode reads a variable's value and keeps its numbers as they were written.
func decode(raw json.RawMessage) any {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return nil
	}
	return value
}

func indexOf(variables []Variable, name string) int {
	for i := range variables {
		if variables[i].Name == name {
			return i
		}
	}
	return -1
}
