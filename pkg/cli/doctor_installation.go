package cli

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/lint"
)

// providerLabel is what clusterctl and the operator put on what belongs to a provider.
const providerLabel = "cluster.x-k8s.io/provider"

// installation looks at the programs, and at what they need of each other.
func (d *doctor) installation(ctx context.Context) error {
	d.diagnosis.Installed = append(d.diagnosis.Installed, Program{
		Name: "capi-vip-allocator", Version: versionOf(d.controller.Image), State: newScreen(nil).controller(d.controller),
	})
	if d.controller.Down != "" {
		d.add(lint.Error, "", "", "the allocator is not running: "+d.controller.Down, d.controller.Next)
	}
	if d.controller.Problem != "" {
		d.add(lint.Error, "", "", "the allocator's Deployment "+d.controller.Deployment+": "+d.controller.Problem, "kubectl logs -n "+d.config.LeaseNamespace+" deployment/"+managerName)
	}
	if d.missing != "" {
		d.add(lint.Error, "", "", "Cluster API is not complete: "+d.missing, "clusterctl init --core cluster-api --ipam in-cluster, with the providers of your infrastructure")
		return nil
	}
	if err := d.provider(); err != nil {
		return err
	}
	core, err := d.programs(ctx)
	if err != nil {
		return err
	}
	d.gates(core)
	if d.controller.State != controllerFound {
		return nil
	}
	return d.rights(ctx)
}

// provider looks for an IPAM provider that the allocator can draw from.
func (d *doctor) provider() error {
	for _, want := range d.config.AllPoolKinds() {
		_, served, err := kube.DiscoverPoolKind(d.discovery, want)
		if err != nil {
			return fmt.Errorf("discover %s: %w", want, err)
		}
		if served {
			return nil
		}
	}
	d.add(lint.Error, "", "", "no IPAM provider is installed: none of its kinds of pool is served", "clusterctl init --ipam in-cluster")
	return nil
}

// programs looks at the Deployments of Cluster API and of IPAM providers. It returns that of
// Cluster API; nil if it is not visible, as where it was not installed by clusterctl.
func (d *doctor) programs(ctx context.Context) (core *appsv1.Deployment, err error) {
	what := deployments
	what.selector, what.unknown = providerLabel, "versions and state of Cluster API and of IPAM providers"
	found, err := listOf[appsv1.Deployment](ctx, d.reading, what, d.fallback)
	if err != nil {
		return nil, err
	}
	for _, deployment := range found {
		name := deployment.Labels[providerLabel]
		if name != "cluster-api" && !strings.HasPrefix(name, "ipam-") {
			continue
		}
		if name == "cluster-api" {
			core = deployment
		}
		program := Program{Name: name, State: fmt.Sprintf("Deployment %s/%s, %d of %d replicas ready", deployment.Namespace, deployment.Name, deployment.Status.ReadyReplicas, wantedReplicas(deployment))}
		if container := managerOf(deployment); container != nil {
			program.Version = versionOf(container.Image)
		}
		d.diagnosis.Installed = append(d.diagnosis.Installed, program)
		if deployment.Status.ReadyReplicas == 0 {
			d.add(lint.Error, "", "", name+" is not running: "+program.State, fmt.Sprintf("kubectl describe deployment %s -n %s", deployment.Name, deployment.Namespace))
		}
	}
	return core, nil
}

func wantedReplicas(deployment *appsv1.Deployment) int32 {
	if deployment.Spec.Replicas == nil {
		return 1
	}
	return *deployment.Spec.Replicas
}

// versionOf is the tag of an image.
func versionOf(image string) string {
	image, _, _ = strings.Cut(image, "@")
	slash := strings.LastIndexByte(image, '/')
	if colon := strings.LastIndexByte(image, ':'); colon > slash {
		return image[colon+1:]
	}
	return ""
}

// gates looks at what the hold gate and the hook gate need.
func (d *doctor) gates(core *appsv1.Deployment) {
	if core == nil {
		return
	}
	container := managerOf(core)
	if container == nil {
		return
	}
	for _, arg := range container.Args {
		gates, isGates := strings.CutPrefix(arg, "--feature-gates=")
		if !isGates {
			continue
		}
		if d.config.RuntimeExtension && !strings.Contains(gates, "RuntimeSDK=true") {
			d.add(lint.Error, "", "", "the hook gate is on, and Cluster API never asks it: its feature gate RuntimeSDK is off", "EXP_RUNTIME_SDK=true clusterctl upgrade apply --contract v1beta2")
		}
		if strings.Contains(gates, "ClusterTopology=false") {
			d.add(lint.Error, "", "", "Cluster API's feature gate ClusterTopology is off, so it builds nothing from a ClusterClass", "CLUSTER_TOPOLOGY=true clusterctl upgrade apply --contract v1beta2")
		}
	}
}

// right is something that the allocator must be allowed to do.
type right struct {
	schema.GroupResource
	subresource string
	verbs       []string
	everywhere  bool // also where --namespace limits what is written
}

func (d *doctor) neededRights() []right {
	rights := []right{
		{GroupResource: clusters.GroupResource(), verbs: []string{"list", "watch"}, everywhere: true},
		{GroupResource: classes.GroupResource(), verbs: []string{"list", "watch"}, everywhere: true},
		{GroupResource: claims.GroupResource(), verbs: []string{"list", "watch"}, everywhere: true},
		{GroupResource: addresses.GroupResource(), verbs: []string{"list", "watch"}, everywhere: true},
		{GroupResource: clusters.GroupResource(), verbs: []string{"patch"}},
		{GroupResource: clusters.GroupResource(), subresource: "status", verbs: []string{"patch"}},
		{GroupResource: claims.GroupResource(), verbs: []string{"create", "patch", "delete"}},
		{GroupResource: addresses.GroupResource(), verbs: []string{"create", "delete"}},
	}
	for _, kind := range d.config.AllPoolKinds() {
		rights = append(rights, right{GroupResource: kind, verbs: []string{"list", "watch"}, everywhere: true})
	}
	return rights
}

// rights asks the API server what the allocator's ServiceAccount may do. That writes nothing,
// although it is a create.
func (d *doctor) rights(ctx context.Context) error {
	user := fmt.Sprintf("system:serviceaccount:%s:%s", d.config.LeaseNamespace, managerName)
	var lacks []string
	for _, needed := range d.neededRights() {
		namespace := d.config.Namespace
		if needed.everywhere {
			namespace = metav1.NamespaceAll
		}
		for _, verb := range needed.verbs {
			allowed, err := d.allowed(ctx, user, &authorizationv1.ResourceAttributes{
				Group: needed.Group, Resource: needed.Resource, Subresource: needed.subresource, Verb: verb, Namespace: namespace,
			})
			if apierrors.IsForbidden(err) {
				d.unseen = append(d.unseen, Unseen{Kind: "SubjectAccessReview", Why: forbidden, Unknown: "whether the allocator has its rights"})
				return nil
			}
			if err != nil {
				return fmt.Errorf("ask what %s may do: %w", user, err)
			}
			if !allowed {
				lacks = append(lacks, verb+" "+strings.TrimSuffix(needed.String()+"/"+needed.subresource, "/"))
			}
		}
	}
	if len(lacks) > 0 {
		d.add(lint.Error, "", "", fmt.Sprintf("the allocator's ServiceAccount may not %s", strings.Join(lacks, ", ")), "install its ClusterRole and binding again, by helm upgrade or kubectl apply of the release's components")
	}
	return nil
}

var accessReviews = authorizationv1.SchemeGroupVersion.WithResource("subjectaccessreviews")

func (d *doctor) allowed(ctx context.Context, user string, what *authorizationv1.ResourceAttributes) (bool, error) {
	review := &authorizationv1.SubjectAccessReview{
		TypeMeta: metav1.TypeMeta{APIVersion: authorizationv1.SchemeGroupVersion.String(), Kind: "SubjectAccessReview"},
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user, Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + d.config.LeaseNamespace, "system:authenticated"}, ResourceAttributes: what,
		},
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(review)
	if err != nil {
		return false, err
	}
	answer, err := d.client.Resource(accessReviews).Create(ctx, &unstructured.Unstructured{Object: content}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	allowed, _, err := unstructured.NestedBool(answer.Object, "status", "allowed")
	return allowed, err
}
