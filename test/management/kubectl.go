package management

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Kubectl returns a folder for PATH that holds kubectl and nothing else, so that what
// users are told to type can be run as it is. It reads KUBECONFIG as always.
func (c *Cluster) Kubectl() (dir string, err error) {
	dir = filepath.Join(c.dir, "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// The program goes by the name that it is called by.
	err = os.Symlink(c.binaries.Kubernetes, filepath.Join(dir, "kubectl"))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return dir, nil
}
