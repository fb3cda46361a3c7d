# What one does with toolgate. `make` lists it.
.DEFAULT_GOAL := help
PYTHON := .tools/mcp2/bin/python

# The suite and the demo run the release build: it is what people run, the demo builds it anyway, and one such build
# costs less than a second set of objects for the sake of the suite.
BINARY := target/release/toolgate

.PHONY: help build test unit soak mutants e2e demo bench fmt lint tools clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## the release binary
	cargo build --locked --release

test: unit e2e ## everything: the Rust suite, then the real Envoy and real MCP clients

unit: ## the Rust suite
	cargo test --locked

soak: ## 10,000 reloads under load against the program as it is run; an hour; TOOLGATE_SOAK=2000 for fewer
	cargo test --locked --test tests -- --ignored --nocapture soak_

mutants: ## whether a test notices each guard of tokens and policies that is switched off; forty minutes; ARGS="--only jws" picks
	python3 scripts/mutants.py --target target/mutants $(ARGS)

e2e: build tools ## the real Envoy and real MCP clients only; ARGS="-k denied" picks
	TOOLGATE=$(CURDIR)/$(BINARY) $(PYTHON) -m pytest e2e $(ARGS)

demo: build ## three people, two MCP servers, one Envoy; ONCE=1 stops by itself
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
