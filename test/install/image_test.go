package install

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// The image holds one static program, runs it as nobody, and says where it is from.
func TestImage(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles")
	}
	dir := t.TempDir()
	out, err := script("package", "OUT_DIR="+dir, "PLATFORMS=linux/"+runtime.GOARCH, "REPO=example.com/x", "TAG=test", "VERSION=v9.9.9", "COMMIT=abc")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	unpacked := filepath.Join(dir, "layout")
	if err := untar(filepath.Join(dir, "capi-vip-allocator-image.tar"), unpacked); err != nil {
		t.Fatal(err)
	}
	index, err := layout.ImageIndexFromPath(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	image := onlyImage(t, index)
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := config.Config
	if config.OS != "linux" || config.Architecture != runtime.GOARCH {
		t.Errorf("it is for %s/%s", config.OS, config.Architecture)
	}
	if c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{"/capi-vip-allocator"}) || len(c.Cmd) > 0 {
		t.Errorf("it runs %q %q as %q", c.Entrypoint, c.Cmd, c.User)
	}
	for label, want := range map[string]string{
		"title": "capi-vip-allocator", "version": "v9.9.9", "revision": "abc", "licenses": "Apache-2.0",
		"source": "https://github.com/gorizond/capi-vip-allocator", "description": "Gives Cluster API clusters their virtual IPs out of IPAM pools",
	} {
		if got := c.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("label %s is %q, want %q", label, got, want)
		}
	}
	runInside(t, image)
}

// onlyImage is the image of an index of indices, after a look at every sum in it.
func onlyImage(t *testing.T, top v1.ImageIndex) v1.Image {
	t.Helper()
	manifest, err := top.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("the layout has %+v: %v", manifest, err)
	}
	if name := manifest.Manifests[0].Annotations["org.opencontainers.image.ref.name"]; name != "example.com/x/capi-vip-allocator:test" {
		t.Errorf("its name is %q", name)
	}
	index, err := top.ImageIndex(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	if manifest, err = index.IndexManifest(); err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("the index has %+v: %v", manifest, err)
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// runInside unpacks the layers and runs the program with them as its world, if we may
// change that, and with nobody's rights.
func runInside(t *testing.T, image v1.Image) {
	t.Helper()
	world, err := os.MkdirTemp("", "image-") // t.TempDir is closed to nobody
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(world) })
	const reachable = 0o755
	if err := os.Chmod(world, reachable); err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("there are %d layers: %v", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	names, err := unpack(content, world)
	if err != nil || !slices.Equal(names, []string{"capi-vip-allocator"}) {
		t.Fatalf("the layer holds %q: %v", names, err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(world, "capi-vip-allocator"), "--version")
	if os.Getuid() == 0 {
		const nobody = 65532
		cmd.Path, cmd.Dir, cmd.Env = "/capi-vip-allocator", "/", []string{}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: world, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "v9.9.9") {
		t.Errorf("it prints %s: %v", out, err)
	}
}

func untar(file, dir string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = unpack(f, dir)
	return err
}

// unpack writes the files of a tar stream below dir and returns their names.
func unpack(r io.Reader, dir string) (names []string, err error) {
	for files := tar.NewReader(r); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err != nil {
			return names, err
		}
		names = append(names, header.Name)
		path := filepath.Join(dir, filepath.FromSlash(header.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return names, err
		}
		file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, header.FileInfo().Mode().Perm())
		if err != nil {
			return names, err
		}
		if _, err := io.Copy(file, files); err != nil {
			return names, err
		}
		if err := file.Close(); err != nil {
			return names, err
		}
	}
}
