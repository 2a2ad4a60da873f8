package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// copied is a file of the image.
type copied struct{ from, to string }

func (c copied) String() string { return "COPY " + c.from + " " + c.to }

// layer is a layer of this file alone, owned by root: nobody in the container may
// change it.
func (c copied) layer(context string, created time.Time) (v1.Layer, error) {
	path := filepath.Join(context, c.from)
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	header := &tar.Header{
		Typeflag: tar.TypeReg, Name: strings.TrimPrefix(c.to, "/"), Size: int64(len(content)),
		Mode: int64(info.Mode().Perm()), ModTime: created,
	}
	if err := w.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buffer.Bytes())), nil }
	return tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer))
}

// archive writes the folder's files to a tar file, in the order of their names.
func archive(dir, output string, created time.Time) error {
	file, err := os.Create(output)
	if err != nil {
		return err
	}
	w := tar.NewWriter(file)
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return add(w, dir, path, created)
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", output, err)
	}
	if err := w.Close(); err != nil {
		return err
	}
	return file.Close()
}

func add(w *tar.Writer, dir, path string, created time.Time) error {
	name, err := filepath.Rel(dir, path)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	const mode = 0o644
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: mode, ModTime: created}); err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}
