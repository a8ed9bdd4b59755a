# The same few commands for people and for CI. On a fresh machine Python 3.11+ (with venv) and make are enough.
SHELL := /bin/sh
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# The first interpreter that is new enough; `make PYTHON=/path/to/python3` overrides it.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

.PHONY: help install run test check format pins clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

install: $(VENV)/.run ## the environment in .venv, the command at .venv/bin/idp

run: $(VENV)/.run ## the real service on an embedded PostgreSQL, set up by itself
	@exec $(BIN)/idp dev

test: $(VENV)/.test ## the whole suite, its own PostgreSQL included
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.test ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.test ## rewrites the sources in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

pins: $(VENV)/.test ## resolves requirements/*.txt anew, with hashes and without addresses
	$(BIN)/uv pip compile $(PIN) pyproject.toml --extra embedded --group build --output-file requirements/run.txt
	$(BIN)/uv pip compile $(PIN) pyproject.toml --extra embedded --group lint --group test --group build --group pins --output-file requirements/test.txt
PIN := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-package idp-verifier \
	--no-annotate --upgrade --custom-compile-command "make pins"

clean: ## removes what the other targets made, except the data of `idp dev`
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis node_modules dist build

# The stamps say which set of pins the environment holds. The project itself is installed from its source tree.
$(VENV)/.venv:
	@test -n "$(PYTHON)" || { echo "idp needs Python 3.11 or later: install it, or name it with make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Setting up $(VENV) with $(PYTHON) ..."
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.venv requirements/run.txt pyproject.toml verifier/pyproject.toml
	@echo "Installing what the service needs ..."
	@$(PIP) install --require-hashes --no-deps -r requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation -e . -e verifier
	@touch $@

$(VENV)/.test: $(VENV)/.run requirements/test.txt
	@echo "Installing what the tests need ..."
	@$(PIP) install --require-hashes --no-deps -r requirements/test.txt
	@touch $@
