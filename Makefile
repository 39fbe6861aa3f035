# The checks and builds of this repository; `make` lists them.

GO      ?= go
export GO # to the scripts
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# What the race detector watches by default: the packages that share state between goroutines.
RACE   ?= ./runtime/... ./serve/... ./fleet/... ./outputs/... ./dataset/... ./train/... ./internal/imageio/... ./internal/kernels/... ./internal/lower/...
# What is tested once more without cgo: the provider go and those that must do without ONNX Runtime.
NOCGO  ?= ./runtime/... ./train/... ./cmd/anomaly/... ./internal/conformance/...
BENCH  ?= .
# What the command is compiled for, without cgo, without the plant's commands by the tag edge, and without what writes manual pages by the other.
EDGE = edge,urfave_cli_no_docs
TARGETS ?= linux/amd64 linux/arm64 linux/arm linux/386 linux/riscv64 linux/ppc64le darwin/arm64 windows/amd64 js/wasm
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.9.0

.PHONY: help setup build cross test testrace testnocgo testarm conformance testanomalib testclients testfleet wasm release lintdocker lint staticcheck vulncheck cover fuzz soak soak-serve accuracy article bench bench-peers clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## make .venv for the tests that compare with Python, cache ONNX Runtime
	@scripts/setup

build: ## build bin/anomaly
	$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/anomaly ./cmd/anomaly

# Commands for testsum, which lists what they skip.
ALLTESTS   = $(GO) test -timeout 15m ./...
NOCGOTESTS = CGO_ENABLED=0 $(GO) test -short -timeout 10m $(NOCGO)
RACETESTS  = $(GO) test -race -short -timeout 10m $(RACE)

test: setup lint staticcheck cross ## run every check: lint, staticcheck, TARGETS, tests, tests without cgo, race detector (20 minutes on 2 cores from nothing)
	@$(GO) run ./internal/testsum "$(ALLTESTS)" "$(NOCGOTESTS)" "$(RACETESTS)"

cross: ## compile for TARGETS
	@for target in $(TARGETS); do \
		GOOS=$${target%/*} GOARCH=$${target#*/} CGO_ENABLED=0 $(GO) build -tags $(EDGE) ./cmd/anomaly/internal/commands ./serve || { echo "not for $$target"; exit 1; }; \
	done

testnocgo: ## build without cgo and test what must work so
	CGO_ENABLED=0 $(GO) build ./...
	@$(GO) run ./internal/testsum "$(NOCGOTESTS)"

testarm: ## test the kernels of provider go and the decoder of PNG as arm64 and arm run them, under qemu-user, which it installs where it is missing
	@scripts/testarm

testrace: ## run the race detector on RACE
	@$(GO) run ./internal/testsum "$(RACETESTS)"

conformance: setup ## test models of all kinds on go and cpu, or on PROVIDER (openvino, cuda, ...); UPDATE=1 writes manifest and docs/interop.md
	@scripts/conformance "$(PROVIDER)" $(if $(UPDATE),-update-manifest -update-interop)

testanomalib: ## run exported files with anomalib's own inferencer, in .venv-anomalib (3 GB to download, 5 GB on disk)
	@scripts/setup anomalib
	ANOMALY_ANOMALIB_PYTHON=$(CURDIR)/.venv-anomalib/bin/python $(GO) test -count=1 -timeout 30m -v -run TestAnomalibInferencer ./cmd/anomaly/internal/commands

testclients: ## ask a server with tritonclient and schemathesis, in .venv-clients (200 MB)
	@scripts/setup clients
	ANOMALY_CLIENTS_PYTHON=$(CURDIR)/.venv-clients/bin/python $(GO) test -count=1 -v -run 'TestTritonClient|TestSchema|TestExportTriton' ./serve ./cmd/anomaly/internal/commands

testfleet: ## have images judged while workers and servers are killed, measure throughput by workers and write it to docs/fleet.md (3 minutes)
	$(GO) test -count=1 -timeout 15m -v -run TestFleet ./cmd/anomaly/internal/commands -fleet-images 1500 -update-fleet

wasm: ## write the page of examples/wasm to bin/wasm, with MODEL if given, and test it in Chromium; UPDATE=1 measures it, MODELS too, and writes docs/wasm.md
	$(GO) run ./examples/wasm -out bin/wasm $(if $(MODEL),'$(MODEL)')
	$(GO) test -count=1 -v ./examples/wasm $(if $(UPDATE),-update-wasm -models '$(MODELS)')

release: ## build binaries, packages, SBOMs and checksums in dist, twice, and hold that both are the same (needs a commit; builds goreleaser first)
	@scripts/release

lintdocker: ## check docker/ with hadolint, in .venv-docker
	@scripts/setup docker
	.venv-docker/bin/hadolint docker/*.Dockerfile

lint: ## gofmt, go vet and the rules of internal/lint
	@unformatted=$$(gofmt -l .) && [ -z "$$unformatted" ] || { echo "not gofmt'd:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	GOOS=js GOARCH=wasm $(GO) vet ./examples/wasm
	$(GO) test -count=1 ./internal/lint

staticcheck: ## run staticcheck (downloads it)
	$(GO) run $(STATICCHECK) ./...

vulncheck: ## look the dependencies up in Go's vulnerability database, which must be reachable; no part of test
	$(GO) run $(GOVULNCHECK) ./...

cover: ## test, and print what share of each package's statements the tests of all packages run
	@scripts/cover

fuzz: ## run every fuzz target for FUZZTIME (1m), or those that match FUZZ
	@scripts/fuzz

soak: ## swap models under a stream of requests, open and close them, and write docs/soak.md (5 minutes)
	$(GO) run ./internal/soak

soak-serve: ## watch a server's memory for SOAK (1h) under RATE (10) requests a second, good, bad and left alone, and a swap of its model every 6 s
	$(GO) run ./internal/loadserve -soak $(or $(SOAK),1h) -rate $(or $(RATE),10)

accuracy: ## train presets and networks on the data sets in DATA (../shared/data) and write docs/results.md (hours)
	@scripts/accuracy

# What QUICK=1 does otherwise: a fiftieth of the training, and a page of its own.
ARTICLE = $(if $(QUICK),-share .02 -out article/quick -page article/quick/article.md)

article: build ## train, draw and measure what the article did and write docs/article.md (hours; goes on where it was); ONLY=grid trains one set, QUICK=1 a fiftieth
	$(GO) run ./internal/article -data '$(or $(DATA),../shared/data)' $(ARTICLE) $(if $(ONLY),-only '$(ONLY)')

bench: ## run the benchmarks that match BENCH
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

bench-peers: setup build ## do the same work as PyTorch, onnxruntime and OpenCV, in .venv-peers (3 GB to download, 5 GB on disk), and write docs/benchmarks.md and bench/results.json (half an hour, QUICK=1 6 minutes); ONLY=files prints rows of that name
	@scripts/setup peers
	$(GO) run ./internal/benchpeers -data '$(or $(DATA),../shared/data)/mvtec/bottle' $(if $(QUICK),-quick) $(if $(ONLY),-only '$(ONLY)')

clean: ## remove what was built; .venv, .venv-anomalib, .venv-clients, .venv-docker, .venv-peers and the cache folder stay
	rm -rf bin dist out/release out/packages
