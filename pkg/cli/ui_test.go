package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gorizond/capi-vip-allocator/pkg/ui"
)

// painter paints the scene for somebody in namespace team.
func (s *scene) painter(only string) *painter {
	s.t.Helper()
	f := newFollower(s.reading(), "team", s.settings())
	f.watching = s.client
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	s.t.Cleanup(cancel)
	if err := f.start(ctx); err != nil {
		s.t.Fatal(err)
	}
	return &painter{follower: f, place: "here", only: only}
}

func (p *painter) mustView(t *testing.T) *ui.View {
	t.Helper()
	view, err := p.view(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return view
}

// describeView writes what a View says, without times.
func describeView(v *ui.View) []byte {
	var out bytes.Buffer
	for _, p := range v.Pools {
		fmt.Fprintf(&out, "pool %s %s, roles %s, %d wait\n", p.Kind, p.Name, p.Roles, p.Waits())
		for _, w := range p.Warnings {
			fmt.Fprintf(&out, "  ! %s\n", w)
		}
		for _, a := range append(p.Addresses, p.Pending...) {
			fmt.Fprintf(&out, "  %s %s, Cluster %q (%t) %s, claim %q, %s; %s\n", a.Key, a.State, a.Cluster, a.Exists, a.Role, a.Claim, a.Condition, a.Note)
		}
	}
	for _, c := range v.Clusters {
		fmt.Fprintf(&out, "Cluster %s, class %s %s\n", c.Name, c.Class, c.Skipped)
		for _, r := range c.Roles {
			fmt.Fprintf(&out, "  %s applies %t, ready %t: %s %s; %s; next %q\n", r.Role, r.Applies, r.Ready, r.Reason, r.VIP, r.Message, r.Next)
		}
	}
	for _, c := range v.Classes {
		fmt.Fprintf(&out, "class %s, %d Clusters %s\n", c.Name, c.Clusters, c.State)
		for _, g := range c.Gates {
			fmt.Fprintf(&out, "  %s by %q: %s\n", g.Role, g.Variable, g.Text)
		}
	}
	for _, words := range v.NotVisible {
		fmt.Fprintf(&out, "not visible: %s\n", words)
	}
	return out.Bytes()
}

func TestViewOfUI(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*scene)
		only string
	}{
		"all": {edit: func(s *scene) {
			s.add(morePools)
			s.add(waiter)
			s.add(oddClaims)
			s.add(bookings)
		}},
		"one-namespace": {edit: func(s *scene) { s.add(morePools) }, only: "office"},
		"own-namespace": {edit: func(s *scene) {
			s.forbidden = []string{"clusters outside team", "ipaddressclaims outside team", "ipaddresses outside team", "clusterclasses outside team"}
		}},
		"forbidden": {edit: func(s *scene) {
			s.forbidden = []string{"clusterclasses", "ipaddressclaims", "globalinclusterippools", "deployments", "configmaps", "leases"}
			s.without = []string{"inclusterippools"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			test.edit(s)
			golden(t, "ui/"+name+".txt", describeView(s.painter(test.only).mustView(t)))
		})
	}
}

// bookings are a VIP that was typed and is kept in a pool, and one that is not.
const bookings = `
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: typed, namespace: team, uid: cluster-7, labels: {cluster.x-k8s.io/watch-filter: a}}
spec: {controlPlaneEndpoint: {host: 10.10.0.14, port: 6443}, topology: {classRef: {name: demo}, version: v1.36.3}}
---
apiVersion: ipam.cluster.x-k8s.io/v1beta2
kind: IPAddress
metadata:
  name: vip-manual-cp-typed
  namespace: team
  labels: {vip.capi.gorizond.io/manual: "true"}
  ownerReferences: [{apiVersion: cluster.x-k8s.io/v1beta2, kind: Cluster, name: typed, uid: cluster-7}]
spec:
  address: 10.10.0.14
  prefix: 24
  claimRef: {name: vip-manual-cp-typed}
  poolRef: {apiGroup: ipam.cluster.x-k8s.io, kind: GlobalInClusterIPPool, name: vip-a}
---
apiVersion: ipam.cluster.x-k8s.io/v1beta2
kind: IPAddress
metadata: {name: nonsense, namespace: team}
spec: {address: nonsense, prefix: 24, claimRef: {name: nonsense}, poolRef: {apiGroup: ipam.cluster.x-k8s.io, kind: GlobalInClusterIPPool, name: vip-a}}
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: unkept, namespace: team, uid: cluster-8, labels: {cluster.x-k8s.io/watch-filter: a}}
spec: {controlPlaneEndpoint: {host: 10.10.0.15, port: 6443}, topology: {classRef: {name: demo}, version: v1.36.3}}`

// The page of a Cluster says what explain says, and marks the step that is missing.
func TestDetailOfUI(t *testing.T) {
	s := newScene(t)
	s.add(morePools)
	s.add(waiter)
	p := s.painter("")
	p.mustView(t)
	for name, want := range map[string]string{
		"web":    "Class done, Pool done, Claim done, Address done, Cluster done",
		"second": "Class done, Pool missing, Claim ahead, Address ahead, Cluster ahead",
	} {
		d, err := p.detail("team", name)
		if err != nil || d == nil {
			t.Fatalf("%s: %v %v", name, d, err)
		}
		way := d.Ways[1] // ingress
		var steps []string
		for _, step := range way.Steps {
			steps = append(steps, step.Name+" "+string(step.State))
		}
		if got := strings.Join(steps, ", "); got != want {
			t.Errorf("%s: %s", name, got)
		}
		if explained := p.last.standing["team/"+name].roles[1]; way.Message != explained.Message || way.Next != explained.Next || (way.Next == "") != way.Ready {
			t.Errorf("%s: %q, next %q", name, way.Message, way.Next)
		}
	}
	if d, err := p.detail("team", "nobody"); d != nil || err != nil {
		t.Errorf("of nobody: %v %v", d, err)
	}
}

func TestUIFollows(t *testing.T) {
	s := newScene(t)
	p := s.painter("")
	published := make(chan *ui.View, 100)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- p.paint(ctx, func(v *ui.View) { published <- v }) }()
	await := func(what string, is func(*ui.View) bool) {
		t.Helper()
		for {
			select {
			case view := <-published:
				if is(view) {
					return
				}
			case <-time.After(time.Minute):
				t.Fatalf("no View in which %s", what)
			}
		}
	}
	has := func(name string) func(*ui.View) bool {
		return func(v *ui.View) bool { return strings.Contains(string(describeView(v)), "Cluster team/"+name+",") }
	}
	await("Cluster web is", has("web"))
	s.add(waiter)
	created := s.object("Cluster team/second")
	if _, err := s.client.Resource(clusters.GroupVersionResource).Namespace("team").Create(ctx, created, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	await("Cluster second is", has("second"))
	if err := s.client.Resource(clusters.GroupVersionResource).Namespace("team").Delete(ctx, "second", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await("Cluster second is no more", func(v *ui.View) bool { return !has("second")(v) })
	s.set("Deployment capi-vip-allocator-system/"+managerName, []any{map[string]any{"name": "manager", "args": []any{"--default-port=0"}}}, "spec", "template", "spec", "containers")
	odd := s.object("Deployment capi-vip-allocator-system/" + managerName)
	if _, err := s.client.Resource(deployments.GroupVersionResource).Namespace(odd.GetNamespace()).Update(ctx, odd, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	await("what is wrong is told beside what was known", func(v *ui.View) bool {
		return has("web")(v) && strings.Contains(v.Trouble, "--default-port: 0 is no TCP port")
	})
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestBrowserIsOpened(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("a browser is opened in another way")
	}
	folder := t.TempDir()
	opened := filepath.Join(folder, "opened")
	script := "#!/bin/sh\necho \"$1\" >" + opened + ".part && mv " + opened + ".part " + opened + "\n"
	if err := os.WriteFile(filepath.Join(folder, "xdg-open"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	openBrowser("http://nobody/") // there is nobody to see it
	t.Setenv("DISPLAY", ":0")
	openBrowser("http://127.0.0.1/?token=x&y")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		address, err := os.ReadFile(opened)
		if err == nil && string(address) != "http://127.0.0.1/?token=x&y\n" {
			t.Errorf("it was opened with %s", address)
		}
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
