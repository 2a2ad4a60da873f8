package kube

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/rancher/lasso/pkg/client"
	"github.com/rancher/wrangler/v3/pkg/schemes"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

// Clients makes clients. Those of Kinds speak the version that the API server serves,
// and everybody else sees v1beta2.
type Clients struct {
	client.SharedClientFactory
	config *rest.Config
	rest   rest.Interface
	served Served
}

// NewClients returns Clients of an API server. Use says what it serves.
func NewClients(config *rest.Config) (*Clients, error) {
	factory, err := client.NewSharedClientFactory(config, &client.SharedClientFactoryOptions{Scheme: schemes.All})
	if err != nil {
		return nil, fmt.Errorf("client factory: %w", err)
	}
	translating := WithoutTimeout(config) // each request gets the timeout that is due to it
	translating.NegotiatedSerializer = translator{serializer.NewCodecFactory(schemes.All).WithoutConversion()}
	restClient, err := rest.UnversionedRESTClientFor(translating)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return &Clients{SharedClientFactory: factory, config: config, rest: restClient}, nil
}

// Use fixes the versions to speak. It comes before any client of Kinds.
func (c *Clients) Use(served Served) { c.served = served }

// Served are the versions that are spoken.
func (c *Clients) Served() Served { return c.served }

// ResourceForGVK says where a kind is found; Kinds are where they would be at v1beta2.
func (c *Clients) ResourceForGVK(gvk schema.GroupVersionKind) (schema.GroupVersionResource, bool, error) {
	if !c.served.translates(gvk) {
		return c.SharedClientFactory.ResourceForGVK(gvk)
	}
	resource, _ := meta.UnsafeGuessKindToResource(gvk)
	return resource, true, nil
}

// ForKind returns the client of a kind.
func (c *Clients) ForKind(gvk schema.GroupVersionKind) (*client.Client, error) {
	resource, namespaced, err := c.ResourceForGVK(gvk)
	if err != nil {
		return nil, err
	}
	return c.ForResourceKind(resource, gvk.Kind, namespaced), nil
}

// ForResourceKind returns the client of a kind whose resource is known.
func (c *Clients) ForResourceKind(gvr schema.GroupVersionResource, kind string, namespaced bool) *client.Client {
	if !c.served.translates(gvr.GroupVersion().WithKind(kind)) {
		return c.SharedClientFactory.ForResourceKind(gvr, kind, namespaced)
	}
	return client.NewClient(c.served.Resource(gvr), kind, namespaced, c.rest, c.config.Timeout)
}

// translator reads objects of v1beta1 as v1beta2, and writes them back.
type translator struct {
	runtime.NegotiatedSerializer
}

func (t translator) DecoderToVersion(decoder runtime.Decoder, version runtime.GroupVersioner) runtime.Decoder {
	return decoding{t.NegotiatedSerializer.DecoderToVersion(decoder, version)}
}

func (t translator) EncoderForVersion(encoder runtime.Encoder, version runtime.GroupVersioner) runtime.Encoder {
	return encoding{t.NegotiatedSerializer.EncoderForVersion(encoder, version)}
}

type decoding struct{ runtime.Decoder }

// Decode reads Kinds by itself and leaves everything else to the decoder.
func (d decoding) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	var kind metav1.TypeMeta
	if err := json.Unmarshal(data, &kind); err != nil {
		return nil, nil, fmt.Errorf("read answer: %w", err)
	}
	gvk := kind.GroupVersionKind()
	object, err := translate(gvk, data)
	if err != nil {
		return nil, &gvk, err
	}
	if object == nil {
		return d.Decoder.Decode(data, defaults, into)
	}
	if into == nil {
		return object, &gvk, nil
	}
	if err := assign(into, object); err != nil {
		return nil, &gvk, err
	}
	return into, &gvk, nil
}

// translate reads an object of Kinds or a list of them; nil if it is of another kind
// or version.
func translate(gvk schema.GroupVersionKind, data []byte) (runtime.Object, error) {
	item := gvk
	item.Kind = strings.TrimSuffix(gvk.Kind, "List")
	if !isOldKind(item) {
		return nil, nil
	}
	if item.Kind == gvk.Kind {
		return fromV1Beta1(gvk, data)
	}
	var old struct {
		metav1.ListMeta `json:"metadata"`
		Items           []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(data, &old); err != nil {
		return nil, fmt.Errorf("read %s: %w", gvk.Kind, err)
	}
	objects := make([]runtime.Object, 0, len(old.Items))
	for _, data := range old.Items {
		object, err := fromV1Beta1(item, data)
		if err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
	list, err := schemes.All.New(atNewest(gvk))
	if err == nil {
		err = meta.SetList(list, objects)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", gvk.Kind, err)
	}
	if of, err := meta.ListAccessor(list); err == nil {
		of.SetResourceVersion(old.ResourceVersion)
		of.SetContinue(old.Continue)
		of.SetRemainingItemCount(old.RemainingItemCount)
	}
	return list, nil
}

type encoding struct{ runtime.Encoder }

// Encode writes IPAddresses and IPAddressClaims at v1beta1, whose fields that are
// written here are the same. Clusters are only patched.
func (e encoding) Encode(object runtime.Object, w io.Writer) error {
	gvks, _, err := schemes.All.ObjectKinds(object)
	if err != nil || !slices.Contains(Kinds(), gvks[0]) {
		return e.Encoder.Encode(object, w)
	}
	data, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("write %s: %w", gvks[0].Kind, err)
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		return fmt.Errorf("write %s: %w", gvks[0].Kind, err)
	}
	gvks[0].Version = oldest
	fields["apiVersion"], fields["kind"] = gvks[0].ToAPIVersionAndKind()
	if err := json.NewEncoder(w).Encode(fields); err != nil {
		return fmt.Errorf("write %s: %w", gvks[0].Kind, err)
	}
	return nil
}
