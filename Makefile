# The same few commands for people and for CI. On a fresh machine Python 3.11+ (with venv) and make are enough.
SHELL := /bin/sh
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Another one than requirements/find-python would take.
PYTHON ?=

.PHONY: help install run test check chaos interop bench format pins clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

install: $(VENV)/.run ## the environment in .venv, the command at .venv/bin/idp

run: $(VENV)/.run ## the real service on an embedded PostgreSQL, set up by itself
	@exec $(BIN)/idp dev

test: $(VENV)/.test ## the whole suite, its own PostgreSQL included
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal $(ARGS)

chaos: $(VENV)/.test ## the fault promises at full count; takes hours
	$(BIN)/python -m pytest -m chaos $(ARGS)
	$(BIN)/python -m tests.rotation.soak --rotations 1000 --kills 200 --tokens 1000000 --rate 230

interop: $(VENV)/.test ## real third-party verifiers and clients
	$(BIN)/python -m pytest -m "not chaos" tests/interop tests/rotation/test_verifiers.py $(ARGS)

bench: $(VENV)/.test ## the speed promises B1 to B12 and G12 beside peers, as ratios; ONLY=B6 ROUNDS=3 SECONDS=6 SCALE=1
	@$(BIN)/python -m bench $(if $(ONLY),--only $(ONLY)) $(if $(ROUNDS),--rounds $(ROUNDS)) \
		$(if $(SECONDS),--seconds $(SECONDS)) $(if $(SCALE),--scale $(SCALE)) $(ARGS)

check: $(VENV)/.test ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.test ## rewrites the sources in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

pins: $(VENV)/.test ## resolves all pins anew, with hashes and without addresses
	$(PIN) --group pins -o requirements/uv.txt
	$(PIN) pyproject.toml --extra embedded --group lint --group test --group build --group pins -o requirements/test.txt
	$(PIN) -c requirements/test.txt pyproject.toml --extra embedded --group build -o requirements/run.txt
	$(PIN) -c requirements/test.txt pyproject.toml -o requirements/serve.txt
	$(PIN) -c requirements/test.txt --group build -o requirements/build.txt
	$(PIN) -c requirements/test.txt examples/resource_service/requirements.in -o examples/resource_service/requirements.txt
PIN = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links --no-emit-package idp-verifier --custom-compile-command "make pins"

clean: ## removes what the other targets made, except the data of `idp dev`
	rm -rf $(VENV) .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis node_modules dist build

# The stamps say which set of pins the environment holds. The project itself is installed from its source tree.
# uv does in a second what takes pip most of a minute; where it cannot work (a mirror that only pip is told of), pip does.
# Bytecode as from pip: who may not write here, or is told not to, would compile everything at every start.
define install
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode $(1) 2>/dev/null || $(PIP) install $(1)
endef

$(VENV)/.venv: requirements/uv.txt
	@python="$(PYTHON)"; test -n "$$python" || python=$$(requirements/find-python); \
	test -n "$$python" || { echo "idp needs Python 3.11 or later: install it, or name it with make PYTHON=/path/to/python3" >&2; exit 1; }; \
	echo "Setting up $(VENV) with $$python ..."; $$python -m venv $(VENV)
	@$(PIP) install --require-hashes --no-deps -r requirements/uv.txt
	@touch $@

$(VENV)/.run: $(VENV)/.venv requirements/run.txt pyproject.toml verifier/pyproject.toml
	@echo "Installing what the service needs ..."
	$(call install,--require-hashes --no-deps -r requirements/run.txt)
	$(call install,--no-deps --no-build-isolation -e . -e verifier)
	@touch $@

$(VENV)/.test: $(VENV)/.run requirements/test.txt
	@echo "Installing what the tests need ..."
	$(call install,--require-hashes --no-deps -r requirements/test.txt)
	@touch $@
