# `make` alone lists what there is to do.

SHELL      := /bin/bash
GO         ?= go
LINT       := $(GO) tool -modfile=internal/tools/go.mod golangci-lint
FUZZTIME   ?= 30s
BENCHTIME  ?= 1s

# Where Go's own installation goes; only a login shell has it on its PATH.
export PATH := $(PATH):/usr/local/go/bin

.DEFAULT_GOAL := help
.PHONY: help run test check fmt lint bench bench-rx bench-jobs bench-zmq interop-vpa bench-vpa fuzz chaos chaos-jobs demo clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Start an agent with the chat page at http://127.0.0.1:8080 (needs only Go)
	@$(GO) build -o bin/agentmesh ./cmd/agentmesh
	@exec bin/agentmesh serve --dev --zmq tcp://127.0.0.1:5555 --http 127.0.0.1:8080 --redis embedded

test: ## Install what the tests need (Debian, as root), then run them all with the race detector
	@.ci/setup
	@$(GO) test -race -timeout 20m ./...

check: ## Look at the code without running it: gofmt, vet, lint, the house rules, go.mod
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(LINT) run ./...
	$(GO) test ./internal/archtest
	$(GO) mod tidy -diff

fmt: ## Format the code
	gofmt -w .

lint: ## Run the linters; the first run builds them, which takes a minute or two
	$(LINT) run ./...

bench: ## Run the benchmarks (BENCHTIME=1s), then measure the whole loop beside a plain relay (docs/performance.md)
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...
	@.ci/setup
	$(GO) run ./internal/bench/loop

bench-rx: ## Compare the observables with other libraries for streams (RxPY: apt-get install python3-rx)
	@cd internal/bench/peers && $(GO) run .

bench-jobs: ## Compare jobs with asynq, NATS JetStream and redis-benchmark, side by side (5 minutes)
	@cd internal/bench/peers && $(GO) run ./jobs

bench-zmq: ## Compare the ZeroMQ sockets with libzmq, pebbe/zmq4, pyzmq and zmq4 (5 minutes; ARGS=-quick: 2)
	@LIBZMQ=dev .ci/setup
	@cd internal/bench/peers && $(GO) run ./zmq $(ARGS)

interop-vpa: ## Test against Very Powerful Agents from the package index, or from a checkout: VPA=PATH
	@.ci/setup
	AGENTMESH_VPA='$(VPA)' $(GO) test -race -count 1 -v ./internal/interop

bench-vpa: ## Measure the Python router and broker beside ours, under the same Python clients (5 minutes)
	@.ci/setup
	@$(GO) build -o bin/agentmesh ./cmd/agentmesh
	@$$(.ci/vpa) internal/interop/testdata/bench.py bin/agentmesh

fuzz: ## Run every fuzz target for FUZZTIME (30s)
	@GO='$(GO)' .ci/fuzz $(FUZZTIME)

chaos: ## Kill agents, Redis and connections for minutes, and count what was lost
	@.ci/setup
	$(GO) test -race -tags chaos -run '^TestChaos' -count 1 -v -timeout 60m ./...

chaos-jobs: ## Only what chaos does to the broker: single Redis, Sentinel and Cluster
	@.ci/setup
	$(GO) test -race -tags chaos -run '^TestChaos' -count 1 -v -p 1 -timeout 60m ./jobs ./internal/topology

demo: ## Two agents, two users, one revoked session: a mesh in ten seconds (needs only Go)
	@GO='$(GO)' .ci/demo

clean: ## Remove what builds and tests have left behind
	rm -rf bin dist
	find . -type f \( -name '*.test' -o -name '*.prof' -o -name '*.out' \) -not -path './.git/*' -delete
	$(GO) clean -testcache
