# Two commands are all it takes: `make serve` and `make test`. `make help` lists the others.
#
#   PYTHON  the Python to build for: CPython 3.11 or later with a shared library
#   VENV    the environment to build into
#   ARGS    more arguments, for `make serve`, `make test`, `make test-asan` and `make bench`

# Apache's children, which are not root, can read the system's Python; root's own they cannot.
ifeq ($(origin PYTHON),undefined)
PYTHON := $(if $(filter 0,$(shell id -u)),/usr/bin/python3,python3)
VENV ?= .venv
else ifeq ($(origin VENV),undefined)
# Asked once. A Python that is not there is installed now, if it can be, for its version is in the name.
ask = $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'
VERSION := $(shell $(ask) 2>/dev/null)
ifeq ($(VERSION)$(filter help clean,$(or $(MAKECMDGOALS),help)),)
VERSION := $(shell { command -v $(PYTHON) >/dev/null || sh scripts/get_python.sh $(PYTHON) >&2; } && $(ask))
$(if $(VERSION),,$(error $(PYTHON) does not run))
endif
VENV := .venv-$(VERSION)
endif
ASAN_VENV ?= $(VENV)-asan
PORT ?= 8080
ARGS ?=
# Tests spend much of their time waiting: two workers for each core. ARGS=-n0 runs them in turn.
JOBS ?= 4
PYTEST = -m pytest -n $(JOBS) --dist loadfile

SANITIZE = -Csetup-args=-Db_sanitize=address,undefined -Csetup-args=-Doptimization=1 \
	-Csetup-args=-Db_ndebug=false

BIN = $(VENV)/bin
BUILD = build/$(notdir $(abspath $(VENV)))
SOURCES := meson.build pyproject.toml $(wildcard core/*) include/mod_python.h scripts/find_apxs.py \
	$(shell find src -name __pycache__ -prune -o -print)
C_FILES := $(wildcard core/*.[ch] include/*.h)

.PHONY: help serve test test-asan build-asan soak stress restarts faults fuzz lint format bench bench-peers bench-instructions docs build clean
.SUFFIXES:

help:
	@echo 'make serve      build, then serve examples/ on http://127.0.0.1:$(PORT)/ until Ctrl-C'
	@echo 'make test       build, then run every test'
	@echo 'make test-asan  the same with the module under AddressSanitizer and UBSan'
	@echo 'make soak       many requests of every kind: nothing grows'
	@echo 'make stress     many threads, several interpreters, modules that change'
	@echo 'make restarts   graceful restarts: alone, and under load'
	@echo 'make faults     what goes wrong in a child or at a client'
	@echo 'make fuzz       parsers and streams on what a fuzzer makes up'
	@echo '                each of these five a little; with ARGS=--full as docs/reliability.md says'
	@echo 'make lint       check formatting, style and types'
	@echo 'make format     format the sources'
	@echo 'make bench      measure, as ratios to a C module'
	@echo 'make bench-peers         install what make bench compares with'
	@echo 'make bench-instructions  count instructions per request'
	@echo 'make docs       build the documentation into docs/_build/html'
	@echo 'make build      only set up and build, into $(VENV)'
	@echo 'make clean      remove what was built'
	@echo 'Set PYTHON=/path/to/python3 to build for another Python, VENV=dir into another environment.'

# With job control the server has Ctrl-C for itself, and its exit status is make's.
serve: build
	@serve="$(BIN)/kukulkan serve examples --port $(PORT) $(ARGS)"; \
	if [ -t 0 ]; then set -m; $$serve; else exec $$serve; fi

test: build $(VENV)/.group-test
	$(BIN)/python $(PYTEST) $(ARGS)

build-asan:
	@$(MAKE) build $(ASAN_VENV)/.group-test VENV=$(ASAN_VENV) \
		SETUP_ARGS='$(SANITIZE)'

test-asan: build-asan
	KUKULKAN_ASAN=1 $(ASAN_VENV)/bin/python $(PYTEST) $(ARGS)

# Each also with ARGS=--full, as long as docs/reliability.md says.
RELIABILITY = $(BIN)/python -m pytest -rA -n $(RELIABILITY_JOBS) --dist load
RELIABILITY_JOBS = 0
soak: build $(VENV)/.group-test
	$(RELIABILITY) tests/reliability/test_soak.py $(ARGS)

stress: build $(VENV)/.group-test
	$(RELIABILITY) tests/reliability/test_threads.py $(ARGS)

restarts: build $(VENV)/.group-test
	$(RELIABILITY) tests/reliability/test_restarts.py $(ARGS)

faults: RELIABILITY_JOBS = $(JOBS)
faults: build $(VENV)/.group-test
	$(RELIABILITY) tests/reliability/test_faults.py tests/reliability/test_forks_and_threads.py $(ARGS)

fuzz: RELIABILITY_JOBS = 2
fuzz: build build-asan $(VENV)/.group-test $(VENV)/.group-fuzz
	$(RELIABILITY) tests/reliability/test_fuzz.py tests/reliability/test_streams.py $(ARGS)
	KUKULKAN_ASAN=1 $(ASAN_VENV)/bin/python -m pytest -rA tests/reliability/test_streams.py $(ARGS)

lint: $(VENV)/.group-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict src
	$(BIN)/clang-format --dry-run -Werror $(C_FILES)

format: $(VENV)/.group-lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(C_FILES)

bench: build $(VENV)/.group-bench
	$(BIN)/python benchmarks/run.py $(ARGS)

bench-peers: build
	$(BIN)/python benchmarks/install_peers.py

bench-instructions: build $(VENV)/.group-test
	$(BIN)/python benchmarks/instructions.py $(ARGS)

docs: build $(VENV)/.group-docs
	$(BIN)/sphinx-build -q -W --keep-going docs docs/_build/html

build: $(VENV)/.built

clean:
	rm -rf build dist docs/_build .venv .venv-* .mypy_cache .pytest_cache .ruff_cache

# Stamps: a step runs again when what it was made from is newer.
$(VENV)/.built: $(SOURCES) $(VENV)/.set-up
	@echo 'Building the module for $(VENV) ...'
	@mkdir -p build
	@umask 022; PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps \
		--no-build-isolation -Cbuild-dir=$(BUILD) $(SETUP_ARGS) .
	@touch $@

$(VENV)/.set-up: pyproject.toml scripts/set_up.py
	@command -v $(PYTHON) >/dev/null || sh scripts/get_python.sh $(PYTHON)
	@$(PYTHON) scripts/set_up.py --venv $(VENV)
	@touch $@

$(VENV)/.group-%: $(VENV)/.set-up
	@$(PYTHON) scripts/set_up.py --venv $(VENV) --group $*
	@touch $@
