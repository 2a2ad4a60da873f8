package management

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Binaries are the paths of the compiled programs. The manifests of a provider
// lie in the folder "manifests" beside its binary.
type Binaries struct {
	Kubernetes string // etcd, kube-apiserver, kube-controller-manager and kubectl in one
	CAPI       string // Cluster API core provider
	IPAM       string // in-cluster IPAM provider
	// Providers are the others, by name.
	Providers map[string]string
}

// program is something to compile in one of the component modules.
type program struct {
	name     string
	pkg      string   // what to build, as seen from the component's folder
	module   string   // the module whose version it reports
	stamps   []string // packages that hold the version, as set by the linker
	crds     string   // folder of CRDs in module, "" if it has none
	webhooks string   // file of webhook configurations in module
}

func programs(release Release) ([]program, error) {
	capi, err := release.capi()
	if err != nil {
		return nil, err
	}
	ipam, err := release.ipam()
	return []program{{
		name:   "kubernetes",
		pkg:    ".",
		module: "k8s.io/kubernetes",
		stamps: []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"},
	}, capi, ipam}, err
}

// Build compiles the programs that are missing, one after the other, into a
// cache folder of the user, and prints what it does to progress (nil is silent).
// The first time this takes minutes and downloads modules; a change of a
// component's module or of the Go version makes another entry. Several processes
// may call Build at once: one builds, the others wait for it.
func Build(ctx context.Context, progress io.Writer, release Release, providers ...Provider) (Binaries, error) {
	return build(ctx, newProgress(progress), release, providers...)
}

// wanted is a program and the folder of its module among the components.
type wanted struct {
	program
	folder string
}

func build(ctx context.Context, progress *progress, release Release, providers ...Provider) (Binaries, error) {
	programs, err := programs(release)
	if err != nil {
		return Binaries{}, err
	}
	var all []wanted
	for _, p := range programs {
		all = append(all, wanted{p, p.name})
	}
	for _, p := range providers {
		all = append(all, wanted{p.program, p.folder})
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return Binaries{}, fmt.Errorf("find the cache folder: %w", err)
	}
	cache = filepath.Join(cache, "capi-vip-allocator")
	sources, err := componentsDir(ctx)
	if err != nil {
		return Binaries{}, err
	}
	var paths []string
	entries := make([]string, len(all))
	// All is fetched before anything is compiled: whoever cannot fetch finds out at once.
	for i, p := range all {
		source := filepath.Join(sources, p.folder)
		key, err := p.key(ctx, source)
		if err != nil {
			return Binaries{}, fmt.Errorf("identify %s: %w", p.name, err)
		}
		entries[i] = filepath.Join(cache, p.name+"-"+key)
		if exists(entries[i]) {
			continue
		}
		if err := p.fetch(ctx, source, progress); err != nil {
			return Binaries{}, fmt.Errorf("fetch what %s is built from: %w", p.name, err)
		}
	}
	for i, p := range all {
		if err := p.ensure(ctx, filepath.Join(sources, p.folder), entries[i], progress); err != nil {
			return Binaries{}, fmt.Errorf("build %s: %w", p.name, err)
		}
		paths = append(paths, filepath.Join(entries[i], p.name))
	}
	binaries := Binaries{Kubernetes: paths[0], CAPI: paths[1], IPAM: paths[2], Providers: map[string]string{}}
	for i, p := range providers {
		binaries.Providers[p.name] = paths[len(programs)+i]
	}
	return binaries, nil
}

// ensure makes the cache entry unless it exists. An entry appears complete, by
// a rename, so looking for it needs no lock.
func (p program) ensure(ctx context.Context, source, entry string, progress *progress) error {
	if exists(entry) {
		return nil
	}
	cache := filepath.Dir(entry)
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	unlock, err := lock(ctx, filepath.Join(cache, "build.lock"), func() {
		progress.say("waiting for another process that builds %s", p.name)
	})
	if err != nil {
		return err
	}
	defer unlock()
	if exists(entry) {
		return nil
	}
	temporary := filepath.Join(cache, "building")
	// What a killed build left; nobody else uses it under the lock.
	if err := os.RemoveAll(temporary); err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	if err := os.Mkdir(temporary, 0o755); err != nil {
		return err
	}
	if err := p.compile(ctx, source, temporary, progress); err != nil {
		return err
	}
	return os.Rename(temporary, entry)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// compile puts the binary and its manifests into a folder.
func (p program) compile(ctx context.Context, source, target string, progress *progress) error {
	begin := time.Now()
	elapsed := func() time.Duration { return time.Since(begin).Round(time.Second) }
	progress.say("building %s: the first time this takes minutes", p.name)
	stop := progress.sayEvery(30*time.Second, func() string {
		return fmt.Sprintf("still building %s after %s", p.name, elapsed())
	})
	defer stop()

	version, module, err := p.locate(ctx, source)
	if err != nil {
		return err
	}
	_, err = goCommand(ctx, source, "build", "-buildvcs=false",
		"-ldflags", p.ldflags(version), "-o", filepath.Join(target, p.name), p.pkg)
	if err != nil {
		return err
	}
	if err := p.copyManifests(module, filepath.Join(target, "manifests")); err != nil {
		return err
	}
	progress.say("built %s %s in %s", p.name, version, elapsed())
	return nil
}

// fetch downloads the modules that the program is built from.
func (p program) fetch(ctx context.Context, source string, progress *progress) error {
	begin := time.Now()
	progress.say("fetching what %s is built from", p.name)
	defer progress.sayEvery(30*time.Second, func() string {
		return fmt.Sprintf("still fetching what %s is built from after %s", p.name, time.Since(begin).Round(time.Second))
	})()
	_, err := goCommand(ctx, source, "list", "-deps", p.pkg)
	return err
}

// locate returns the version and folder of the program's module, which was fetched.
func (p program) locate(ctx context.Context, source string) (version, dir string, err error) {
	out, err := goCommand(ctx, source, "list", "-m", "-f", "{{.Version}}\n{{.Dir}}", p.module)
	if err != nil {
		return "", "", err
	}
	version, dir, _ = strings.Cut(strings.TrimSpace(out), "\n")
	return version, dir, nil
}

// ldflags stamp the version as the official builds do: Cluster API refuses an
// API server without one, and user agents carry it.
func (p program) ldflags(version string) string {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	flags := []string{"-s -w"}
	for _, stamp := range p.stamps {
		flags = append(flags,
			"-X "+stamp+".gitVersion="+version,
			"-X "+stamp+".gitMajor="+parts[0],
			"-X "+stamp+".gitMinor="+parts[1])
	}
	return strings.Join(flags, " ")
}

// copyManifests copies the CRDs and webhook configurations out of the module, so
// that a later start needs no module cache.
func (p program) copyManifests(module, target string) error {
	if p.crds == "" {
		return nil
	}
	if err := os.CopyFS(filepath.Join(target, "crds"), os.DirFS(filepath.Join(module, p.crds))); err != nil {
		return err
	}
	if p.webhooks == "" {
		return nil
	}
	content, err := os.ReadFile(filepath.Join(module, p.webhooks))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(target, "webhooks.yaml"), content, 0o644)
}

var downloads = regexp.MustCompile(`(?m)^go: downloading .*\n`)

// goCommand runs the go command in a folder and returns what it prints. A
// workspace is ignored: the component modules stand alone.
func goCommand(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	// Interrupted, the go command stops its compilers and cleans up.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		// Of a module that could not be had, what was had before says nothing.
		message := downloads.ReplaceAllString(stderr.String(), "")
		return "", fmt.Errorf("go %s in %s: %w\n%s", strings.Join(args, " "), dir, err, message)
	}
	return stdout.String(), nil
}
