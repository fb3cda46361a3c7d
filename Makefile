# What one does with toolgate. `make` lists it.
.DEFAULT_GOAL := help
PYTHON := .tools/mcp2/bin/python

# End to end, and in the demo, runs the program that the Rust suite runs: its objects are there already, while a release
# build would compile everything once more. RELEASE=1 takes that instead, as it is run.
BINARY := $(if $(RELEASE),target/release/toolgate,target/debug/toolgate)

.PHONY: help build program test unit soak mutants e2e demo bench fmt lint tools clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## the release binary
	cargo build --locked --release

# With the test beside it, because the dependencies' features are then those of the suite, and nothing is built twice.
program:
	cargo build --locked --bin toolgate $(if $(RELEASE),--release,--test tests)

test: unit e2e ## everything: the Rust suite, then the real Envoy and real MCP clients

unit: ## the Rust suite
	cargo test --locked

soak: build ## reloads, kills, floods and full disks under load, against the release build; 80 minutes; ARGS=of_kills picks
	TOOLGATE=$(CURDIR)/$(BINARY) cargo test --locked --test tests -- --ignored --nocapture --test-threads 1 soak_$(ARGS)

mutants: ## whether a test notices each guard of tokens and policies that is switched off; forty minutes; ARGS="--only jws" picks
	python3 scripts/mutants.py --target target/mutants $(ARGS)

e2e: program tools ## the real Envoy and real MCP clients only; ARGS="-k denied" picks, RELEASE=1 tests the release binary
	TOOLGATE=$(CURDIR)/$(BINARY) $(PYTHON) -m pytest e2e $(ARGS)

demo: program ## three people, two MCP servers, one Envoy; ONCE=1 stops by itself
	@scripts/tools.sh envoy mcp1 mcp2
	@TOOLGATE=$(CURDIR)/$(BINARY) $(PYTHON) demo/run.py $(if $(ONCE),--once)

bench: ## one core of toolgate against a bare server on the same core; ARGS="--rounds 1" picks
	cargo build --locked --release --bin toolgate --example bench
	python3 bench/run.py $(ARGS)

fmt: ## formats
	cargo fmt

lint: ## formatting and clippy, warnings denied
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

tools: ## the real Envoy, MCP SDKs and an authorization server, into .tools/
	@scripts/tools.sh

clean: ## removes what was built and fetched
	cargo clean
	rm -rf .tools .demo
