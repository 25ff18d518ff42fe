# Where `install` puts things, and the program that it takes.
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
PROGRAM ?= target/release/pingora-proxy
export DESTDIR PREFIX SYSCONFDIR PROGRAM

# Each target does all its own set-up.
.PHONY: help setup build pgo install uninstall demo test browser-test store-test metrics-test otlp-test oidc-test overload ledger floods hazards fuzz bench instructions microbench

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

setup:
	@scripts/setup

build: setup ## the release binary, target/release/pingora-proxy
	cargo build --release --locked

pgo: setup ## target/pgo/pingora-proxy, built by what a run says of the code: a fifth fewer instructions, 40 minutes
	scripts/build-pgo

install: ## the program, systemd unit, man page, completions and a first configuration (DESTDIR, PREFIX, SYSCONFDIR)
	@test -x "$(PROGRAM)" || $(MAKE) build
	@scripts/install

uninstall: ## all of that but the configuration
	@scripts/install remove

demo: setup ## a service A and the proxy in front of it, on http://127.0.0.1:8080
	cargo run --release --locked -- demo

test: setup ## every test
	cargo test --locked

browser-test: setup ## the demo's page in a real browser, through the proxy
	scripts/browser-test

store-test: setup ## limits that several proxies share, with a real Redis
	scripts/store-test

metrics-test: setup ## a real Prometheus scrapes the proxy and evaluates the alert rules
	scripts/metrics-test

otlp-test: setup ## spans for a real OpenTelemetry collector, and for the protocol's own parser
	scripts/otlp-test

oidc-test: setup ## logins and logouts with a real, certified provider of OpenID Connect
	scripts/oidc-test

overload: setup ## five times as many requests as a service can take, for a minute
	cargo test --release --locked --test overload -- --ignored --nocapture --test-threads=1

ledger: setup ## a hundred upgrades under traffic of every kind, and what others lose
	cargo test --release --locked --test ledger -- --ignored --nocapture --test-threads=1

floods: setup ## a minute of each flood of HTTP/2 frames, beside an honest client
	cargo test --release --locked --test floods -- --ignored --nocapture

hazards: setup ## docs/hazards.md: hostile requests here, in nginx and in HAProxy
	scripts/bench-setup hazards
	cargo test --locked --test conformance -- --ignored the_page_is_written

fuzz: setup ## each fuzz target for a minute (SECONDS=600 for longer, TARGET=name for one); needs nightly Rust
	scripts/fuzz $(or $(SECONDS),60) $(TARGET)

bench: build ## a request's cost here and in other proxies (ARGS=--help tells more)
	scripts/bench-setup rivals
	PATH="$$PATH:/usr/sbin" cargo bench --locked --bench compare -- $(ARGS)

instructions: build ## that a request costs no more instructions than it did
	scripts/bench-setup instructions
	cargo bench --locked --profile dev --bench compare -- instructions $(ARGS)

microbench: setup ## the cost of finding a route, and of choosing a server
	cargo bench --locked --bench routes --bench balance
