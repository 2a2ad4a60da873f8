package management

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/gorizond/capi-vip-allocator/test/loopback"
)

//go:embed audit.yaml
var auditPolicy []byte

// uselessAdmission are the default admission plugins about nodes, storage and
// pods, none of which exist here.
var uselessAdmission = strings.Join([]string{
	"DefaultIngressClass", "DefaultStorageClass", "DefaultTolerationSeconds", "PersistentVolumeClaimResize",
	"Priority", "RuntimeClass", "StorageObjectInUseProtection", "TaintNodesByCondition",
}, ",")

func (c *Cluster) etcd() *component {
	data := filepath.Join(c.dir, "etcd")
	return &component{
		name:    Etcd,
		binary:  c.binaries.Kubernetes,
		sockets: 3,
		flags: func(ports []int) []string {
			client, peer := "https://"+loopback.Address(ports[0]), "http://"+loopback.Address(ports[1])
			http := "https://" + loopback.Address(ports[2])
			return []string{
				Etcd,
				"--data-dir=" + data,
				"--listen-client-urls=" + client,
				"--advertise-client-urls=" + client,
				// On one port with HTTP, gRPC would go through Go's HTTP/2 server, which can let
				// watch streams starve; etcd warns of that.
				"--listen-client-http-urls=" + http,
				// With a certificate, nobody takes the etcd of another cluster for this one.
				"--cert-file=" + c.authority.servingFile(),
				"--key-file=" + c.authority.servingKey(),
				"--listen-peer-urls=" + peer,
				"--initial-advertise-peer-urls=" + peer,
				"--initial-cluster=default=" + peer,
				// The data need not survive a power failure.
				"--unsafe-no-fsync",
				"--quota-backend-bytes=" + strconv.Itoa(4<<30),
				"--log-level=warn",
			}
		},
		ready: func(ctx context.Context, ports []int) error {
			return c.probe(ctx, "https", ports[2], "/readyz")
		},
	}
}

func (c *Cluster) apiServer() *component {
	return &component{
		name:    APIServer,
		binary:  c.binaries.Kubernetes,
		sockets: 1,
		flags:   c.apiServerFlags,
		publish: func(_ context.Context, ports []int) error { return c.publishAPI(ports[0]) },
		ready: func(ctx context.Context, ports []int) error {
			return c.probe(ctx, "https", ports[0], "/readyz")
		},
	}
}

func (c *Cluster) apiServerFlags(ports []int) []string {
	a := c.authority
	return []string{
		APIServer,
		"--etcd-servers=https://" + loopback.Address(c.components[Etcd].ports[0]),
		"--etcd-cafile=" + a.file(),
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(ports[0]),
		"--tls-cert-file=" + a.servingFile(),
		"--tls-private-key-file=" + a.servingKey(),
		"--client-ca-file=" + a.file(),
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + a.tokenKeyFile(),
		"--service-account-signing-key-file=" + a.tokenKeyFile(),
		"--service-cluster-ip-range=10.0.0.0/24",
		// Loopback is no valid endpoint of the kubernetes Service.
		"--endpoint-reconciler-type=none",
		"--advertise-address=127.0.0.1",
		"--disable-admission-plugins=" + uselessAdmission,
		"--audit-policy-file=" + c.auditPolicyPath(),
		"--audit-log-path=" + c.AuditLog(),
		"--audit-log-format=json",
		// A line is in the file before the request is over.
		"--audit-log-mode=blocking",
		// Megabytes; 0 would mean a new file every 100 MB.
		"--audit-log-maxsize=1000000",
	}
}

func (c *Cluster) auditPolicyPath() string { return filepath.Join(c.dir, "audit-policy.yaml") }

// publishAPI writes what names the server's address: the kubeconfigs of the
// administrator and the components, and the clients of this package.
func (c *Cluster) publishAPI(port int) error {
	if err := os.WriteFile(c.auditPolicyPath(), auditPolicy, 0o644); err != nil {
		return err
	}
	server := "https://" + loopback.Address(port)
	// The identities the components have in a real cluster show in the audit
	// log; their rights are not what is tested here, so all are administrators.
	for component, user := range map[string]string{
		"admin":           "admin",
		ControllerManager: "system:kube-controller-manager",
		CAPI:              "system:serviceaccount:" + capiNamespace + ":capi-manager",
		IPAM:              "system:serviceaccount:" + ipamNamespace + ":capi-ipam-in-cluster-manager",
	} {
		if err := c.writeKubeconfig(c.kubeconfigPath(component), server, user, administrators); err != nil {
			return err
		}
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return fmt.Errorf("read %s: %w", c.Kubeconfig(), err)
	}
	config.QPS = -1
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return translator{next, &c.translate} })
	c.admin = config
	c.applier, err = newApplier(config, c.older)
	return err
}

// workloadControllers make pods of Deployments. No kubelet runs them.
var workloadControllers = []string{"deployment-controller", "replicaset-controller"}

func (c *Cluster) controllerManager(workloads bool) *component {
	controllers := []string{
		"clusterrole-aggregation-controller",
		"garbage-collector-controller",
		"namespace-controller",
		"root-ca-certificate-publisher-controller",
		"serviceaccount-controller",
		"serviceaccount-token-controller",
	}
	if workloads {
		controllers = append(controllers, workloadControllers...)
	}
	return &component{
		name:    ControllerManager,
		binary:  c.binaries.Kubernetes,
		sockets: 1,
		flags: func(ports []int) []string {
			a := c.authority
			return []string{
				ControllerManager,
				"--kubeconfig=" + c.kubeconfigPath(ControllerManager),
				"--bind-address=127.0.0.1",
				"--secure-port=" + strconv.Itoa(ports[0]),
				"--tls-cert-file=" + a.servingFile(),
				"--tls-private-key-file=" + a.servingKey(),
				"--root-ca-file=" + a.file(),
				"--service-account-private-key-file=" + a.tokenKeyFile(),
				"--leader-elect=false",
				"--controllers=" + strings.Join(controllers, ","),
			}
		},
		ready: func(ctx context.Context, ports []int) error {
			return c.probe(ctx, "https", ports[0], "/healthz")
		},
	}
}
