# Everything runs in .venv, which any target makes on first use. PYTHON and TORCH may be overridden.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The exact pin keeps pip on one wheel; a bare `torch` may resolve to a build with gigabytes of GPU libraries.
TORCH ?= torch==2.13.0
PYTHON ?=
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test check lint types layers docs examples bench gallery bench-algorithmic clean install

install: $(STAMP)

$(STAMP): pyproject.toml
	@bash .ci/make-venv "$(VENV)" "$(PYTHON)"
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet -e ".[all,dev]"
	@touch $@

demo: $(STAMP)
	$(BIN)/exegesis decompile zoo:majority --out runs/demo --force
	$(BIN)/exegesis show runs/demo
	$(BIN)/exegesis verify runs/demo --network zoo:majority --budget 20s

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

check: lint types layers docs examples

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports --no-cache

docs: $(STAMP)
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -b html docs docs/_build/html

examples: $(STAMP)
	$(BIN)/python -m pytest -p no:randomly -q docs README.md

bench: $(STAMP)
	$(BIN)/python -m benchmarks

# One row per network of ../shared/models that computes an algorithm, and every program that came out.
bench-algorithmic: $(STAMP)
	$(BIN)/python -m benchmarks.decompile --all --programs benchmarks/programs

gallery: $(STAMP)
	$(BIN)/python docs/make_gallery.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis docs/_build docs/reference/_generated runs build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
