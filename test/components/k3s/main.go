// Command k3s is both of the k3s provider's programs, whose own main functions serve webhooks at
// a port that cannot be chosen:
//
//	k3s -part bootstrap|controlplane [flags]
package main

import (
	"flag"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clusterv1 "sigs.k8s.io/cluster-api/api/v1beta1"
	expv1 "sigs.k8s.io/cluster-api/exp/api/v1beta1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	bootstrapv1beta1 "github.com/k3s-io/cluster-api-k3s/bootstrap/api/v1beta1"
	bootstrapv1 "github.com/k3s-io/cluster-api-k3s/bootstrap/api/v1beta2"
	bootstrap "github.com/k3s-io/cluster-api-k3s/bootstrap/controllers"
	controlplanev1beta1 "github.com/k3s-io/cluster-api-k3s/controlplane/api/v1beta1"
	controlplanev1 "github.com/k3s-io/cluster-api-k3s/controlplane/api/v1beta2"
	controlplane "github.com/k3s-io/cluster-api-k3s/controlplane/controllers"
	"github.com/k3s-io/cluster-api-k3s/pkg/etcd"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "k3s:", err)
		os.Exit(1)
	}
}

func run() error {
	flags := flag.CommandLine // controller-runtime has put --kubeconfig there
	part := flags.String("part", "controlplane", "which of the programs to be")
	port := flags.Int("webhook-port", 9443, "port of the webhooks")
	certificates := flags.String("webhook-cert-dir", "", "folder of their certificate")
	health := flags.String("health-addr", ":9440", "address of the probes")
	metrics := flags.String("metrics-addr", ":8080", "address of the metrics")
	flags.Bool("leader-elect", false, "has no effect")
	flag.Parse()
	ctrl.SetLogger(zap.New())
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, clusterv1.AddToScheme, expv1.AddToScheme,
		bootstrapv1beta1.AddToScheme, bootstrapv1.AddToScheme, controlplanev1beta1.AddToScheme, controlplanev1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	mgr, err := ctrl.NewManager(ctrl.GetConfigOrDie(), ctrl.Options{
		Scheme: scheme, Metrics: server.Options{BindAddress: *metrics}, HealthProbeBindAddress: *health,
		WebhookServer: webhook.NewServer(webhook.Options{Port: *port, CertDir: *certificates}),
	})
	if err != nil {
		return err
	}
	if err := mgr.AddReadyzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	ctx := ctrl.SetupSignalHandler()
	log := ctrl.Log.WithName(*part)
	if *part == "bootstrap" {
		if err := (&bootstrap.KThreesConfigReconciler{Client: mgr.GetClient(), Log: log, Scheme: scheme}).SetupWithManager(mgr, 1); err != nil {
			return err
		}
		if err := (&bootstrapv1.KThreesConfig{}).SetupWebhookWithManager(mgr); err != nil {
			return err
		}
		if err := (&bootstrapv1.KThreesConfigTemplate{}).SetupWebhookWithManager(mgr); err != nil {
			return err
		}
		return mgr.Start(ctx)
	}
	if err := (&controlplane.KThreesControlPlaneReconciler{
		Client: mgr.GetClient(), Log: log, Scheme: scheme, EtcdDialTimeout: etcd.DefaultCallTimeout, EtcdCallTimeout: etcd.DefaultCallTimeout,
	}).SetupWithManager(ctx, mgr, &log, 1); err != nil {
		return err
	}
	if err := (&controlplane.MachineReconciler{
		Client: mgr.GetClient(), Log: log, Scheme: scheme, EtcdDialTimeout: etcd.DefaultCallTimeout, EtcdCallTimeout: etcd.DefaultCallTimeout,
	}).SetupWithManager(ctx, mgr, &log, 1); err != nil {
		return err
	}
	if err := (&controlplanev1.KThreesControlPlane{}).SetupWebhookWithManager(mgr); err != nil {
		return err
	}
	return mgr.Start(ctx)
}
