"""Traces and metrics at a collector, from a real gateway in front of a store that says what it was told."""

from __future__ import annotations

import http.client
import os
import re
import secrets
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from gateway.app import utc_now
from gateway.commands.config import show_config
from gateway.settings import SettingsError, load
from gateway.telemetry_settings import header_pairs
from tests.fake_store import FakeStore
from tests.faults.table import figure
from tests.imaging.pictures import encode, photo_like
from tests.proc import eventually
from tests.served import Served, serving
from tests.threaded_store import threaded_store

pytest.importorskip("opentelemetry.sdk", reason="OpenTelemetry is not installed (pip install .[otel])")
from tests.otlp import Collector, Span, collecting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "a-token=of the collector"
SETTINGS = """
[telemetry]
otlp_endpoint = "{url}/"
otlp_headers = "Authorization=Bearer%20{token},x-tenant=pictures"
otlp_metrics_s = 1
trace_share = 1.0
[fetch]
allow = ["127.0.0.1:{port}"]
"""
SCORE = "x-oss-process=image/score"
STAGES = ["header", "wait", "score", "decode", "model", "render"]


@dataclass(frozen=True)
class Watched:
    """A gateway of two processes, what is behind it, and what watches it."""

    served: Served
    store: FakeStore
    endpoint: str
    collector: Collector
    log: Path

    def get(self, target: str, traceparent: str = "", method: str = "GET") -> tuple[int, bytes]:
        """Send a signed URL's request."""
        path, _, query = target.partition("?")
        place = self.served.place
        signed = place.presigned(method, path, query)
        connection = http.client.HTTPConnection(place.authority, timeout=60)
        connection.request(method, f"{path}?{signed}", headers={"traceparent": traceparent} if traceparent else {})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content

    def spans(self, trace_id: str, count: int) -> list[Span]:
        """Wait for so many spans of a trace; there must be no more."""
        eventually(lambda: len(self.collector.trace(trace_id)) >= count)
        found = self.collector.trace(trace_id)
        assert len(found) == count, [each.name for each in found]
        return found

    def told_to_store(self, key: str) -> list[str | None]:
        """The `traceparent` of each request for a key that the store has seen."""
        return [each.headers.get("traceparent") for each in self.store.seen if key in each.raw_path]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder, store = tmp_path_factory.mktemp("watched"), FakeStore()
    store.objects |= {f"/demo/{name}.jpg": encode(photo_like(320, 240), "JPEG") for name in ("a", "b", "c")}
    store.objects |= {f"/demo/plain{number}": b"hello" for number in range(5)}
    with pytest.MonkeyPatch.context() as patch, collecting() as collector, threaded_store(store) as endpoint:
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        patch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=tests")
        settings = SETTINGS.format(url=collector.url, token=TOKEN.replace(" ", "%20"), port=endpoint.rpartition(":")[2])
        with serving(folder, endpoint, more_settings=settings, server="workers = 2") as served:
            yield Watched(served, store, endpoint, collector, folder / "serve.log")


def new_trace() -> tuple[str, str, str]:
    """Return a client's trace id, span id, and traceparent, sampled."""
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    return trace_id, span_id, f"00-{trace_id}-{span_id}-01"


def only(spans: list[Span], name: str) -> Span:
    (found,) = [each for each in spans if each.name == name]
    return found


# --- traces ---------------------------------------------------------------------------------------------------------


def test_a_clients_trace_goes_on_through_the_gateway_to_the_store(watched: Watched) -> None:
    trace_id, client, traceparent = new_trace()
    assert watched.get("/demo/plain0", traceparent) == (200, b"hello")
    spans = watched.spans(trace_id, 3)
    server, verify, upstream = (only(spans, name) for name in ("s3:GetObject", "verify", "upstream"))
    assert (server.parent, server.kind, upstream.kind) == (client, 2, 3)
    assert verify.parent == upstream.parent == server.span_id
    assert watched.told_to_store("plain0") == [f"00-{trace_id}-{upstream.span_id}-01"]
    assert server.began_ns <= verify.began_ns <= verify.ended_ns <= upstream.began_ns
    assert upstream.ended_ns <= server.ended_ns
    assert f'"trace_id": "{trace_id}"' in watched.log.read_text()


def test_a_span_says_what_the_access_line_says(watched: Watched) -> None:
    trace_id, _, traceparent = new_trace()
    watched.get("/demo/plain1", traceparent)
    spans = watched.spans(trace_id, 3)
    told = only(spans, "s3:GetObject").told
    assert told.pop("gateway.request_id") in watched.log.read_text()
    assert told == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.response.body.size": 5,
        "gateway.dialect": "s3",
        "gateway.scheme": "aws_v4",
        "gateway.identity": "tests",
        "gateway.bucket": "demo",
        "gateway.key": "plain1",
        "gateway.action": "s3:GetObject",
        "gateway.store_request_id": "STORE1",
    }
    port = int(watched.served.place.authority.rpartition(":")[2])
    asked = only(spans, "upstream").told
    assert asked.pop("server.port") != port
    assert asked == {"http.request.method": "GET", "server.address": "127.0.0.1", "http.response.status_code": 200}


def test_a_score_shows_each_of_its_stages_where_it_was(watched: Watched) -> None:
    trace_id, _, traceparent = new_trace()
    assert watched.get(f"/demo/a.jpg?{SCORE}", traceparent)[0] == 200
    spans = watched.spans(trace_id, 3 + len(STAGES))
    server = only(spans, "oss:ProcessImm")
    parts = {name: only(spans, name) for name in ["verify", "upstream", *STAGES]}
    assert {each.parent for each in parts.values()} == {server.span_id}
    order = [parts[name] for name in ("verify", "upstream", "wait", "decode", "model", "render")]
    margin_ns = 1_000_000  # two clocks are read: of the wall, and of the machine
    for earlier, later in pairwise(order):
        assert earlier.began_ns <= later.began_ns + margin_ns
    assert parts["decode"].ended_ns <= parts["model"].began_ns
    assert parts["model"].ended_ns <= parts["score"].ended_ns + margin_ns
    assert all(server.began_ns <= each.began_ns + margin_ns for each in parts.values())
    assert all(each.ended_ns <= server.ended_ns + margin_ns for each in parts.values())


def test_a_picture_of_a_stranger_is_fetched_without_a_word_of_the_trace(watched: Watched) -> None:
    trace_id, _, traceparent = new_trace()
    asked = {"models": "quality", "url": f"{watched.endpoint}/demo/c.jpg", "api_user": "TESTS"}
    query = urlencode({**asked, "api_secret": "tests-secret"})
    connection = http.client.HTTPConnection(watched.served.place.authority, timeout=60)
    connection.request("GET", f"/1.0/check.json?{query}", headers={"traceparent": traceparent})
    assert connection.getresponse().status == 200
    connection.close()
    spans = watched.spans(trace_id, 3 + len(STAGES))
    parts = ["verify", "fetch", *STAGES]
    assert {only(spans, name).parent for name in parts} == {only(spans, "sightengine:Check").span_id}
    assert watched.told_to_store("c.jpg") == [None]


def test_without_a_clients_trace_one_begins_here(watched: Watched) -> None:
    assert watched.get("/demo/plain2")[0] == 200
    (told,) = watched.told_to_store("plain2")
    trace_id = (told or "").split("-")[1]
    spans = watched.spans(trace_id, 3)
    assert only(spans, "s3:GetObject").parent == ""
    assert re.fullmatch(rf"00-{trace_id}-{only(spans, 'upstream').span_id}-0[13]", told or "")


def test_a_trace_that_its_client_does_not_sample_goes_on_as_it_came(watched: Watched) -> None:
    trace_id, span_id, _ = new_trace()
    traceparent = f"00-{trace_id}-{span_id}-00"
    assert watched.get("/demo/plain3", traceparent)[0] == 200
    assert watched.told_to_store("plain3") == [traceparent]
    recorded, _, after = new_trace()
    watched.get("/demo/plain3", after)
    watched.spans(recorded, 3)
    assert watched.collector.trace(trace_id) == []


def test_a_signed_traceparent_is_verified_as_it_came_and_replaced_under_the_gateways_signature(
    watched: Watched,
) -> None:
    trace_id, _, traceparent = new_trace()
    status, _, _ = watched.served.place.request("PUT", "/demo/signed", (("traceparent", traceparent),), b"kept")
    assert (status, watched.store.objects["/demo/signed"]) == (200, b"kept")
    upstream = only(watched.spans(trace_id, 3), "upstream")
    (seen,) = [each for each in watched.store.seen if each.raw_path == "/demo/signed"]
    assert seen.headers["traceparent"] == f"00-{trace_id}-{upstream.span_id}-01"
    assert "traceparent" not in seen.headers["authorization"]


@pytest.mark.parametrize(
    ("target", "method", "status", "name", "told", "failed"),
    [
        ("/demo/absent", "GET", 404, "s3:GetObject", {}, False),
        ("/demo/faulty", "GET", 502, "s3:GetObject", {"error.type": "upstream_broken"}, True),
        ("/demo/a.jpg?x-oss-process=image/nothing", "GET", 400, "GET", {"error.type": "unknown_action"}, False),
    ],
)
def test_what_goes_wrong_is_in_the_span(
    watched: Watched, target: str, method: str, status: int, name: str, told: dict[str, str], *, failed: bool
) -> None:
    watched.store.faults["/demo/faulty"] = "reset"
    trace_id, _, traceparent = new_trace()
    assert watched.get(target, traceparent, method)[0] == status
    eventually(lambda: any(each.name == name for each in watched.collector.trace(trace_id)))
    server = only(watched.collector.trace(trace_id), name)
    assert (server.told["http.response.status_code"], server.failed) == (status, failed)
    assert {key: value for key, value in server.told.items() if key == "error.type"} == told


def test_a_request_that_nobody_may_make_has_a_span_too(watched: Watched) -> None:
    trace_id, _, traceparent = new_trace()
    late = utc_now() - timedelta(days=2)
    query = f"X-Amz-Date={late:%Y%m%dT%H%M%SZ}&X-Amz-Signature={'0' * 64}&token=confidential"
    connection = http.client.HTTPConnection(watched.served.place.authority, timeout=60)
    connection.request("GET", f"/demo/plain0?{query}", headers={"traceparent": traceparent})
    assert connection.getresponse().status in (400, 403)
    connection.close()
    eventually(lambda: bool(watched.collector.trace(trace_id)))
    assert all(each.name != "upstream" for each in watched.collector.trace(trace_id))


def test_keys_that_are_no_unicode_cost_no_batch(watched: Watched) -> None:
    trace_id, _, traceparent = new_trace()
    assert watched.get("/demo/%FF%FE", traceparent)[0] == 404
    assert "\\" in only(watched.spans(trace_id, 3), "s3:GetObject").told["gateway.key"]


def test_neither_a_query_nor_a_signature_nor_a_secret_is_told(watched: Watched) -> None:
    trace_id, _, traceparent = new_trace()
    watched.get("/demo/plain4?versionId=a-private-version", traceparent)
    watched.spans(trace_id, 3)
    raw = b"".join(watched.collector.raw)
    assert b"plain4" in raw
    for secret in (b"X-Amz-", b"a-private-version", b"Signature", b"tests-secret", TOKEN.encode(), b"confidential"):
        assert secret not in raw


def test_the_collector_gets_the_headers_that_were_configured(watched: Watched) -> None:
    eventually(lambda: bool(watched.collector.headers))
    for headers in watched.collector.headers:
        assert (headers["authorization"], headers["x-tenant"]) == (f"Bearer {TOKEN}", "pictures")
    assert TOKEN not in watched.log.read_text()


# --- metrics --------------------------------------------------------------------------------------------------------


def test_the_metrics_of_all_processes_come_from_one_of_them_as_the_admin_port_tells_them(watched: Watched) -> None:
    for _ in range(20):
        assert watched.get("/demo/b.jpg")[0] == 200
    assert watched.get(f"/demo/b.jpg?{SCORE}")[0] == 200

    def page() -> str:
        with urllib.request.urlopen(f"http://{watched.served.admin}/metrics") as answer:
            return str(answer.read().decode())

    def told() -> float:
        rows = (
            watched.collector.metrics[-1]["gateway_requests_total"].sum.data_points if watched.collector.metrics else []
        )
        return float(sum(row.as_int for row in rows))

    eventually(lambda: told() == figure(page(), "gateway_requests_total"))
    metrics, now = watched.collector.metrics[-1], page()
    requests = metrics["gateway_requests_total"]
    assert requests.sum.is_monotonic
    labels = {each.key: each.value.string_value for each in requests.sum.data_points[0].attributes}
    assert set(labels) == {"dialect", "action", "status"}
    stages = {
        row.attributes[0].value.string_value: row for row in metrics["gateway_scoring_seconds"].histogram.data_points
    }
    assert set(stages) == set(STAGES)
    for stage, row in stages.items():
        assert row.count == sum(row.bucket_counts) == figure(now, f'gateway_scoring_seconds_count{{stage="{stage}"}}')
        assert len(row.bucket_counts) == len(row.explicit_bounds) + 1
        assert not row.HasField("min")
    assert metrics["gateway_scorers_running"].gauge.data_points[0].as_int == 1
    assert metrics["gateway_request_seconds"].unit == "s"
    assert metrics["gateway_sent_bytes_total"].unit == "By"
    starts = {
        row.start_time_unix_nano
        for message in watched.collector.metrics
        for row in message["gateway_requests_total"].sum.data_points
    }
    assert len(starts) == 1, "one process tells, and counts from one beginning"


def test_whoever_tells_is_named_as_the_standard_environment_says(watched: Watched) -> None:
    eventually(lambda: bool(watched.collector.resources))
    for resource in watched.collector.resources:
        assert resource["service.name"] == "s3-score-gateway"
        assert resource["deployment.environment.name"] == "tests"
        assert resource["service.instance.id"]


def test_what_has_not_been_sent_when_the_gateway_ends_is_sent_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    with collecting() as collector, threaded_store(FakeStore(objects={"/demo/a": b"hello"})) as endpoint:
        settings = f'[telemetry]\ntrace_share = 1.0\notlp_endpoint = "{collector.url}"\notlp_metrics_s = 600\n'
        with serving(tmp_path, endpoint, more_settings=settings) as served:
            for _ in range(3):
                assert served.place.request("GET", "/demo/a")[0] == 200
            assert collector.raw == []
    assert [each.name for each in collector.spans].count("s3:GetObject") == 3
    (message,) = collector.metrics
    assert sum(row.as_int for row in message["gateway_requests_total"].sum.data_points) == 3


# --- settings -------------------------------------------------------------------------------------------------------

STORE = {"upstream": {"m": {"endpoint": "http://store"}}}


@pytest.mark.parametrize(
    "wrong",
    [
        {"otlp_endpoint": "collector:4318"},
        {"otlp_endpoint": "ftp://collector"},
        {"otlp_endpoint": "http://"},
        {"otlp_endpoint": "http://user:secret@collector"},
        {"otlp_endpoint": "http://collector?token=secret"},
        {"otlp_endpoint": "http://collector:99999"},
        {"otlp_headers": "no-value"},
        {"otlp_headers": "=secret"},
        {"otlp_headers": "a=b%0D%0Ac"},
        {"otlp_metrics_s": 0},
        {"trace_share": 1.5},
    ],
)
def test_a_setting_that_cannot_be_is_named_without_its_secret(wrong: dict[str, str | float]) -> None:
    with pytest.raises(SettingsError) as caught:
        load(None, {}, {**STORE, "telemetry": wrong})
    assert f"telemetry.{next(iter(wrong))}: must be" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_headers_are_read_as_the_standards_variable_is() -> None:
    assert header_pairs(" a = b%20c , d=e=f,") == [("a", "b c"), ("d", "e=f")]
    assert header_pairs("") == []


def test_the_headers_may_come_from_a_file_and_are_never_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "headers").write_text("authorization=confidential\n")
    monkeypatch.setenv("GATEWAY_UPSTREAM__M__ENDPOINT", "http://store")
    monkeypatch.setenv("GATEWAY_TELEMETRY__OTLP_HEADERS_FILE", str(tmp_path / "headers"))
    assert show_config(None) == 0
    shown = capsys.readouterr().out
    assert '"otlp_headers": "***"' in shown
    assert "confidential" not in shown


@pytest.mark.parametrize("command", ["check-config", "serve"])
def test_without_the_extra_a_collector_is_refused_before_anything_starts(command: str) -> None:
    hidden = "import sys; sys.modules['opentelemetry'] = None"  # as if it were not installed
    code = f"{hidden}; from gateway.__main__ import main; sys.argv[1:] = ['{command}']; main()"
    said = {"UPSTREAM__M__ENDPOINT": "http://store", "TELEMETRY__OTLP_ENDPOINT": "http://collector:4318"}
    environ = {**os.environ, **{f"GATEWAY_{name}": value for name, value in said.items()}}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    words = "telemetry.otlp_endpoint: needs optional packages: pip install 's3-score-gateway[otel]'"
    assert words in done.stderr.splitlines()
