# Overtile's tasks. `make` alone lists them. Python 3.11, git and make are all they need.

PYTHON ?=
# An interpreter of version 3.11 to set up with, where it is not on the path.
OUT ?= out
ARGS ?=
WORKERS ?= 2
# Tests at a time, each file's one after the other.
REGIONS ?= configs/regions
BENCH ?= $(basename $(notdir $(filter-out benchmarks/_%,$(wildcard benchmarks/*.py))))

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup
BY_FILE := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# Without compiled files every process compiles its libraries again, which takes most of its start.
unexport PYTHONDONTWRITEBYTECODE
UV_VERSION := 0.13.8

.DEFAULT_GOAL := help
.PHONY: help setup demo map region schedule test test-slow test-long fuzz check lint types layers format bench docs wheel clean
MAKEFLAGS += --no-print-directory

help: ## List these tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## Make .venv with the `overtile` command in it, from requirements.lock

demo: $(STAMP) ## Map a made scene and show how well it went: out/demo
	@$(BIN)/overtile demo --out out/demo $(ARGS)

map: ## Map your own: make map SCENE=path.tif [OUT=out] [ARGS='--task ...']
	@test -n "$$SCENE" || { \
	  echo "make map: which scene? For example: make map SCENE=path/to/scene.tif OUT=out" >&2; exit 2; }
	@$(MAKE) -s setup
	@$(BIN)/overtile map "$$SCENE" --out "$$OUT" $(ARGS)
export SCENE OUT

region: ## Map what is new in a region, now: make region REGION=town/region.yaml
	@test -n "$$REGION" || { \
	  echo "make region: which one? For example: make region REGION=town/region.yaml" >&2; exit 2; }
	@$(MAKE) -s setup
	@$(BIN)/overtile region run "$$REGION" $(ARGS)
export REGION

schedule: $(STAMP) ## Map regions on their schedules: make schedule [REGIONS=configs/regions]
	@$(BIN)/overtile region serve "$$REGIONS" $(ARGS)
export REGIONS

test: $(STAMP) ## Run the tests of every law: minutes
	@$(BIN)/pytest -q $(BY_FILE) --durations=10 -m "not slow and not long" $(ARGS)

test-slow: $(STAMP) ## Run the tests of orchestrators, clusters, memory, kills and notebooks
	@$(BIN)/pytest -q $(BY_FILE) --durations=10 -m "slow and not long" $(ARGS)

test-long: $(STAMP) ## Run laws on five times the examples, fuzzing and the soak: an hour
	@OVERTILE_EXAMPLES=5 $(BIN)/pytest -q $(BY_FILE) --durations=10 -m "long or law" --timeout=1800 $(ARGS)
	@$(MAKE) fuzz SECONDS_EACH=$${SECONDS_EACH:-120}
	@$(BIN)/python -m benchmarks.soak $${SOAK_SECONDS:-300}

fuzz: $(STAMP) ## Feed changed bytes to every reader, guided by coverage: SECONDS_EACH=300
	@for name in scene config checkpoint truth; do echo "== $$name"; \
	  $(BIN)/python -m tests.fuzz $$name $${SECONDS_EACH:-300} out/fuzz || exit 1; done

check: lint types layers ## Lint, check types and import layers

lint: $(STAMP) ## Check format and style
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet --diff || { echo "make format puts this right" >&2; exit 1; }

types: $(STAMP) ## Check types
	@$(BIN)/mypy

layers: $(STAMP) ## Check that imports point down
	@$(BIN)/lint-imports --no-logo

format: $(STAMP) ## Put format and imports in order
	@$(BIN)/ruff check --fix --quiet --exit-zero
	@$(BIN)/ruff format

bench: $(STAMP) ## Run the benchmarks, or one: make bench BENCH=seams
	@for name in $(BENCH); do echo "== $$name"; $(BIN)/python -m benchmarks.$$name $(ARGS) || exit 1; done

docs: $(STAMP) ## Build the pages into out/docs, links checked
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict -f docs/mkdocs.yml

wheel: $(STAMP) ## Build dist/overtile-*.whl
	@$(BIN)/python -m hatchling build -t wheel

clean: ## Remove caches and builds; .venv and out/ stay
	@rm -rf dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find pipeline tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp comes last, so a set-up that was stopped midway is gone on with, not trusted. A .venv
# that cannot run pip under Python 3.11 (half made, moved, of another version) is made anew.
$(STAMP): requirements.lock pyproject.toml
	@if ! $(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then \
	  for name in "$(PYTHON)" python3.11 python3 python; do \
	    test -n "$$name" || continue; \
	    "$$name" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && found=$$name && break; \
	  done; \
	  if test -z "$${found:-}"; then \
	    echo "make setup: needs Python 3.11, and neither python3.11 nor python3 here is it." >&2; \
	    echo "Install it, or name one: make setup PYTHON=/path/to/python3.11" >&2; exit 1; fi; \
	  rm -rf $(VENV); \
	  "$$found" -m venv $(VENV) || { rm -rf $(VENV); \
	    echo "make setup: this Python 3.11 cannot make environments (Debian: install python3.11-venv)" >&2; \
	    exit 1; }; \
	fi
	@$(BIN)/uv --version 2>/dev/null | grep -q '^uv $(UV_VERSION)' || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@echo "Setting up .venv: about 190 packages, 7 GB on disk; minutes the first time" >&2
	@quiet=$$(test -t 2 || echo --quiet); \
	  $(BIN)/uv pip install $$quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@
