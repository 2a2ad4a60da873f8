package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/gorizond/capi-vip-allocator/pkg/config"
)

// managerName is the name of the controller's Deployment, and managerContainer that
// of its container.
const (
	managerName      = "capi-vip-allocator-controller-manager"
	managerContainer = "manager"
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
	now       func() time.Time
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
	s.given, s.now = flags, time.Now
}

// connect makes the clients and finds the settings.
func (s *settings) connect(ctx context.Context, to *target) (*reading, *config.Config, *Controller, error) {
	r, err := to.connect()
	if err != nil {
		return nil, nil, nil, err
	}
	c, controller, err := s.find(ctx, r)
	return r, c, controller, err
}

// find returns the settings and where they are from.
func (s *settings) find(ctx context.Context, r *reading) (*config.Config, *Controller, error) {
	before := len(r.unseen)
	lease := func(namespace, name string) (*coordinationv1.Lease, bool, error) {
		return r.lease(ctx, namespace, name)
	}
	object, err := r.get(ctx, deployments, s.namespace, managerName)
	if err != nil {
		return nil, nil, err
	}
	if object == nil {
		return s.read(nil, len(r.unseen) > before, lease)
	}
	deployment, err := decodeOne[appsv1.Deployment](object)
	if err != nil {
		return nil, nil, err
	}
	return s.read(deployment, false, lease)
}

// read returns the settings of the Deployment, which is nil if there is none or, unseen, if
// it is not visible, and whether the Lease that it elects by is held.
func (s *settings) read(deployment *appsv1.Deployment, unseen bool, lease findLease) (*config.Config, *Controller, error) {
	found := &Controller{Deployment: s.namespace + "/" + managerName, State: controllerNotFound}
	result := config.Default()
	flags := newFlagSet(result)
	if unseen {
		found.State = controllerUnseen
	}
	if deployment != nil {
		found.show(deployment)
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
	if err := found.judge(lease, result, s.now()); err != nil {
		return nil, nil, err
	}
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
	if container := managerOf(deployment); container != nil {
		return argsOf(container)
	}
	return nil
}

// managerOf is the controller's container; nil if the Deployment has none.
func managerOf(deployment *appsv1.Deployment) *corev1.Container {
	containers := deployment.Spec.Template.Spec.Containers
	if len(containers) == 0 {
		return nil
	}
	for i := range containers {
		if containers[i].Name == managerContainer {
			return &containers[i]
		}
	}
	return &containers[0]
}

func argsOf(container *corev1.Container) []string {
	args := container.Args
	if len(container.Command) > 1 {
		args = append(container.Command[1:len(container.Command):len(container.Command)], args...)
	}
	if len(args) > 0 && args[0] == "run" {
		return args[1:]
	}
	return args
}
