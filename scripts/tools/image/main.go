// Command image assembles the image that a Dockerfile describes, as an OCI layout in a
// tar file, without a container engine. It knows the instructions of an image that
// holds files and nothing else, and refuses all others.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// refName is where an OCI layout keeps the tag of an image.
const refName = "org.opencontainers.image.ref.name"

type options struct {
	dockerfile, context, platforms, tag, output string
	args                                        map[string]string
	created                                     int64
}

func main() {
	o := options{args: map[string]string{}}
	flag.StringVar(&o.dockerfile, "dockerfile", "", "file to read")
	flag.StringVar(&o.context, "context", "", "folder that it copies from")
	flag.StringVar(&o.platforms, "platforms", "linux/amd64", "list with commas")
	flag.StringVar(&o.tag, "tag", "", "name of the image")
	flag.StringVar(&o.output, "output", "", "file to write")
	flag.Int64Var(&o.created, "created", 0, "time of everything in it, in seconds since 1970")
	flag.Func("arg", "NAME=VALUE for ARG, any number of times", func(arg string) error {
		name, value, found := strings.Cut(arg, "=")
		if !found {
			return errors.New("not of the form NAME=VALUE")
		}
		o.args[name] = value
		return nil
	})
	flag.Parse()
	if err := o.run(); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func (o options) run() error {
	text, err := os.ReadFile(o.dockerfile)
	if err != nil {
		return err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for platform := range strings.SplitSeq(o.platforms, ",") {
		target, err := v1.ParsePlatform(platform)
		if err != nil {
			return err
		}
		image, err := o.image(string(text), *target)
		if err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: target}})
	}
	return o.write(index)
}

// image is that of one platform.
func (o options) image(text string, target v1.Platform) (v1.Image, error) {
	args := map[string]string{"TARGETOS": target.OS, "TARGETARCH": target.Architecture}
	recipe, err := parse(text, args, o.args)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.dockerfile, err)
	}
	created := time.Unix(o.created, 0).UTC()
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, copied := range recipe.copies {
		layer, err := copied.layer(o.context, created)
		if err != nil {
			return nil, err
		}
		image, err = mutate.Append(image, mutate.Addendum{Layer: layer, MediaType: types.OCILayer, History: v1.History{
			Created: v1.Time{Time: created}, CreatedBy: copied.String(),
		}})
		if err != nil {
			return nil, err
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = target.OS, target.Architecture, target.Variant
	config.Created = v1.Time{Time: created}
	config.Config = v1.Config{Labels: recipe.labels, User: recipe.user, Entrypoint: recipe.entrypoint}
	return mutate.ConfigFile(image, config)
}

// write writes the layout by way of a folder: its blobs are named by their sums.
func (o options) write(index v1.ImageIndex) error {
	dir, err := os.MkdirTemp("", "image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{refName: o.tag})); err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	if err := archive(dir, o.output, time.Unix(o.created, 0)); err != nil {
		return err
	}
	fmt.Println(o.output, o.tag, digest)
	return nil
}
