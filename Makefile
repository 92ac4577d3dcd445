# Every target sets up what it needs. `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
PROTO_VENV := $(VENV)/proto
PROTO_READY := $(PROTO_VENV)/ready

# A package index that has CPU builds of torch. It is remembered in the virtual environment.
TORCH_INDEX ?= $(shell cat $(VENV)/torch-index 2>/dev/null)
# Test processes at once, and further arguments for pytest: make test JOBS=4 PYTEST_ARGS="-k mig --require minio"
JOBS ?= 2
PYTEST_ARGS ?=
# Which test servers make tools builds
TEST_SERVERS ?= minio
# Arguments of make chaos: --rounds N, --every SECONDS, --seed N, --demo (the study of make demo: minutes)
CHAOS_ARGS ?=
# Arguments of make cluster-test: --stages study,chaos,checks, --keep
CLUSTER_ARGS ?=
# Arguments of make scale-test: --models 0-599, --models-per-pod N, --metrics mig,dci, --keep FOLDER
SCALE_ARGS ?=
# Arguments of make bench-gpu: --sizes 1,4,16,64, --objective beta_vae, --precision fp32, --seconds N, --json FILE
BENCH_ARGS ?=

.PHONY: help setup demo test chaos scale-test test-wheel check check-format check-types check-layers check-protos check-lock
.PHONY: images push compose-test cluster-test format proto schema tools bench bench-gpu lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Create .venv from the locked requirements; TORCH_INDEX=URL takes torch from an index of CPU builds

demo: $(READY) ## Train four beta-VAEs, score their representations and print the table
	@$(BIN)/disentangle demo

test: $(READY) ## Run the tests (with a real MinIO where Go is installed or DISENTANGLEMENT_TEST_S3_* is set)
	@[[ -n "$${DISENTANGLEMENT_TEST_S3_ENDPOINT:-}" ]] || $(BIN)/python tests/tools/build_tools.py || true
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow and not control_plane" $(PYTEST_ARGS) || [[ $$? == 5 ]]
	@# One control plane, for all tests that need one: two are too much for two cores. (5: there are no such tests.)
	$(BIN)/python -m pytest -m "control_plane and not slow" $(PYTEST_ARGS) || [[ $$? == 5 ]]

chaos: $(READY) ## Kill services and clients while a study runs, and compare its scores (CHAOS_ARGS="--rounds 50 --demo")
	$(BIN)/python tests/tools/chaos.py $(CHAOS_ARGS)

scale-test: $(READY) ## Take a published study's 12,600 models through a real control plane with fake nodes (SCALE_ARGS)
	$(BIN)/python tests/tools/build_tools.py minio etcd control-plane kwok
	PYTHONPATH=tests/tools $(BIN)/python tests/tools/scale_test.py $(SCALE_ARGS)

test-wheel: $(READY) ## Build the wheel and try it in clean virtual environments (needs a package index)
	$(BIN)/python -m pytest -m slow tests/e2e/test_wheel.py $(PYTEST_ARGS)

check: check-format check-types check-layers check-protos check-lock ## Formatting, lint, types, layers, protos, locks

check-format: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

check-types: $(READY)
	$(BIN)/mypy -p disentanglement
	$(BIN)/mypy tests tools

check-layers: $(READY)
	$(BIN)/lint-imports --no-cache

check-protos: $(READY) $(PROTO_READY)
	tools/protos.sh check

check-lock: $(READY)
	$(BIN)/python tools/check_lock.py

format: $(READY) ## Format the code and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

proto: $(READY) $(PROTO_READY) ## Generate shared/disentanglement/v1 from protos/ (BREAKING=yes accepts a breaking change)
	BREAKING=$(BREAKING) tools/protos.sh write

schema: $(READY) ## Write docs/schema/study.schema.json and k8s/base/crd/studies.yaml anew from the spec types
	$(BIN)/disentangle schema study > docs/schema/study.schema.json
	$(BIN)/disentangle schema crd > k8s/base/crd/studies.yaml

tools: ## Build the servers that tests run into a per-user cache; needs Go (TEST_SERVERS="minio etcd control-plane node kwok")
	@$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) tests/tools/build_tools.py $(TEST_SERVERS)

# make images; make images push REGISTRY=registry.example.com/us TAG=1; arguments of the build, all optional: TORCH_INDEX,
# BASE, GO_BASE (images with Python and with Go), IMAGES (which of them), BUILD_NETWORK (host, ...), DOCKER (the client).
IMAGE_OPTIONS = $(if $(TAG),--tag $(TAG)) $(if $(REGISTRY),--registry $(REGISTRY)) \
	$(if $(TORCH_INDEX),--torch-index $(TORCH_INDEX)) $(if $(BASE),--base $(BASE)) $(if $(GO_BASE),--go-base $(GO_BASE)) \
	$(if $(BUILD_NETWORK),--network $(BUILD_NETWORK)) $(if $(filter push,$(MAKECMDGOALS)),--push)
images: ## Build the images of docker/Dockerfile and print their sizes (push REGISTRY= TAG= TORCH_INDEX= BASE=)
	@$(PYTHON) tools/images.py $(IMAGE_OPTIONS) $(IMAGES)

push: images ## With `images`: push them too
	@true

cluster-test: $(READY) ## Install the stack in a real cluster of two nodes, run studies, kill everything once (root; CLUSTER_ARGS)
	$(BIN)/python tests/tools/build_tools.py etcd control-plane node coredns
	$(BIN)/python tests/tools/cluster_test.py $(CLUSTER_ARGS)

compose-test: $(READY) ## Build the images with a docker of its own, run a study through compose, kill and cut off (root)
	$(BIN)/python tests/tools/compose_test.py

bench: $(READY) ## Time training and encoding beside plain PyTorch loops
	@for benchmark in tests/benchmarks/bench_*.py; do echo "== $$benchmark"; $(BIN)/python "$$benchmark"; done

bench-gpu: $(READY) ## Models an hour on a GPU, K at once in each way (BENCH_ARGS="--precision tf32 --objective mixed --json FILE")
	$(BIN)/python tests/benchmarks/bench_gpu.py $(BENCH_ARGS)

# What uv resolves for every platform. UPGRADE=1 takes the newest versions, else only what must change does.
COMPILE = $(BIN)/uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
COMPILE_IMAGE = $(COMPILE) -c requirements/dev.txt --no-annotate
# What torch names as requirements and neither loads nor needs for what we do: a quarter of an image.
NOT_LOADED = triton networkx jinja2 markupsafe setuptools cuda-bindings cuda-toolkit nvidia-cuda-cccl nvidia-nvtx
# Nothing is scored in the aggregator's image.
NOT_SCORING = scikit-learn scipy joblib numba llvmlite
# Nothing is tabulated in the evaluator's, which has to have LLVM (170 MB) for its boosted trees.
NOT_TABULATING = pandas pyarrow python-dateutil
lock: | $(READY) ## Write requirements/*.txt anew from pyproject.toml (UPGRADE=1: with the newest versions)
	$(COMPILE) --extra dev -o requirements/dev.txt $(if $(UPGRADE),--upgrade)
	$(COMPILE) -c requirements/dev.txt -o requirements/base.txt
	for extra in client data train export services cluster; do \
		$(COMPILE) -c requirements/dev.txt --extra $$extra -o requirements/$$extra.txt; done
	$(BIN)/uv pip compile -q --group proto --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --custom-compile-command "make lock" -o requirements/proto.txt
	$(COMPILE_IMAGE) --extra services $(foreach name,$(NOT_TABULATING),--no-emit-package $(name)) \
		-o requirements/images/evaluator.txt
	$(COMPILE_IMAGE) --extra services --extra cluster $(foreach name,$(NOT_SCORING),--no-emit-package $(name)) \
		-o requirements/images/aggregator.txt
	$(COMPILE_IMAGE) --extra services --extra train --extra cluster $(foreach name,$(NOT_LOADED),--no-emit-package $(name)) \
		-o requirements/images/trainer.txt
	$(BIN)/uv pip compile -q --group build --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links -c requirements/dev.txt --no-annotate --custom-compile-command "make lock" \
		-o requirements/images/build.txt

clean: ## Remove caches and build outputs (.venv stays: it is big; remove it by hand)
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks
	find services shared tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python >= 3.11 is needed, and $(PYTHON) is older: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(READY): requirements/dev.txt pyproject.toml | $(BIN)/python
	@echo "installing into $(VENV) (torch for Linux with CUDA takes 5 GB: minutes the first time)"
ifeq ($(TORCH_INDEX),)
	@$(BIN)/python -m pip install -q --no-deps --require-hashes -r requirements/dev.txt
else
	@echo "$(TORCH_INDEX)" > $(VENV)/torch-index
	@# That index has builds of its own, with other hashes: torch comes from there by version, the rest by hash.
	@$(BIN)/python -m pip install -q --no-deps --index-url "$(TORCH_INDEX)" "$$(grep -o '^torch==[^ ;]*' requirements/dev.txt)"
	@awk '/^[a-z]/ { skip = /^(torch|triton|cuda-[a-z]+|nvidia-[a-z0-9-]+)==/ } !skip' requirements/dev.txt \
		> $(VENV)/without-torch.txt
	@$(BIN)/python -m pip install -q --no-deps --require-hashes -r $(VENV)/without-torch.txt
endif
	@$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $@

$(PROTO_READY): requirements/proto.txt | $(BIN)/python
	@$(BIN)/python -m venv $(PROTO_VENV)
	@$(PROTO_VENV)/bin/python -m pip install -q --no-deps --require-hashes -r requirements/proto.txt
	@touch $@
