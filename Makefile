# Overtile's tasks. `make` alone lists them. Python 3.11 to 3.14, git and make are all they need.

PYTHON ?=
# An interpreter of one of these versions to set up with, in place of the first on the path.
export PYTHON
GPU ?= $(wildcard /dev/nvidiactl)
# Not empty: what maps is set up with torch and CUDA as well.
OUT ?= out
ARGS ?=
WORKERS ?= 2
# Tests at a time, each file's one after the other.
REGIONS ?= configs/regions
BENCH ?= $(basename $(notdir $(filter-out benchmarks/_%,$(wildcard benchmarks/*.py))))

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup
MAPS := $(VENV)/.maps
# The set that maps, evaluates, validates and runs regions; the other set holds everything.
BY_FILE := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# Without compiled files every process compiles its libraries again, which takes most of its start.
unexport PYTHONDONTWRITEBYTECODE
UV_VERSION := 0.13.8

.DEFAULT_GOAL := help
.PHONY: help setup demo map region schedule test test-slow test-long fuzz check lint types layers format bench docs wheel clean lock
MAKEFLAGS += --no-print-directory

help: ## List these tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## Set up everything in .venv: training, tests, docs

demo: $(MAPS) ## Map a made scene and show how well it went: out/demo
	@$(BIN)/overtile demo --out out/demo $(ARGS)

map: ## Map your own: make map SCENE=path.tif [OUT=out] [ARGS='--task ...']
	@test -n "$$SCENE" || { \
	  echo "make map: which scene? For example: make map SCENE=path/to/scene.tif OUT=out" >&2; exit 2; }
	@$(MAKE) -s $(MAPS)
	@$(BIN)/overtile map "$$SCENE" --out "$$OUT" $(ARGS)
export SCENE OUT

region: ## Map what is new in a region, now: make region REGION=town/region.yaml
	@test -n "$$REGION" || { \
	  echo "make region: which one? For example: make region REGION=town/region.yaml" >&2; exit 2; }
	@$(MAKE) -s $(MAPS)
	@$(BIN)/overtile region run "$$REGION" $(ARGS)
export REGION

schedule: $(MAPS) ## Map regions on their schedules: make schedule [REGIONS=configs/regions]
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

lock: $(STAMP) ## Resolve both sets anew, for every Python and system, keeping pins that still hold
	@$(LOCK) --all-extras --group dev -o requirements/all.lock
	@sed -E '/^ +--hash/d; s/ \\$$//' requirements/all.lock > out/pins.txt
	@$(LOCK) -c out/pins.txt -o requirements/map.lock
LOCK = mkdir -p out && $(BIN)/uv pip compile --quiet pyproject.toml --universal --python-version 3.11 \
  --generate-hashes --no-header --no-annotate --no-emit-index-url \
  --overrides requirements/overrides.txt

# The stamp comes last, so a set-up that was stopped midway is gone on with, not trusted. A .venv
# that cannot run pip under such a Python (half made, moved, of another version) is made anew.
SUITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
define ENVIRONMENT
if ! $(BIN)/python -c 'import pip; $(SUITS)' 2>/dev/null; then \
  if test -n "$$PYTHON"; then set -- "$$PYTHON"; \
  else set -- python3 python3.14 python3.13 python3.12 python3.11 python; fi; \
  found=; made=; \
  for name; do \
    "$$name" -c '$(SUITS)' 2>/dev/null || continue; \
    found=$$name; rm -rf $(VENV); \
    if "$$name" -m venv $(VENV) >&2; then made=yes; break; fi; \
    rm -rf $(VENV); \
  done; \
  if test -z "$$found"; then \
    echo "make: needs Python 3.11, 3.12, 3.13 or 3.14, and none of these is one: $$*" >&2; \
    echo "Install one (Debian, Ubuntu: apt install python3 python3-venv; Fedora: dnf install python3)," >&2; \
    echo "or name one: make setup PYTHON=/path/to/python3.13" >&2; exit 1; fi; \
  if test -z "$$made"; then \
    echo "make: $$found cannot make environments (Debian, Ubuntu: apt install python3-venv)" >&2; \
    exit 1; fi; \
fi; \
$(BIN)/uv --version 2>/dev/null | grep -q '^uv $(UV_VERSION)' || \
  $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
endef
# Bytecode of what is never imported stays away; some packages hold templates that do not compile.
define INSTALL
quiet=$$(test -t 2 || echo --quiet); \
$(BIN)/uv pip install $$quiet --python $(BIN)/python --require-hashes -r $(1) && \
$(BIN)/uv pip install --quiet --python $(BIN)/python hatchling==1.27.0 && \
$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . && \
{ $(BIN)/python -m compileall -q -j 0 -x '/tests?/' $(VENV)/lib overtile pipeline >/dev/null || true; } && \
{ $(BIN)/python -m pipeline.mapping.warm_up 2>/dev/null || echo "the first run compiles its loops" >&2; }
endef

$(STAMP): requirements/all.lock pyproject.toml
	@$(ENVIRONMENT)
	@echo "Setting up everything in .venv: 200 packages, 7 GB on disk; minutes the first time" >&2
	@$(call INSTALL,requirements/all.lock)
	@touch $@ $(MAPS)

# Where everything is set up there is nothing left to do. With a card, torch is part of it.
$(MAPS): requirements/map.lock pyproject.toml
	@if test -n "$(GPU)"; then $(MAKE) -s $(STAMP); elif test -e $(STAMP); then $(MAKE) -s $(STAMP); touch $@; else \
	  set -e; $(ENVIRONMENT); \
	  echo "Setting up what maps in .venv: 90 packages, 1.2 GB on disk; a minute or two" >&2; \
	  $(call INSTALL,requirements/map.lock); \
  $(BIN)/python -m pip uninstall --quiet --yes uv; touch $@; fi
