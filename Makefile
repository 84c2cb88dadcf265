# `make` lists the targets. Each target updates .venv if a lock file changed.
# Each worker and each program of the tests would compile the same modules again.
unexport PYTHONDONTWRITEBYTECODE
SHELL := /bin/bash
.SHELLFLAGS := -e -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.locked .venv/.installed
RUN := $(BIN)/python
# The demo needs no test tools. Where .venv is there, the demo takes that.
DEMO := $(if $(wildcard .venv/.installed),.venv,build/demo)
# $(call install,ENVIRONMENT,OPTION OF UV,OPTION OF PIP) installs the packages of the first prerequisite, a lock. uv does
# it side by side; pip does it where uv cannot reach the index as pip does.
install = build/uv/bin/uv pip install --quiet --no-deps --require-hashes $(2) --python $(1)/bin/python -r $< || \
	$(1)/bin/pip install --disable-pip-version-check --quiet --no-deps --require-hashes $(3) -r $<
COMPILE := build/uv/bin/uv pip compile --quiet --no-header --generate-hashes --upgrade --python-version 3.11
# Each worker has its own control plane, shared by the tests of a file. Files run in directory order, so that slow ones
# do not run last.
SIDE_BY_SIDE := -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: help setup demo test unit e2e bench bench-full chaos chart gitops prometheus pod dist audit krew site pictures lint crds manifests controlplane lock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## the Python environment in .venv, as locked; PYTHON=python3.12 chooses another Python than python3

demo: $(DEMO)/.installed ## run a TrainingJob from apply to Completed on a real API server; KEEP=1 keeps it running, CLUSTER=kind uses kind
	@KEEP=$(KEEP) CLUSTER=$(CLUSTER) $(DEMO)/bin/python -m tests.demo

test: $(READY) ## every test but those of chart, gitops, pod and prometheus, with the coverage that must be and the slowest at the end
	$(RUN) -m tests.controlplane --build-only
	$(RUN) -m pytest $(SIDE_BY_SIDE) -m 'not gitops and not installation and not prometheus' --durations=15 --cov --cov-report=
	$(BIN)/coverage report --fail-under=95
	$(BIN)/coverage report --include='*/trainingjob_operator/logic/*' --fail-under=100

unit: $(READY) ## the rules and the reconciler, without a control plane and without long tests: the inner loop
	$(RUN) -m pytest -q -n 2 --hypothesis-profile=brief -m 'not controlplane and not no_cover and not long' \
		tests/logic tests/reconciler

e2e: $(READY) ## run the end-to-end tests with the operator as a process; CLUSTER=kind uses kind
	CLUSTER=$(CLUSTER) $(RUN) -m pytest $(if $(CLUSTER),,$(SIDE_BY_SIDE)) -m e2e

bench: $(READY) ## 1,000 jobs of a minute or two against the targets; build/bench.json and .svg, about 3 minutes; ARGS="--help"
	$(RUN) -m tests.scale $(ARGS)

bench-full: $(READY) ## 100 to 10,000 jobs that live long, restart, rest, deletion, late filters, events; build/bench-full.json and .svg
	$(RUN) -m tests.scale --full $(ARGS)

chaos: $(READY) ## inject every fault at every step of a job and print a table of results; ARGS="--quick --seed 7" for tests.chaos
	$(RUN) -m tests.chaos $(ARGS)

pod: $(READY) ## build the image and run it as a Pod on a real node on this machine; needs root and debootstrap
	$(RUN) -m tests.node $(ARGS)

dist: $(READY) build/release/.locked ## build wheel, sdist and SBOM into dist/: built twice, compared, and installed
	$(RUN) -m release.artifacts --sbom-program build/release/bin/cyclonedx-py dist

audit: build/release/.locked ## known vulnerabilities of the locked packages; asks the database of PyPI
	build/release/bin/pip-audit --requirement requirements.lock --require-hashes --disable-pip --strict

krew: $(READY) ## write the kubectl plugin for krew into build/krew: an archive with its packages, and the manifest
	$(RUN) -m release.krew build/krew

site: build/website/.locked build/website/mermaid.min.js ## build the documentation site into build/site, strictly; needs npm
	$(PYTHON) -m website.pages build/website/pages
	build/website/bin/zensical build --strict --clean

pictures: $(READY) ## draw the pictures of README.md and docs/plugin.md from runs of the demo
	$(RUN) -m tests.demo --picture docs/demo.svg
	$(RUN) -m tests.kubectl_plugin

lint: $(READY) ## check style, types, layers, Dockerfile, generated files and locks
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(RUN) -m codegen --check
	$(BIN)/pip check

crds: $(READY) ## generate crds/ and the field tables from the API model, and list changed fields
	$(RUN) -m codegen crds

manifests: $(READY) ## render deploy/ from the chart; builds Helm once, about 5 minutes
	$(RUN) -m tests.helm

chart: $(READY) ## test the chart with Helm on a real API server; builds Helm once, about 5 minutes
	$(RUN) -m tests.helm --build-only
	$(RUN) -m tests.controlplane --build-only
	$(RUN) -m pytest -n 2 --dist loadfile -m helm

prometheus: $(READY) ## run alerts and dashboard on a real Prometheus; builds it once, about 6 minutes; PICTURE=1 draws docs/dashboard.svg
	$(RUN) -m tests.prometheus $(if $(PICTURE),--picture)
	$(RUN) -m tests.controlplane --build-only
	$(RUN) -m pytest -m prometheus tests/prometheus

gitops: $(READY) ## test Flux's kustomize-controller with the operator; builds it once, about 10 minutes
	$(RUN) -m tests.gitops
	$(RUN) -m tests.controlplane --build-only
	$(RUN) -m pytest -m gitops tests/gitops

controlplane: $(READY) ## run a control plane on loopback until Ctrl-C
	$(RUN) -m tests.controlplane

lock: build/uv/.locked ## update the lock files
	$(COMPILE) --output-file requirements.lock pyproject.toml
	$(COMPILE) --group dev --extra plugin --constraints requirements.lock --output-file requirements-dev.lock pyproject.toml
	$(COMPILE) --group demo --extra plugin --constraints requirements-dev.lock --output-file requirements-demo.lock \
		pyproject.toml
	$(COMPILE) --group release --output-file requirements-release.lock
	$(COMPILE) --group docs --output-file requirements-docs.lock
	$(COMPILE) --group uv --output-file requirements-uv.lock

%/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11: name a newer one, as in make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $*

build/uv/.locked: requirements-uv.lock | build/uv/bin/python
	@build/uv/bin/pip install --disable-pip-version-check --quiet --no-deps --require-hashes -r $<
	@touch $@

.venv/.locked: requirements-dev.lock build/uv/.locked | $(BIN)/python
	@echo "Installing $$(grep -c '==' $<) packages into .venv; this takes about half a minute the first time"
	@$(call install,.venv,--compile-bytecode)
	@touch $@

.venv/.installed: pyproject.toml .venv/.locked
	@$(BIN)/pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# Without compiling: the demo imports a small part of the packages, and starts sooner.
build/demo/.locked: requirements-demo.lock build/uv/.locked | build/demo/bin/python
	@echo "Installing $$(grep -c '==' $<) packages into build/demo; this takes about ten seconds the first time"
	@$(call install,build/demo,,--no-compile)
	@touch $@

build/demo/.installed: pyproject.toml build/demo/.locked
	@build/demo/bin/pip install --disable-pip-version-check --quiet --no-compile --no-deps --no-build-isolation --editable .
	@touch $@

build/release/.locked: requirements-release.lock build/uv/.locked | build/release/bin/python
	@$(call install,build/release)
	@touch $@

build/website/.locked: requirements-docs.lock build/uv/.locked | build/website/bin/python
	@$(call install,build/website)
	@touch $@

build/website/mermaid.min.js: website/mermaid.py build/website/.locked
	$(PYTHON) -m website.mermaid $@
