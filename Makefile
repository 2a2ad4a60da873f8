# `make X` runs scripts/X, so everything here can be run without make too.
.DEFAULT_GOAL := help

help: ## print this table
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## compile bin/capi-vip-allocator
	scripts/build

run: ## run it against the current kubeconfig (ARGS="--log-level=debug")
	scripts/run $(ARGS)

demo: ## watch VIPs being allocated on a management cluster of its own (ONCE=1: one round, then stop)
	ONCE=$(ONCE) scripts/demo

management: ## keep a management cluster (API server, CAPI, IPAM) running until Ctrl-C
	scripts/management $(ARGS)

test: ## every test: the core, then all behaviour on a real API server
	scripts/test

test-compat: ## the main behaviour with a Cluster API that serves only v1beta1, and its upgrade
	scripts/test-compat

test-neighbours: ## the examples beside real control plane providers and Fleet
	scripts/test-neighbours

test-unit: ## only the tests that need no API server
	scripts/test unit

test-long: ## faults, crowds and random histories in full, which takes hours (ARGS="-histories 5000")
	scripts/test long $(ARGS)

fuzz: ## run every fuzz target for FUZZTIME=30s, or those that NAME matches
	FUZZTIME=$(FUZZTIME) scripts/fuzz $(NAME)

vulncheck: ## look for known vulnerabilities in what is built (asks vuln.go.dev)
	scripts/vulncheck

bench: ## time the allocation for N clusters (N=100)
	N=$(N) scripts/bench $(ARGS)

bench-scale: ## measure the allocator beside many clusters that have their VIPs (N=10000)
	N=$(N) scripts/bench-scale $(ARGS)

generate: ## write pkg/generated anew
	scripts/generate

validate: ## generated code, format, vet, lint, who imports whom, go.mod, scripts, workflows
	scripts/validate

package: ## assemble the container image as out/capi-vip-allocator-image.tar, without a container engine
	scripts/package

docker-build: ## build the container image by Docker (TAG=dev)
	scripts/docker-build

release: ## write the files of a release to out/
	scripts/release

clean: ## remove bin, dist and out
	scripts/clean

.PHONY: help build run demo management test test-compat test-neighbours test-unit test-long fuzz vulncheck bench bench-scale generate validate package docker-build release clean
