# `make help` lists the targets. PYTHON is what everything is built for and tested on; its tools go into .venv.
PYTHON ?= python3
PYTHONS ?= $(PYTHON)
ARGS ?=

VERSION := $(shell $(PYTHON) -c 'import sys; print(sys.version.split()[0] if sys.version_info >= (3, 11) else "")' 2>/dev/null)
VENV := .venv
BIN := $(VENV)/bin
CACHE := .cache
WHEELS := $(CACHE)/wheels
CPYTHON := $(CACHE)/cpython
# A stamp's name has the Python's version, so that another PYTHON makes .venv anew.
MADE := $(VENV)/.made-$(VERSION)
TOOLS := $(VENV)/.tools-$(VERSION)
INSTALLED := $(VENV)/.installed-$(VERSION)
SOURCES := $(shell find src python -name '*.rs' -o -name '*.py' -o -name '*.pyi' -o -name py.typed) Cargo.toml Cargo.lock build.rs

.DELETE_ON_ERROR:
.PHONY: help demo test lint build bench cpython cpython-all cpython-report uvloop-tests clean check-python check-cargo check-lint

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16
	@echo; echo "PYTHON=$(PYTHON) (any from 3.11 to 3.15), ARGS=... for test, bench and cpython"

check-python:
	@[ -n "$(VERSION)" ] || { echo "$(PYTHON) is not a Python >= 3.11: make PYTHON=/path/to/python3.X ..." >&2; exit 1; }

check-cargo:
	@cargo --version >/dev/null || { echo "Rust is needed: https://rustup.rs" >&2; exit 1; }

$(MADE): | check-python
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check 'pip>=25.1' 'maturin>=1.9,<2'
	@touch $@

$(TOOLS): $(MADE) pyproject.toml
	$(BIN)/python -m pip install -q --group dev
	@touch $@

$(INSTALLED): $(MADE) $(SOURCES) pyproject.toml README.md LICENSE | check-cargo
	rm -rf $(WHEELS)/own
	$(BIN)/maturin build --release --locked -q -i $(abspath $(BIN)/python) --out $(WHEELS)/own
	$(BIN)/python -m pip install -q --force-reinstall --no-deps $(WHEELS)/own/*.whl
	@touch $@

build: $(INSTALLED) ## build the release wheel and install it into .venv

demo: $(INSTALLED) ## run a real program on CPython, on the swap, on swap and loop, side by side
	$(BIN)/python examples/demo.py $(ARGS)

test: $(INSTALLED) $(TOOLS) ## all of the project's own tests
	$(BIN)/python -m pytest $(ARGS)

check-lint: check-cargo
	@cargo clippy --version >/dev/null && cargo fmt --version >/dev/null || \
		{ echo "clippy and rustfmt are needed: rustup component add clippy rustfmt" >&2; exit 1; }

lint: check-lint $(INSTALLED) $(TOOLS) ## rustfmt, clippy, ruff, mypy, and the stubs against the module
	cargo fmt --check
	PYO3_PYTHON=$(abspath $(BIN)/python) cargo clippy --locked --all-targets -- -D warnings
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy benches examples
	$(BIN)/python -m mypy.stubtest rasyncio

bench: $(INSTALLED) $(TOOLS) ## the benchmarks against CPython's asyncio (ARGS=--loop ... for other loops)
	$(BIN)/python -m pip install -q --group bench --group peers
	$(BIN)/python benches/run.py $(ARGS)

cpython: ## CPython's own asyncio tests on PYTHON, with the swap and without
	$(MAKE) cpython-all PYTHONS='$(PYTHON)'

cpython-all: $(MADE) | check-cargo ## the same on each of PYTHONS='PATH PATH...'
	rm -rf $(WHEELS)/cpython
	$(BIN)/maturin build --release --locked -q $(foreach python,$(PYTHONS),-i $(python)) --out $(WHEELS)/cpython
	$(BIN)/python tests/cpython/run.py --python $(PYTHONS) --wheel $(WHEELS)/cpython --work $(CPYTHON) --out $(CPYTHON)/results $(ARGS)

uvloop-tests: $(MADE) | check-cargo ## uvloop's own tests of asyncio's loop, on that one and on ours (downloads them)
	rm -rf $(WHEELS)/uvloop
	$(BIN)/maturin build --release --locked -q -i $(abspath $(BIN)/python) --out $(WHEELS)/uvloop
	$(BIN)/python tests/cpython/uvloop_suite.py --python $(shell command -v $(PYTHON)) --wheel $(WHEELS)/uvloop $(ARGS)

cpython-report: $(MADE) ## the last results of cpython and cpython-all as a Markdown table
	$(BIN)/python tests/cpython/report.py $(CPYTHON)/results/*.json $(ARGS)

clean: ## remove everything that make made
	rm -rf $(VENV) $(CACHE) target build dist
	find python tests benches examples -name __pycache__ -prune -exec rm -rf {} +
