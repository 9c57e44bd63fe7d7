"""Spans as a collector receives them: a real exporter against a loopback HTTP server."""

from __future__ import annotations

import gzip
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pydantic import SecretStr

from lorgnette.bundle import Bundle
from lorgnette.errors import InvalidConfiguration
from service.settings import Settings, load_settings
from tests.service.serving import ADMIN_KEY, SEARCH_KEY, fill, png, serving
from tests.tiny_bundle import space_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """Its URL, and the bodies it was sent."""
    bodies: list[bytes] = []

    class Collect(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            is_packed = self.headers.get("content-encoding") == "gzip"
            bodies.append(gzip.decompress(body) if is_packed else body)
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collect)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", bodies
    server.shutdown()
    thread.join()
    server.server_close()


def spans_in(bodies: list[bytes]) -> list[Span]:
    return [
        span
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def test_each_request_is_a_span_of_its_caller_s_trace(
    tmp_path: Path, teacher: Bundle, student: Bundle, collector: tuple[str, list[bytes]]
) -> None:
    url, bodies = collector
    fill(tmp_path / "data", teacher, {"a": png(0)})
    settings = Settings(
        data=tmp_path / "data",
        students=(student.directory,),
        search_key=SecretStr(SEARCH_KEY),
        admin_key=SecretStr(ADMIN_KEY),
        otlp_endpoint=url,
    )
    headers = {
        "authorization": f"Bearer {SEARCH_KEY}",
        "traceparent": f"00-{TRACE}-{CALLER}-01",
        "x-request-id": "traced-request-1",
    }
    with serving(settings) as client:
        body = {"space": space_of(0).id, "vectors": [[0.123456789] * 16]}
        assert client.post("/search", json=body, headers=headers).status_code == 200
        assert client.get("/models/none/manifest.json", headers=headers).status_code == 404
        assert client.get("/healthz", headers=headers).status_code == 200
    found, missed = spans_in(bodies)
    assert found.name == "POST /search"
    assert missed.name == "GET /models/{name}/manifest.json"
    assert found.trace_id.hex() == TRACE
    assert found.parent_span_id.hex() == CALLER
    assert found.kind == Span.SPAN_KIND_SERVER
    fields = {a.key: a.value.string_value or a.value.int_value for a in found.attributes}
    assert fields == {
        "http.request.method": "POST",
        "http.route": "/search",
        "http.response.status_code": 200,
        "lorgnette.request_id": "traced-request-1",
        "lorgnette.key_id": "search_key",
    }
    sent = b"".join(bodies)
    assert b"0.12345" not in sent
    assert SEARCH_KEY.encode() not in sent


@pytest.mark.parametrize("endpoint", ["file:///etc/passwd", "http://user:pw@host", "collector"])
def test_what_is_no_collector_is_refused(endpoint: str) -> None:
    with pytest.raises(InvalidConfiguration, match="otlp_endpoint"):
        load_settings(otlp_endpoint=endpoint)


def test_without_the_extra_the_service_runs_and_says_what_a_collector_needs() -> None:
    code = (
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        "from service.app import create_app; from service.settings import Settings\n"
        "create_app(Settings())\n"
        "create_app(Settings(otlp_endpoint='http://127.0.0.1:4318'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "lorgnette-app[tracing]" in done.stderr
