package kube_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
)

// A panic over one object costs neither the process nor the events of other objects.
func TestAPanicInAnEventHandler(t *testing.T) {
	object := func(name string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name}}
	}
	client := fake.NewClientset(object("bad"))
	informer := informers.NewSharedInformerFactory(client, 0).Core().V1().ConfigMaps().Informer()
	seen := make(chan string, 10)
	synced, err := kube.OnEvent(informer, func(_, current *corev1.ConfigMap) {
		if current.Name == "bad" {
			panic("on purpose")
		}
		seen <- current.Name
	})
	if err != nil {
		t.Fatal(err)
	}
	go informer.RunWithContext(t.Context())
	<-synced.Done()
	if _, err := client.CoreV1().ConfigMaps("a").Create(t.Context(), object("good"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; got != "good" {
		t.Errorf("saw %s", got)
	}
}
