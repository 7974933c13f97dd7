# Everything a person types. `make` alone lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# Any Python >= 3.11; the lock files were resolved for 3.11, so that one is asked first.
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python3.14; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$p; break; }; done)
BIN := .venv/bin
PY := $(BIN)/python
SOURCES := services gateway clients/python deploy bench tests proto/generate.py
EXISTING = $(wildcard $(SOURCES))

.PHONY: help
help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: python
python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and none was found. On Debian: apt-get install python3"; exit 1; }

.PHONY: platform
platform: python
	@$(PYTHON) -m deploy.local.install platform

.PHONY: install
install: python  ## Make .venv with everything the checks and tests need, by the lock files' hashes
	@$(PYTHON) -m deploy.local.install tests

.PHONY: lock
lock: install  ## Resolve the requirements*.in files anew into their locks
	$(BIN)/uv pip compile -q --generate-hashes --no-header --python-version 3.11 requirements.in -o requirements.lock
	$(BIN)/uv pip compile -q --generate-hashes --no-header --python-version 3.11 requirements-local.in -o requirements-local.lock
	$(BIN)/uv pip compile -q --generate-hashes --no-header --python-version 3.11 requirements-dev.in -o requirements-dev.lock

.PHONY: proto
proto: install  ## Generate the stubs from proto/kyso/v1
	$(PY) proto/generate.py

.PHONY: proto-check
proto-check: install  ## Check that the committed stubs are what the contract generates
	$(PY) proto/generate.py --check

.PHONY: fmt
fmt: install  ## Format the code and mend what can be mended by itself
	$(BIN)/ruff format $(EXISTING)
	$(BIN)/ruff check --fix $(EXISTING)

.PHONY: lint
lint: install  ## Lint and check the format
	$(BIN)/ruff check $(EXISTING)
	$(BIN)/ruff format --check $(EXISTING)

.PHONY: types
types: install  ## Check the types, strictly
	$(BIN)/mypy $(EXISTING)

.PHONY: imports
imports: install  ## Check who imports whom
	$(BIN)/lint-imports

.PHONY: check
check: lint types imports proto-check  ## lint, types, imports, proto-check

.PHONY: tools
tools: install
	@$(PY) -m deploy.local tools

# Programs that were unpacked for a user who may not install are found here.
test-unit test conformance faults fuzz bench pictures: export PATH := $(CURDIR)/var/packages/bin:$(PATH)

.PHONY: test-unit
test-unit: tools  ## Run the tests that need no server
	$(BIN)/pytest tests/unit tests/architecture

.PHONY: test
test: tools  ## Run the whole suite against real parts, a file at a time on each core
	$(BIN)/pytest --numprocesses logical --maxprocesses 4 --dist loadfile

# Documents that nobody here made; they are not part of the repository.
CORPORA ?= ../shared/corpora

.PHONY: conformance
conformance: tools  ## Sign and judge documents that others made; CORPORA= names their folder
	CORPORA=$(CORPORA) PYTHON=$(PY) tests/conformance/score.sh
	CORPORA=$(CORPORA) $(BIN)/pytest tests/conformance

.PHONY: faults
faults: tools  ## Run the fault tests with their full counts
	KYSO_FAULTS=full $(BIN)/pytest -s -o timeout=3600 -o faulthandler_timeout=3600 tests/faults

FUZZ_SECONDS ?= 3600

.PHONY: fuzz
fuzz: tools  ## Judge over 20,000 mutants of signed documents and every bit of some, then fuzz for an hour (FUZZ_SECONDS=)
	KYSO_MUTANTS=350 KYSO_BIT_STEP=1 $(BIN)/pytest -o timeout=1800 -o faulthandler_timeout=1900 tests/integration/verifier/test_mutations.py
	CORPORA=$(CORPORA) $(PY) -W ignore -m tests.fuzz --seconds $(FUZZ_SECONDS)

.PHONY: bench
bench: tools  ## Measure, print a table, write var/bench.json
	$(PY) -m bench

.PHONY: pictures
pictures: tools  ## Draw an example of each visible signature into var/pictures
	$(PY) -m tests.support.pictures var/pictures

.PHONY: run
run: platform  ## Start the platform on this machine, with demo data; it stays up
	@exec $(PY) -m deploy.local run

.PHONY: demo
demo: platform  ## Sign and verify a real PDF on a platform of its own (PDF=path for your file)
	@exec $(PY) -m deploy.local demo $(if $(PDF),--pdf "$(PDF)")

.PHONY: stop
stop:  ## Stop the platform that `make run` started
	@test ! -x $(PY) || $(PY) -m deploy.local stop

.PHONY: clean
clean: stop  ## Remove all state: databases, tokens, logs, the demo's files
	rm -rf var

.PHONY: clean-all
clean-all: clean  ## clean, and the Python environment and caches too
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
