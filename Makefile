# `make help` lists the targets. PYTHON is what everything is built for and tested on; its tools go into .venv.
PYTHON ?= python3
PYTHONS ?= $(PYTHON)
ARGS ?=
# Processes that tests run in; 0: in pytest's own, for a debugger. What must stay in one process is an xdist_group.
WORKERS ?= auto
BENCH ?=
QUICK ?=
MINUTES ?= 10
# The cargo profile of what .venv has; "checked" has debug assertions.
PROFILE ?= release

VERSION := $(shell $(PYTHON) -c 'import sys; print(sys.version.split()[0] if sys.version_info >= (3, 11) else "")' 2>/dev/null)
VENV := .venv
BIN := $(VENV)/bin
CACHE := .cache
WHEELS := $(CACHE)/wheels
CPYTHON := $(CACHE)/cpython
# A stamp's name has the Python's version, so that another PYTHON makes .venv anew.
MADE := $(VENV)/.made-$(VERSION)
TOOLS := $(VENV)/.tools-$(VERSION)
INSTALLED := $(VENV)/.installed-$(VERSION)-$(PROFILE)
PEERS := $(VENV)/.peers-$(VERSION)
BENCHED := build/bench
GUARD := $(CACHE)/guard
COMMA := ,
GUARD_PYTHON ?= $(PYTHON)
FLOOR := benches/floor/Cargo.toml
WIRE := benches/network/wire/Cargo.toml
BRIDGE := examples/tokio_bridge/Cargo.toml
SOURCES := $(shell find src python -name '*.rs' -o -name '*.py' -o -name '*.pyi' -o -name py.typed -o -path '*/page/*') Cargo.toml Cargo.lock build.rs

.DELETE_ON_ERROR:
.PHONY: help demo test test-tools fuzz lint build wheel bench bench-network bench-growth bench-report bench-guard cpython cpython-all cpython-report uvloop-tests supply-chain leaks soak soak-doorbell memcheck bench-bridge docs docs-serve diagrams pictures clean check-python check-cargo check-lint

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
	$(BIN)/maturin build --profile $(PROFILE) --locked -q -i $(abspath $(BIN)/python) --out $(WHEELS)/own
	$(BIN)/python -m pip install -q --force-reinstall --no-deps $(WHEELS)/own/*.whl
	@rm -f $(VENV)/.installed-* && touch $@

build: $(INSTALLED) ## build the wheel and install it into .venv (PROFILE=checked: with debug assertions)

# The linker is zig's, which links for an older glibc than this machine has: what the wheel asks for is then what
# .github/workflows/wheels.yml's ask for. In a virtual environment of its own, as zig is large.
WHEEL_TOOLS := $(CACHE)/wheel-tools
WHEEL_TOOLS_MADE := $(WHEEL_TOOLS)/.made-$(VERSION)
WHEEL := $(WHEELS)/release

$(WHEEL_TOOLS_MADE): pyproject.toml | check-python
	$(PYTHON) -m venv --clear $(WHEEL_TOOLS)
	$(WHEEL_TOOLS)/bin/python -m pip install -q --disable-pip-version-check 'pip>=25.1'
	$(WHEEL_TOOLS)/bin/python -m pip install -q --group wheel
	@touch $@

# TARGET names another platform, as rustup does (`rustup target add TARGET` first); what has no Python here is not run.
wheel: $(WHEEL_TOOLS_MADE) | check-cargo ## the wheel for PYTHON as it is published: build it, check it, install it where there is no Rust (TARGET=...: another platform's)
	rm -rf $(WHEEL)
	PATH="$(abspath $(WHEEL_TOOLS)/bin):$$PATH" maturin build --release --locked -q --zig $(if $(TARGET),--target $(TARGET)) \
		--compatibility $(if $(findstring musl,$(TARGET)),musllinux_1_2,manylinux_2_28) \
		-i $(if $(TARGET),$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'),$(shell command -v $(PYTHON))) --out $(WHEEL)
	$(WHEEL_TOOLS)/bin/python tools/check_wheel $(WHEEL)/*.whl $(if $(TARGET),,$(shell command -v $(PYTHON)))

demo: $(INSTALLED) ## run a real program on CPython, on the swap, on swap and loop, side by side
	$(BIN)/python examples/demo.py $(ARGS)

PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist

test: $(INSTALLED) $(TOOLS) ## our own tests of what rasyncio does (ARGS chooses which)
	$(PYTEST) loadgroup $(ARGS)

test-tools: $(INSTALLED) $(TOOLS) ## our own tests of the benchmarks, of the tools, and of what must be built for them
	$(PYTEST) loadfile tests/tools $(ARGS)

fuzz: $(INSTALLED) $(TOOLS) ## random programs on CPython's asyncio and ours, for SECONDS=... (KIND=tasks, network, tls, datagrams, pipes or graft: of one kind); SEED=... or PROGRAM=FILE: once more
	PYTHONPATH=tests $(BIN)/python -m $(if $(filter graft,$(KIND)),graft,differential).fuzz --seconds $(or $(SECONDS),60) \
		$(if $(filter-out graft,$(KIND)),--kind $(KIND)) $(if $(SEED),--seed $(SEED)) $(if $(PROGRAM),--program $(PROGRAM))

check-lint: check-cargo
	@cargo clippy --version >/dev/null && cargo fmt --version >/dev/null || \
		{ echo "clippy and rustfmt are needed: rustup component add clippy rustfmt" >&2; exit 1; }

lint: check-lint $(INSTALLED) $(TOOLS) ## rustfmt, clippy, ruff, mypy, and the stubs against the module
	cargo fmt --check
	cargo fmt --check --manifest-path $(FLOOR)
	cargo fmt --check --manifest-path $(WIRE)
	cargo fmt --check --manifest-path $(BRIDGE)
	PYO3_PYTHON=$(abspath $(BIN)/python) cargo clippy --locked --all-targets -- -D warnings
	PYO3_PYTHON=$(abspath $(BIN)/python) cargo clippy --locked --all-targets --features counted-clock -- -D warnings
	PYO3_PYTHON=$(abspath $(BIN)/python) cargo clippy --locked --all-targets --manifest-path $(FLOOR) \
		--target-dir $(CACHE)/floor/clippy -- -D warnings
	cargo clippy --locked --all-targets --manifest-path $(WIRE) --target-dir $(CACHE)/wire/clippy -- -D warnings
	PYO3_PYTHON=$(abspath $(BIN)/python) cargo clippy --locked --all-targets --manifest-path $(BRIDGE) \
		--target-dir $(CACHE)/tokio_bridge/clippy -- -D warnings
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest rasyncio

# What the benchmarks compare with. One that cannot be had is said, and shown as absent.
$(PEERS): $(TOOLS)
	$(BIN)/python -m benches.install_peers
	@touch $@

bench: $(INSTALLED) $(PEERS) ## the benchmark: all implementations side by side (QUICK=1: a minute or two; BENCH=name: one workload)
	$(BIN)/python -m benches.speed --impl all $(if $(BENCH),--bench $(BENCH)) \
		$(if $(QUICK),--quick --rounds 1 --clock cpu --no-control $(if $(BENCH),,--group micro)) $(ARGS)

bench-network: $(INSTALLED) $(PEERS) ## servers and clients on all implementations (QUICK=1: minutes; BENCH='name...': these)
	$(BIN)/python -m benches.network $(if $(QUICK),--quick) $(if $(BENCH),--case $(BENCH)) $(ARGS)

bench-bridge: $(INSTALLED) $(PEERS) ## awaiting Rust's futures, and Rust awaiting coroutines, on all implementations
	$(BIN)/python -m benches.speed.bridge $(ARGS)

bench-growth: $(INSTALLED) $(PEERS) ## how time and memory grow with the number of tasks, timers, connections
	$(BIN)/python -m benches.growth $(ARGS)

# $(call guard-build,DIRECTORY,FEATURES): a build of its own in DIRECTORY: its clock counts, it has the functions' names.
define guard-build
	rm -rf $(1) && mkdir -p $(1)
	PYO3_PYTHON=$(shell command -v $(GUARD_PYTHON)) PYO3_BUILD_EXTENSION_MODULE=1 \
		cargo build --release --locked -q --features $(2) --target-dir $(GUARD)
	cp -r python/rasyncio $(1) && rm -f $(1)/rasyncio/*.so
	cp $(GUARD)/release/lib_asyncio.so $(1)/rasyncio/_asyncio.so
endef

bench-guard: $(TOOLS) | check-cargo ## count the instructions of hot workloads on GUARD_PYTHON, fail if they have become more
	$(call guard-build,$(GUARD)/python,counted-clock)
	PYTHONPATH=$(GUARD)/python $(BIN)/python -m benches.instructions.guard --python $(GUARD_PYTHON) $(ARGS)

bench-counting: $(TOOLS) | check-cargo ## count on GUARD_PYTHON what it costs that the loop counts for loop.stats()
	$(call guard-build,$(GUARD)/counted,counted-clock)
	$(call guard-build,$(GUARD)/uncounted,counted-clock$(COMMA)uncounted)
	$(BIN)/python -m benches.instructions.counting --python $(GUARD_PYTHON) --builds $(GUARD)/counted $(GUARD)/uncounted $(ARGS)

bench-report: $(INSTALLED) $(PEERS) ## speed, network and growth, into benches/README.md and docs/performance.md, with the charts (hours)
	rm -rf $(BENCHED)/speed
	$(BIN)/python -m benches.speed --impl all --json $(BENCHED)/speed --update docs/performance.md benches/README.md $(ARGS)
	$(BIN)/python -m benches.network --instructions --json $(BENCHED)/network.json --update docs/performance.md benches/README.md
	$(BIN)/python -m benches.growth --json $(BENCHED)/growth.json --update benches/README.md
	$(BIN)/python -m benches.report.charts $(BENCHED)
	$(BIN)/python -m benches.report.front

cpython: ## CPython's own asyncio tests on PYTHON, with the swap and without
	$(MAKE) cpython-all PYTHONS='$(PYTHON)'

cpython-all: $(MADE) | check-cargo ## the same on each of PYTHONS='PATH PATH...'
	rm -rf $(WHEELS)/cpython
	$(BIN)/maturin build --release --locked -q $(foreach python,$(PYTHONS),-i $(python)) --out $(WHEELS)/cpython
	$(BIN)/python tests/cpython/run.py --python $(PYTHONS) --wheel $(WHEELS)/cpython --work $(CPYTHON) --out $(CPYTHON)/results $(ARGS)

# Where debug builds of Python are, or are put. A venv of 3.13 wants to know them by their real names.
RASYNCIO_PYTHONS ?= $(HOME)/.cache/rasyncio-pythons
DEBUG_PYTHONS ?= $(RASYNCIO_PYTHONS)/python3.14-dbg $(RASYNCIO_PYTHONS)/python3.13-dbg

$(RASYNCIO_PYTHONS)/python%-dbg:
	tools/get-pythons $(RASYNCIO_PYTHONS) $*-dbg

leaks: $(INSTALLED) $(TOOLS) $(DEBUG_PYTHONS) ## hunt for leaks: CPython's -R 3:3 on DEBUG_PYTHONS; ten million tasks (an hour)
	RASYNCIO_FULL_LEAK_TESTS=1 $(BIN)/python -m pytest -s tests/hardening/test_leaks.py
	rm -rf $(WHEELS)/leaks
	$(BIN)/maturin build --release --locked -q $(foreach python,$(DEBUG_PYTHONS),-i $(python)) --out $(WHEELS)/leaks
	$(BIN)/python tests/cpython/run.py --leaks --python $(realpath $(DEBUG_PYTHONS)) --wheel $(WHEELS)/leaks --work $(CPYTHON) \
		--out $(CPYTHON)/leaks $(ARGS)

soak: $(INSTALLED) ## everything at random on our loop for MINUTES: nothing may be lost or pile up
	$(BIN)/python tests/tools/soak.py --minutes $(MINUTES) $(ARGS)

EVENTS ?= 1000000
soak-doorbell: $(INSTALLED) $(TOOLS) ## EVENTS (a million) from each kind of sender: none may be seen late
	RASYNCIO_DOORBELL_EVENTS=$(EVENTS) $(BIN)/python -m pytest -n 0 -rP tests/loop/test_loop_doorbell.py $(ARGS)

memcheck: $(INSTALLED) $(TOOLS) ## our own tests under valgrind (ARGS chooses others than a quarter of an hour of them)
	$(BIN)/python tests/tools/memcheck.py $(ARGS)

uvloop-tests: $(MADE) | check-cargo ## uvloop's own tests of asyncio's loop, on that one and on ours (downloads them)
	rm -rf $(WHEELS)/uvloop
	$(BIN)/maturin build --release --locked -q -i $(abspath $(BIN)/python) --out $(WHEELS)/uvloop
	$(BIN)/python tests/cpython/uvloop_suite.py --python $(shell command -v $(PYTHON)) --wheel $(WHEELS)/uvloop $(ARGS)

cpython-report: $(MADE) ## the last results of cpython and cpython-all as a Markdown table
	$(BIN)/python tests/cpython/report.py $(CPYTHON)/results/*.json $(ARGS)

# The tools are brought by `cargo install --locked cargo-deny cargo-audit`. Licences, sources and duplicates need no
# network; the advisories are in a repository on GitHub, which ADVISORIES= leaves out.
ADVISORIES ?= advisories
supply-chain: check-cargo ## licences, sources, duplicates, advisories of the crates (cargo-deny, cargo-audit)
	cargo deny --locked check $(ADVISORIES) bans licenses sources
	$(if $(ADVISORIES),cargo audit)

DOCS := $(VENV)/.docs-$(VERSION)
$(DOCS): $(MADE) pyproject.toml
	$(BIN)/python -m pip install -q --group docs
	@touch $@

# Strict: a link or an anchor that leads nowhere fails. The notice is of mkdocs-material's about its successor.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs
docs: $(DOCS) ## the documentation's site, into build/site
	$(MKDOCS) build -q

docs-serve: $(DOCS) ## the site on http://127.0.0.1:8000/, built anew as its pages change
	$(MKDOCS) serve

# Needs Debian's graphviz.
pictures: $(INSTALLED) $(TOOLS) ## the pictures of docs/seeing-inside.md, of a program that runs for a minute (Chromium)
	$(BIN)/python tools/pictures.py

diagrams: ## the diagrams of docs/diagrams/, from what describes them
	for each in docs/diagrams/*.dot; do dot -Tsvg $$each -o $${each%.dot}.svg || exit 1; done

clean: ## remove everything that make made
	rm -rf $(VENV) $(CACHE) target build dist
	find python tests benches examples -name __pycache__ -prune -exec rm -rf {} +
