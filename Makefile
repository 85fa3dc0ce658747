# Every target runs in .venv, which make builds from the pinned, hash-checked lists in requirements/.
# Nothing but make and a Python of 3.11 or newer is taken from the machine; PYTHON=... chooses which.
# Written for POSIX sh and for GNU make from 3.81 on.

VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check -qq
TOOLS  := build/tools
UV     := 0.13.8
PYTHON ?=
JOBS   ?= 3
UNIT   := tests/triggers tests/config

.PHONY: help demo test soak check lint format style types imports unit chaos bench soundness lock upgrade clean

help:
	@echo 'make demo     play a year of real data through the real system'
	@echo 'make test     every test but those of make soak (JOBS=3 at a time: most of them wait)'
	@echo 'make soak     whole systems over minutes: backup and restore, upgrades, an absent broker, retention'
	@echo 'make check    format, lint, types, imports and the unit tests'
	@echo 'make chaos    kill, stop and starve everything, and prove that nothing came of it (under an hour)'
	@echo 'make bench    the benchmarks'
	@echo 'make soundness  the statistical promises, on 1,000 streams each (about an hour; docs/soundness.md)'
	@echo 'make lock     bring requirements/ in line with pyproject.toml; make upgrade takes newer releases'
	@echo 'make clean    remove .venv and everything else that was made'

demo: $(VENV)/run.stamp
	@$(BIN)/retraind demo

# Hundreds of processes import the same code: without its bytecode, which this variable forbids, each compiles it anew.
test soak: export PYTHONDONTWRITEBYTECODE =

test: $(VENV)/dev.stamp
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --durations=40 -m 'not soak'

soak: $(VENV)/dev.stamp
	@$(BIN)/python -m pytest -n $(JOBS) --durations=10 -m soak

check: lint unit

lint: format style types imports

format: $(VENV)/dev.stamp
	@$(BIN)/ruff format --check .

style: $(VENV)/dev.stamp
	@$(BIN)/ruff check .

types: $(VENV)/dev.stamp
	@$(BIN)/mypy

imports: $(VENV)/dev.stamp
	@$(BIN)/lint-imports

unit: $(VENV)/dev.stamp
	@$(BIN)/python -m pytest --quiet $(UNIT)

chaos: $(VENV)/dev.stamp
	@PYTHONPATH=.:tests $(BIN)/python tests/chaos $(CHAOS)

bench: $(VENV)/dev.stamp
	@$(BIN)/python -m benchmarks

# SOUNDNESS='power wild --streams 200' measures some parts, on fewer streams
soundness: $(VENV)/dev.stamp
	@$(BIN)/python -m benchmarks.soundness $(SOUNDNESS)

clean:
	rm -rf $(VENV) build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the environment: a stamp is older than what it was made from, or nothing is done

$(BIN)/python:
	@for candidate in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14); do \
	    "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	    "$$candidate" -c 'import ensurepip, venv' 2>/dev/null || { \
	        echo "$$candidate cannot make virtual environments; install its venv module (on Debian: apt-get install python3-venv)." >&2; \
	        exit 1; }; \
	    exec "$$candidate" -m venv --clear $(VENV); \
	done; \
	echo "$(or $(PYTHON),No python3 on the PATH) is no Python 3.11 or newer; install one, or name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; \
	exit 1

$(VENV)/run.stamp: requirements/run.lock requirements/build.lock pyproject.toml | $(BIN)/python
	@echo "Installing $$(grep -c == requirements/run.lock) pinned packages into $(VENV); this takes about 2 minutes, once."
	@$(PIP) install --require-hashes -r requirements/run.lock -r requirements/build.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.lock $(VENV)/run.stamp
	@echo "Installing the tools for tests and checks."
	@$(PIP) install --require-hashes -r requirements/dev.lock
	@touch $@

# --- the locks: dev.lock decides, the others are parts of it

COMPILE = $(TOOLS)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

$(TOOLS)/uv-$(UV).stamp: | $(BIN)/python
	@$(BIN)/python -m venv --clear $(TOOLS)
	@$(TOOLS)/bin/python -m pip --disable-pip-version-check -qq install uv==$(UV)
	@touch $@

lock: $(TOOLS)/uv-$(UV).stamp
	$(COMPILE) $(UPGRADE) pyproject.toml --group dev --output-file requirements/dev.lock
	$(COMPILE) pyproject.toml --constraints requirements/dev.lock --output-file requirements/run.lock
	$(COMPILE) --group build --constraints requirements/dev.lock --output-file requirements/build.lock

upgrade:
	@$(MAKE) lock UPGRADE=--upgrade
