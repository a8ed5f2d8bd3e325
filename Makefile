# The front door. Every target is complete from a bare checkout with Python >= 3.11 (with venv) and make:
#
#   make demo     a throw-away gateway, samples through every transport, every exchange printed
#   make test     all checks and tests that CI runs
#   make serve    the gateway on samples/gateway.toml
#
# and for those who change it: lint (and its parts ruff, types, imports), pytest, coverage, bench, bench-short,
# prove-short, lock, clean. Another interpreter: make test PYTHON=python3.13. Some tests only: make pytest ARGS='-k sys'.

SHELL := /bin/sh
.DEFAULT_GOAL := test
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: demo serve test lint ruff types imports pytest coverage bench bench-short prove-short lock clean same-python

# The first interpreter on PATH that is new enough.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
    "$$p" -c '$(NEW_ENOUGH)' 2>/dev/null && echo "$$p" && break; done)
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.stamp-runtime
TEST := $(VENV)/.stamp-test
# Nothing but the pinned, hashed files decides what is installed; pip speaks only of errors.
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

demo: $(RUNTIME)
	@$(BIN)/sekisho demo

serve: $(RUNTIME)
	@$(BIN)/sekisho serve -c samples/gateway.toml

test: lint pytest

lint: ruff types imports

ruff: $(TEST)
	@echo "ruff"
	@$(BIN)/ruff check --quiet .

# From inside .links: from the root the room codecs would hide the standard library's module. Benchmarks are scripts
# that import their neighbours by bare name, so they are read by themselves.
BENCHMARKS := $(wildcard benchmarks/*.py)
MYPY = ../$(BIN)/mypy --config-file ../pyproject.toml --cache-dir ../.mypy_cache --no-error-summary
types: $(TEST)
	@echo "mypy"
	@cd .links && $(MYPY)
	@$(if $(BENCHMARKS),cd .links && MYPYPATH=../benchmarks $(MYPY) $(addprefix ../,$(BENCHMARKS)))

imports: $(TEST)
	@echo "import-linter"
	@out=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$out"; exit 1; }

# Named last in `test`, so that the last line is pytest's.
pytest: $(TEST)
	@$(BIN)/pytest -n 2 $(ARGS)

coverage: $(TEST)
	@$(BIN)/pytest -n 2 --cov --cov-report=term $(ARGS)

bench: $(TEST)
	@$(BIN)/python benchmarks/run.py $(ARGS)

bench-short: $(TEST)
	@$(BIN)/python benchmarks/run.py --short

prove-short: $(RUNTIME)
	@$(BIN)/python -m sekisho.gateway.proof --cycles 200

# Pins with hashes of every published file, for the oldest Python we support; no index address is written down.
# The tool lives in a venv of its own: it wants another pip than the one it would replace.
LOCK := build/lock
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(LOCK)/bin/pip-compile --quiet --all-build-deps --generate-hashes \
    --strip-extras --allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links
lock:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	    { echo "make lock: pins are made with Python 3.11; use PYTHON=python3.11"; exit 1; }
	@echo "Pinning dependencies into requirements/ (UP=--upgrade takes the newest)"
	@"$(PYTHON)" -m venv --clear $(LOCK)
	@$(LOCK)/bin/python -m pip --disable-pip-version-check -qq install pip-tools==7.6.2
	@$(COMPILE) $(UP) --output-file requirements/runtime.txt pyproject.toml
	@$(COMPILE) $(UP) --extra test --constraint requirements/runtime.txt --output-file requirements/test.txt pyproject.toml

# The data of `make serve` (var) and reports stay.
clean:
	@rm -rf $(VENV) build dist ./*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
	    .coverage .coverage.* htmlcov
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@[ -n "$(PYTHON)" ] && "$(PYTHON)" -c '$(NEW_ENOUGH)' || \
	    { echo "sekisho needs Python 3.11 or newer; choose one with PYTHON=/path/to/python3"; exit 1; }
	@echo "Making $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv $(VENV)

# An interpreter asked for by name is not quietly replaced by the one that $(VENV) was made with.
VERSION := import sys; print(sys.version)
same-python: | $(BIN)/python
	@[ "$(origin PYTHON)" = file ] || \
	    [ "$$("$(PYTHON)" -c '$(VERSION)')" = "$$($(BIN)/python -c '$(VERSION)')" ] || \
	    { echo "$(VENV) was made with $$($(BIN)/python --version), not with $(PYTHON): make clean first"; exit 1; }

$(RUNTIME): requirements/runtime.txt pyproject.toml | same-python
	@echo "Installing what sekisho needs (requirements/runtime.txt)"
	@$(PIP) install --require-hashes -r requirements/runtime.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(TEST): requirements/test.txt $(RUNTIME)
	@echo "Installing what the tests need (requirements/test.txt)"
	@$(PIP) install --require-hashes -r requirements/test.txt
	@touch $@
