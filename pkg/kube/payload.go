package kube

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	clusterv1beta1 "sigs.k8s.io/cluster-api/api/core/v1beta1" //nolint:staticcheck // Cluster API before 1.13 sends nothing else
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// DecodeCluster reads a Cluster of either API version. Its apiVersion decides; where
// there is none, the fields do that only v1beta1 has.
func DecodeCluster(data []byte) (*clusterv1.Cluster, error) {
	old, err := readsAsV1Beta1(data)
	if err != nil {
		return nil, err
	}
	cluster := &clusterv1.Cluster{}
	if !old {
		if err := json.Unmarshal(data, cluster); err != nil {
			return nil, fmt.Errorf("read Cluster: %w", err)
		}
		return cluster, nil
	}
	return clusterFromV1Beta1(data)
}

func readsAsV1Beta1(data []byte) (bool, error) {
	var shape struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Spec       struct {
			Topology struct {
				Class          string `json:"class"`
				ClassNamespace string `json:"classNamespace"`
			} `json:"topology"`
			InfrastructureRef struct {
				APIVersion string `json:"apiVersion"`
			} `json:"infrastructureRef"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(data, &shape); err != nil {
		return false, fmt.Errorf("read Cluster: %w", err)
	}
	if shape.Kind != "" && shape.Kind != clusterKind {
		return false, fmt.Errorf("read Cluster: kind is %.80q", shape.Kind)
	}
	if shape.APIVersion == "" {
		return shape.Spec.Topology.Class != "" || shape.Spec.InfrastructureRef.APIVersion != "", nil
	}
	version, err := schema.ParseGroupVersion(shape.APIVersion)
	if err != nil || version.Group != clusterv1.GroupVersion.Group {
		return false, fmt.Errorf("read Cluster: apiVersion %.80q is not of group %s", shape.APIVersion, clusterv1.GroupVersion.Group)
	}
	switch version.Version {
	case clusterv1beta1.GroupVersion.Version:
		return true, nil
	case clusterv1.GroupVersion.Version:
		return false, nil
	}
	return false, fmt.Errorf("read Cluster: apiVersion %.80q is neither v1beta1 nor v1beta2", shape.APIVersion)
}
