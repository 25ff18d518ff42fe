# Each target does all its own set-up.
.PHONY: help setup build demo test browser-test bench ledger

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

setup:
	@scripts/setup

build: setup ## the release binary, target/release/pingora-proxy
	cargo build --release --locked

demo: setup ## a service A and the proxy in front of it, on http://127.0.0.1:8080
	cargo run --release --locked -- demo

test: setup ## every test
	cargo test --locked

browser-test: setup ## the demo's page in a real browser, through the proxy
	scripts/browser-test

ledger: setup ## a hundred upgrades under traffic of every kind, and what others lose
	cargo test --release --locked --test ledger -- --ignored --nocapture --test-threads=1

bench: setup ## the cost of finding a route, and of choosing a server
	cargo bench --locked
