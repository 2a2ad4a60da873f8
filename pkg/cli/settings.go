package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/gorizond/capi-vip-allocator/pkg/config"
)

// managerName is the name of the controller's Deployment, and managerContainer that
// of its container.
const (
	managerName      = "capi-vip-allocator-controller-manager"
	managerContainer = "manager"
)

// Controller is the running controller as far as it is visible.
type Controller struct {
	// Deployment is its namespace/name.
	Deployment string `json:"deployment"`
	// State is "found", "not found" or "not visible".
	State string `json:"state"`
	// Replicas are wanted, ReadyReplicas ready. Both are 0 unless it was found.
	Replicas      int32 `json:"replicas"`
	ReadyReplicas int32 `json:"readyReplicas"`
	// Settings are those by which Clusters were judged.
	Settings Settings `json:"settings"`
	// Problem says why the Deployment's flags could not be used.
	Problem string `json:"problem,omitempty"`
}

// Values of Controller.State.
const (
	controllerFound    = "found"
	controllerNotFound = "not found"
	controllerUnseen   = "not visible"
)

// Settings are the controller's flags that decide what is done for a Cluster.
type Settings struct {
	// Namespace is its --namespace, here --watch-namespace.
	Namespace        string   `json:"namespace,omitempty"`
	WatchFilter      string   `json:"watchFilter,omitempty"`
	DefaultPort      int32    `json:"defaultPort"`
	PoolKinds        []string `json:"poolKinds,omitempty"`
	HoldGate         string   `json:"holdGate,omitempty"`
	RuntimeExtension bool     `json:"runtimeExtension"`
}

// sameNamed are the controller's flags that these commands have too.
var sameNamed = map[string]string{ // the controller's name by ours
	"default-port": "default-port", "enable-runtime-extension": "enable-runtime-extension", "hold-gate": "hold-gate",
	"pool-kinds": "pool-kinds", "watch-filter": "watch-filter",
	// --namespace is where kubectl looks.
	"watch-namespace": "namespace",
}

// settings finds out how the controller is set: by its Deployment, and by flags
// where a user knows better.
type settings struct {
	namespace string // of the controller
	given     *pflag.FlagSet
}

func (s *settings) bind(flags *pflag.FlagSet) {
	defaults := config.Default()
	theirs := pflag.NewFlagSet("", pflag.ContinueOnError)
	defaults.BindFlags(theirs)
	flags.StringVar(&s.namespace, "controller-namespace", defaults.LeaseNamespace, "namespace of the controller, whose Deployment tells its settings")
	for ours, name := range sameNamed {
		flag := theirs.Lookup(name)
		flag.Name, flag.Usage = ours, "instead of the running controller's --"+name
		flags.AddFlag(flag)
	}
	s.given = flags
}

// find returns the settings and where they are from.
func (s *settings) find(ctx context.Context, r *reading) (*config.Config, *Controller, error) {
	before := len(r.unseen)
	object, err := r.get(ctx, deployments, s.namespace, managerName)
	if err != nil {
		return nil, nil, err
	}
	if object == nil {
		return s.read(nil, len(r.unseen) > before)
	}
	deployment, err := decodeOne[appsv1.Deployment](object)
	if err != nil {
		return nil, nil, err
	}
	return s.read(deployment, false)
}

// read returns the settings of the Deployment, which is nil if there is none or, unseen, if
// it is not visible.
func (s *settings) read(deployment *appsv1.Deployment, unseen bool) (*config.Config, *Controller, error) {
	found := &Controller{Deployment: s.namespace + "/" + managerName, State: controllerNotFound}
	result := config.Default()
	flags := newFlagSet(result)
	if unseen {
		found.State = controllerUnseen
	}
	if deployment != nil {
		found.State, found.Replicas, found.ReadyReplicas = controllerFound, 1, deployment.Status.ReadyReplicas
		if deployment.Spec.Replicas != nil {
			found.Replicas = *deployment.Spec.Replicas
		}
		if err := flags.Parse(config.DropConcurrency(managerArgs(deployment))); err != nil {
			found.Problem = fmt.Sprintf("its flags cannot be read: %v", err)
			result = config.Default()
			flags = newFlagSet(result)
		}
	}
	if err := s.override(flags); err != nil {
		return nil, nil, err
	}
	result.LeaseNamespace = s.namespace
	if err := result.Validate(); err != nil {
		return nil, nil, fmt.Errorf("settings of the controller: %w", err)
	}
	found.Settings = Settings{
		Namespace: result.Namespace, WatchFilter: result.WatchFilter, DefaultPort: result.DefaultPort,
		PoolKinds: result.PoolKinds, HoldGate: result.HoldGate, RuntimeExtension: result.RuntimeExtension,
	}
	return result, found, nil
}

func newFlagSet(c *config.Config) *pflag.FlagSet {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	c.BindFlags(flags)
	return flags
}

// override puts the flags of this command over those of the Deployment.
func (s *settings) override(flags *pflag.FlagSet) error {
	var failure error
	s.given.Visit(func(given *pflag.Flag) {
		name, same := sameNamed[given.Name]
		if !same || failure != nil {
			return
		}
		value := flags.Lookup(name).Value
		if list, isList := value.(pflag.SliceValue); isList {
			// Set would add to what the Deployment names.
			failure = list.Replace(given.Value.(pflag.SliceValue).GetSlice())
			return
		}
		failure = value.Set(given.Value.String())
	})
	if failure != nil {
		return fmt.Errorf("settings of the controller: %w", failure)
	}
	return nil
}

// managerArgs are the arguments of the controller's container.
func managerArgs(deployment *appsv1.Deployment) []string {
	containers := deployment.Spec.Template.Spec.Containers
	if len(containers) == 0 {
		return nil
	}
	manager := &containers[0]
	for i := range containers {
		if containers[i].Name == managerContainer {
			manager = &containers[i]
		}
	}
	return argsOf(manager)
}

func argsOf(container *corev1.Container) []string {
	if len(container.Command) > 1 {
		return append(container.Command[1:len(container.Command):len(container.Command)], container.Args...)
	}
	return container.Args
}
