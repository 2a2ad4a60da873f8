package management

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// administrators is the group that may do anything, whatever RBAC says.
const administrators = "system:masters"

// User writes a kubeconfig that makes its holder the given user, by a client
// certificate, and returns its path. What the user may do is up to RBAC; for a
// service account give "system:serviceaccount:<namespace>:<name>" and its groups.
func (c *Cluster) User(name string, groups ...string) (kubeconfig string, err error) {
	// The groups are part of the file name: one user with two sets of groups is two files.
	sum := sha256.Sum256([]byte(strings.Join(groups, "\n")))
	file := fmt.Sprintf("%s-%x", strings.NewReplacer(":", "-", "/", "-").Replace(name), sum[:4])
	path := filepath.Join(c.dir, "kubeconfigs", file)
	if err := c.writeKubeconfig(path, c.admin.Host, name, groups...); err != nil {
		return "", err
	}
	return path, nil
}

func (c *Cluster) writeKubeconfig(path, server, user string, groups ...string) error {
	certificate, key, err := c.authority.client(user, groups)
	if err != nil {
		return err
	}
	const name = "management"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: c.authority.pem}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: user}
	config.CurrentContext = name
	content, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("write kubeconfig of %s: %w", user, err)
	}
	return writeFiles(map[string][]byte{path: content})
}

// kubeconfigPath is where the kubeconfig of a component lies.
func (c *Cluster) kubeconfigPath(component string) string {
	return filepath.Join(c.dir, "kubeconfigs", component)
}
