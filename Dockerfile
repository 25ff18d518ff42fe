# The image holds the program, its configuration and what the base brings: no shell,
# no package manager, not root.
#
#   docker build -t pingora-proxy .
#   docker run -p 8080:8080 -e UPSTREAM=app:3000 pingora-proxy
#
# Without the subcommand `demo` and the web framework that only it needs:
#
#   docker build --build-arg FEATURES=--no-default-features -t pingora-proxy .

FROM docker.io/library/rust:1-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake make gcc g++ \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
ARG FEATURES=

# A layer of its own for the dependencies: it is built again only when they change.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches/compare \
    && echo 'fn main() {}' | tee src/main.rs benches/routes.rs benches/balance.rs > benches/compare/main.rs \
    && touch src/lib.rs \
    && cargo build --release --locked $FEATURES --bin pingora-proxy \
    && rm -r src

COPY src src
# Older than the layer above, the sources would be taken for built.
RUN touch src/main.rs src/lib.rs \
    && cargo build --release --locked $FEATURES --bin pingora-proxy \
    && mkdir /run/pingora-proxy

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /build/target/release/pingora-proxy /usr/local/bin/pingora-proxy
COPY conf/container.yaml /etc/pingora-proxy/proxy.yaml
# For the pid file and the control socket; the only place that is written to.
COPY --from=build --chown=65532:65532 --chmod=0700 /run/pingora-proxy /run/pingora-proxy
ENV RUNTIME_DIRECTORY=/run/pingora-proxy
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=5s \
    CMD ["/usr/local/bin/pingora-proxy", "healthcheck", "-c", "/etc/pingora-proxy/proxy.yaml"]
ENTRYPOINT ["/usr/local/bin/pingora-proxy", "-c", "/etc/pingora-proxy/proxy.yaml"]
