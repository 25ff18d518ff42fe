# Each target does all its own set-up.
.PHONY: help setup build demo test

help: ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

setup:
	@scripts/setup

build: setup ## the release binary, target/release/pingora-proxy
	cargo build --release --locked

demo: setup ## a service A and the proxy in front of it, on http://127.0.0.1:8080
	cargo run --release --locked -- demo

test: setup ## every test
	cargo test --locked
