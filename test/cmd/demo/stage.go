package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// stage is everything the demo runs.
type stage struct {
	management *management.Cluster
	allocator  *allocator.Process
	page       *allocator.Page // kubectl vip ui; nil before startPage
	client     dynamic.Interface
	examples   string // folder
	clusters   int    // how many there are in the examples
	screen     *screen
}

// setUp builds what is missing and starts the management cluster and the
// allocator. On an error nothing is left running.
func setUp(ctx context.Context, screen *screen) (*stage, error) {
	screen.say("building the allocator")
	if _, err := allocator.Build(ctx); err != nil {
		return nil, err
	}
	cluster, err := management.Start(ctx, management.Options{Progress: screen})
	if err != nil {
		return nil, err
	}
	s := &stage{management: cluster, screen: screen}
	if err := s.fill(ctx); err != nil {
		return nil, errors.Join(err, s.tearDown())
	}
	return s, nil
}

// fill puts onto a stage what needs the management cluster.
func (s *stage) fill(ctx context.Context) error {
	var err error
	if s.client, err = dynamic.NewForConfig(s.management.Config()); err != nil {
		return err
	}
	if s.examples, err = allocator.Examples(ctx); err != nil {
		return err
	}
	return s.startAllocator(ctx)
}

// startAllocator runs the allocator as the chart does: in its namespace, with
// leader election.
func (s *stage) startAllocator(ctx context.Context) error {
	namespace := "{apiVersion: v1, kind: Namespace, metadata: {name: " + allocator.Namespace + "}}"
	err := s.management.Apply(ctx, []byte(namespace))
	if err != nil {
		return err
	}
	s.allocator, err = allocator.Start(ctx, allocator.Options{
		Kubeconfig: s.management.Kubeconfig(),
		Args:       []string{"--leader-elect"},
		LogFile:    filepath.Join(filepath.Dir(s.management.AuditLog()), "allocator.log"),
	})
	if err == nil {
		s.screen.say("the allocator is ready")
	}
	return err
}

// applyExamples does what a platform team does once, and then what its users do:
// the time from a Cluster's creation to its VIPs is not to hold the preparation
// of its class.
func (s *stage) applyExamples(ctx context.Context) error {
	for _, file := range []string{"pools.yaml", "clusterclass.yaml"} {
		if err := s.apply(ctx, file); err != nil {
			return err
		}
	}
	if err := observe.AwaitClass(ctx, s.client, metav1.NamespaceDefault, "demo"); err != nil {
		return err
	}
	return s.apply(ctx, "clusters.yaml")
}

func (s *stage) apply(ctx context.Context, file string) error {
	content, err := os.ReadFile(filepath.Join(s.examples, file))
	if err != nil {
		return err
	}
	s.screen.say("applying examples/%s", file)
	if file == "clusters.yaml" {
		if s.clusters, err = countDocuments(content); err != nil {
			return fmt.Errorf("read examples/%s: %w", file, err)
		}
	}
	return s.management.Apply(ctx, content)
}

// allocatorEnded is the error for an allocator that stopped by itself.
func (s *stage) allocatorEnded() error {
	return fmt.Errorf("the allocator ended; end of its log:\n%s", s.allocator.LogTail())
}

// startPage shows pools, Clusters and classes.
func (s *stage) startPage(ctx context.Context) error {
	var err error
	s.page, err = allocator.StartPage(ctx, s.management.Kubeconfig())
	return err
}

// tearDown stops everything, first who would complain about an API server that is gone.
func (s *stage) tearDown() error {
	var errs []error
	if s.page != nil {
		errs = append(errs, s.page.Stop())
	}
	if s.allocator != nil {
		_, err := s.allocator.Stop()
		errs = append(errs, err)
	}
	s.management.Stop()
	return errors.Join(errs...)
}
