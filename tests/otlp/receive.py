"""Has the proxy trace two requests, one of which fails, first for Rotel, a real collector, then for a receiver that
reads the body by the definition of OTLP (opentelemetry-proto) and refuses unknown fields. Fails unless both
have the whole tree."""

import glob
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service

DEADLINE = 30
program, folder = sys.argv[1:]
started = []


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def await_until(what, done):
    end = time.monotonic() + DEADLINE
    while not done():
        if time.monotonic() > end:
            sys.exit(f"error: waited too long: {what}")
        time.sleep(0.05)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def serve(handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class App(Handler):
    def do_GET(self):
        self.answer(200, b"ok")


class Strict(Handler):
    """An OTLP receiver: what is not in the definition is an error."""

    spans, errors = [], []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            told = as_protobuf_has_it(json.loads(body))
            request = json_format.ParseDict(told, service.ExportTraceServiceRequest(), ignore_unknown_fields=False)
        except Exception as error:  # whatever it is, the test fails with it
            Strict.errors.append(error)
            return self.answer(400, b"{}")
        Strict.spans += [span for r in request.resource_spans for s in r.scope_spans for span in s.spans]
        self.answer(200, json_format.MessageToJson(service.ExportTraceServiceResponse()).encode())


def as_protobuf_has_it(value):
    """OTLP differs from the JSON of Protobuf in one thing: ids are hex, not Base64."""
    import base64

    if isinstance(value, list):
        return [as_protobuf_has_it(item) for item in value]
    if not isinstance(value, dict):
        return value
    is_id = ("traceId", "spanId", "parentSpanId")
    return {
        key: base64.b64encode(bytes.fromhex(item)).decode() if key in is_id else as_protobuf_has_it(item)
        for key, item in value.items()
    }


def trace_two_requests(collector, name):
    port, app = free_port(), serve(App)
    file = os.path.join(folder, f"{name}.yaml")
    with open(file, "w") as text:
        text.write(
            f"listeners: ['127.0.0.1:{port}']\nadmin: {{ address: off }}\n"
            f"traces: {{ endpoint: 'http://127.0.0.1:{collector}/v1/traces', sample: 100%, parent: any }}\n"
            f"routes: [{{ name: app, upstream: '127.0.0.1:{app}' }}, "
            f"{{ name: gone, match: {{ path: /gone }}, upstream: '127.0.0.1:{free_port()}' }}]\n"
        )
    log = open(os.path.join(folder, f"{name}.log"), "w")
    environment = {**os.environ, "RUNTIME_DIRECTORY": folder}
    started.append(subprocess.Popen([program, "-c", file], stdout=log, stderr=log, env=environment))
    await_until("the proxy", lambda: listens(port))
    parent = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "a=1"}
    for path, wanted in (("/", 200), ("/gone", 502)):
        try:
            status = urllib.request.urlopen(
                urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=parent), timeout=DEADLINE
            ).status
        except urllib.error.HTTPError as error:
            status = error.code
        assert status == wanted, f"{path}: {status}"


def with_the_definition():
    trace_two_requests(serve(Strict), "strict")
    await_until("spans", lambda: len(Strict.spans) >= 4 or Strict.errors)
    assert not Strict.errors, Strict.errors
    assert {span.trace_id.hex() for span in Strict.spans} == {"4bf92f3577b34da6a3ce929d0e0e4736"}
    requests = {span.span_id: span for span in Strict.spans if span.kind == 2}
    attempts = [span for span in Strict.spans if span.kind == 3]
    assert len(requests) == 2 and len(attempts) == 2
    assert all(span.parent_span_id.hex() == "00f067aa0ba902b7" for span in requests.values())
    assert all(span.trace_state == "a=1" for span in Strict.spans)
    for attempt in attempts:
        request = requests[attempt.parent_span_id]
        assert request.start_time_unix_nano <= attempt.start_time_unix_nano < attempt.end_time_unix_nano
        assert attempt.status.code == request.status.code
    reasons = [a.value.string_value for span in Strict.spans for a in span.attributes if a.key == "error.type"]
    assert reasons == ["upstream_refused"] * 2, reasons
    print("opentelemetry-proto: 4 spans, 1 tree, no unknown field")


def with_rotel():
    import rotel

    (agent,) = glob.glob(os.path.join(os.path.dirname(rotel.__file__), "rotel-agent"))
    http_port, grpc_port = free_port(), free_port()
    path = os.path.join(folder, "rotel.log")
    arguments = ["--otlp-http-endpoint", f"127.0.0.1:{http_port}", "--otlp-grpc-endpoint", f"127.0.0.1:{grpc_port}"]
    arguments += ["--exporter", "blackhole", "--debug-log", "traces", "--debug-log-verbosity", "detailed"]
    with open(path, "w") as log:
        started.append(subprocess.Popen([agent, "start", *arguments], stdout=log, stderr=log))
    await_until("Rotel", lambda: listens(http_port))
    trace_two_requests(http_port, "rotel")
    read = lambda: open(path).read()
    await_until("spans in Rotel", lambda: read().count("SPAN_KIND_CLIENT") >= 2)
    text = read()
    assert text.count("4bf92f3577b34da6a3ce929d0e0e4736") >= 4 and text.count("SPAN_KIND_SERVER") == 2, text
    assert text.count("error.type: Str(upstream_refused)") == 2, text
    print("Rotel: 4 spans, with the reason")


try:
    with_the_definition()
    with_rotel()
finally:
    for process in started:
        process.terminate()
        process.wait()
