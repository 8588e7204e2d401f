from __future__ import annotations

import json
import logging
import os
import re
import resource
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from gateway.admin import admin_handler
from gateway.app import utc_now
from gateway.auth import identify
from gateway.credentials import Secret
from gateway.errors import ACCESS_DENIED, ApiError
from gateway.metrics import METRICS
from gateway.request import percent_encode
from gateway.scoreboard import Page
from gateway.telemetry import RequestRecord, Telemetry
from tests import harness
from tests.auth import samples
from tests.fake_store import FakeStore, served
from tests.harness import running_gateway
from tests.test_wire import connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from gateway.request import RequestHead
    from tests.harness import GatewayUnderTest

TOKEN = Secret("a-session-token+of/the=client")
OF_THE_PROCESS = ("gateway_file_descriptors_", "gateway_request_seconds")
QUERY = "versionId=a-private-version"
SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="[^"\\]*",?)+)\})? (\d+(?:\.\d+)?)')


# --- the admin port -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def admin_port(telemetry: Telemetry, others: Sequence[Page] = (), own: Page | None = None) -> AsyncIterator[str]:
    async with served(web.Server(admin_handler(telemetry, own or Page(), others), access_log=None)) as url:
        yield url


async def fetched(url: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, answer.content_type, await answer.text()


async def test_the_process_is_alive_whether_or_not_it_is_ready() -> None:
    for ready in (False, True):
        async with admin_port(Telemetry(ready=ready)) as url:
            assert (await fetched(f"{url}/livez"))[0] == 200


async def test_readiness_follows_the_state_of_the_process() -> None:
    telemetry = Telemetry()
    async with admin_port(telemetry) as url:
        assert (await fetched(f"{url}/readyz"))[0] == 503
        telemetry.ready = True
        assert (await fetched(f"{url}/readyz"))[0] == 200
        telemetry.ready = False
        assert (await fetched(f"{url}/readyz"))[0] == 503


async def test_the_metrics_are_plain_text() -> None:
    async with admin_port(Telemetry()) as url:
        status, content_type, text = await fetched(f"{url}/metrics")
    assert (status, content_type) == (200, "text/plain")
    assert list(parsed(text)) == list(parsed(Telemetry().exposition()))


@pytest.mark.parametrize("path", ["/", "/demo/a", "/metrics/", "/readyz/x"])
async def test_nothing_else_is_on_the_admin_port(path: str) -> None:
    async with admin_port(Telemetry(ready=True)) as url:
        assert (await fetched(f"{url}{path}"))[0] == 404


def test_when_no_descriptor_is_left_as_many_as_may_be_are_open() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))  # the next one would be this one
    try:
        counts = Telemetry().counts()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert counts["gateway_file_descriptors_open",] == counts["gateway_file_descriptors_limit",] == free


# --- the counters ---------------------------------------------------------------------------------------------------


def parsed(exposition: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Parse the Prometheus text format strictly: each sample under the TYPE line of its name."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    kinds: dict[str, str] = {}
    assert exposition.endswith("\n")
    for line in exposition.splitlines():
        if line.startswith("# HELP "):
            assert line.removeprefix("# HELP ").split(" ")[0] in METRICS
            continue
        if line.startswith("# TYPE "):
            name, kind = line.removeprefix("# TYPE ").split(" ")
            assert kind == METRICS[name].kind
            assert (kind == "counter") == name.endswith("_total")
            assert name not in found
            found[name], kinds[name] = {}, kind
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        name = list(found)[-1]
        suffix = match[1].removeprefix(name)
        assert suffix in (("_bucket", "_sum", "_count") if kinds[name] == "histogram" else ("",))
        labels = (*re.findall(r'"([^"]*)"', match[2] or ""), *([suffix] if suffix in ("_sum", "_count") else []))
        assert labels not in found[name]
        found[name][labels] = float(match[3])
    return found


def test_the_exposition_counts_requests_by_dialect_action_and_status() -> None:
    telemetry = Telemetry(uncovered_process=2, scorer_jobs=lambda: (3, 1))
    for status in (200, 200, 403):
        telemetry.ended(RequestRecord("00000000", dialect="oss", action="oss:ProcessImm", status=status))
    telemetry.ended(RequestRecord("00000000", status=400))
    telemetry.cache_event("hit")
    found = parsed(telemetry.exposition())
    assert {name: found[name] for name in found if not name.startswith(OF_THE_PROCESS)} == {
        "gateway_requests_total": {
            ("none", "none", "400"): 1,
            ("oss", "oss:ProcessImm", "200"): 2,
            ("oss", "oss:ProcessImm", "403"): 1,
        },
        "gateway_received_bytes_total": {("none",): 0, ("oss",): 0},
        "gateway_sent_bytes_total": {("none",): 0, ("oss",): 0},
        "gateway_uncovered_process_total": {(): 2},
        "gateway_usage_analyses_total": {("none", "none", "oss"): 2},
        "gateway_usage_bytes_total": {("none", "none", "oss"): 0},
        "gateway_results_total": {("hit",): 1},
        "gateway_scorer_jobs_waiting": {(): 3},
        "gateway_scorer_jobs_running": {(): 1},
        "gateway_scorer_oldest_wait_seconds": {(): 0},
        "gateway_connections_open": {(): 0},
    }
    assert found["gateway_file_descriptors_open"][()] < found["gateway_file_descriptors_limit"][()]


def test_durations_are_cumulative_histograms_that_add_up_over_processes() -> None:
    telemetry = Telemetry()
    for elapsed_s in (0.004, 0.005, 0.3, 99.0):
        record = RequestRecord("00000000", dialect="s3")
        record.end(200, 0, 0, elapsed_s)
        telemetry.ended(record)
    found = parsed(telemetry.exposition([telemetry.counts()]))["gateway_request_seconds"]
    told = [found["s3", bound] for bound in ("0.005", "0.25", "0.5", "60", "+Inf", "_count")]
    assert told == [4, 4, 6, 6, 8, 8]
    assert found["s3", "_sum"] == pytest.approx(2 * (0.004 + 0.005 + 0.3 + 99.0))


def test_what_a_successor_inherits_are_counters_and_histograms_and_no_gauge() -> None:
    telemetry, heir = Telemetry(scorer_jobs=lambda: (3, 1)), Telemetry()
    telemetry.scoring_stage("wait", 7.0, 7.1)
    heir.inherit(telemetry.counts())
    heir.scoring_stage("wait", 7.0, 7.1)

    counts = heir.counts()
    assert counts["gateway_scorer_jobs_waiting",] == 0
    assert counts["gateway_scoring_seconds", "wait", "0.1"] == 2


def test_usage_is_told_by_identity_bucket_and_dialect_as_long_as_those_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.telemetry._MAX_ACCOUNTS", 2)
    telemetry = Telemetry()
    for bucket, status in (("a", 200), ("invented", 404), ("b", 200), ("a", 200), ("c", 200), ("d", 200)):
        record = RequestRecord("00000000", dialect="cos", identity='o"ne', bucket=bucket)
        record.action = "ci:CreateAssessQualityJob"
        record.end(status, 1, 10, 0.1)
        telemetry.ended(record)
    text = telemetry.exposition()
    for bucket, count in (("a", 2), ("b", 1)):
        account = f'{{identity="o\\"ne",bucket="{bucket}",dialect="cos"}}'
        assert f"gateway_usage_analyses_total{account} {count}\n" in text
        assert f"gateway_usage_bytes_total{account} {11 * count}\n" in text
    assert 'gateway_usage_analyses_total{identity="other",bucket="other",dialect="cos"} 2\n' in text
    assert "invented" not in text


async def test_a_client_cannot_invent_label_values(store: FakeStore) -> None:
    async with running_gateway(store.endpoint) as gateway:
        for target in ('/b"ucket/k\\ey', "/demo/%0A%22x", '/demo/a?"}%201=\\n', "/demo/a?acl&tagging"):
            for method in ("GET", "PROPFIND", "PUT"):
                await gateway.request(method, URL(f"{gateway.url}{target}", encoded=True))
        counted = parsed(gateway.telemetry.exposition())["gateway_requests_total"]
    assert sum(counted.values()) == 12
    for dialect, action, _ in counted:
        assert dialect in {"none", "s3", "oss", "cos"}
        assert re.fullmatch(r"none|s3:[A-Za-z]+", action)


# --- what is written down -------------------------------------------------------------------------------------------


@pytest.fixture
def everything(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """All that any logger says, at its most talkative."""
    caplog.set_level(logging.DEBUG)
    return caplog


@pytest.fixture
async def gateway(store: FakeStore, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GatewayUnderTest]:
    """A gateway that knows the samples' key, once as it is and once as a temporary one."""
    plain = samples.KEYRING[samples.KEY_ID]
    store.objects[f"/{samples.BUCKET}/a.jpg"] = b"hello"
    monkeypatch.setattr(harness, "keyring", lambda: {samples.KEY_ID: replace(plain, token=TOKEN)})
    hosts = {"s3": {"hosts": ["gw.test"]}}
    async with running_gateway(store.endpoint, dialects=hosts) as running:
        yield running


def signed(name: str, *, in_query: bool) -> RequestHead:
    if in_query:
        return samples.presigned(name, raw_query=QUERY, now=utc_now(), token=TOKEN)
    return samples.HEADER_SIGNERS[name](samples.head_of(raw_query=QUERY), utc_now(), TOKEN)


def with_wrong_signature(head: RequestHead) -> RequestHead:
    claim = identify.find_claim(head)
    assert claim is not None
    right, wrong = claim[1].signature, claim[1].signature.swapcase()
    headers = tuple((name, value.replace(right, wrong)) for name, value in head.headers)
    query = head.raw_query.replace(percent_encode(right), percent_encode(wrong))
    return replace(head, headers=headers, raw_query=query)


def secrets_of(head: RequestHead, store: FakeStore) -> set[str]:
    """All that must not be written down of a request, of what the gateway knows and of what it sent to the store."""
    found = identify.find_claim(head)
    assert found is not None
    ours = {seen.headers["authorization"].rpartition("=")[2] for seen in store.seen}
    pieces = {parameter.raw for parameter in head.parameters} | {parameter.value for parameter in head.parameters}
    fields = {value for name, value in head.headers if name == "authorization"}
    fixed = {TOKEN.reveal(), samples.SECRET.reveal(), "up-secret", found[1].signature, head.raw_query}
    return ours | fixed | fields | {piece for piece in pieces if len(piece) > 10}


async def send(gateway: GatewayUnderTest, head: RequestHead) -> int:
    url = URL(f"{gateway.url}{head.raw_path}?{head.raw_query}", encoded=True)
    status, _, _ = await gateway.request(head.method, url, headers=CIMultiDict(head.headers))
    return status


def access_lines(log: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [json.loads(record.getMessage()) for record in log.records if record.name == "gateway.access"]


FORMS = [(name, False) for name in samples.HEADER_SIGNERS] + [(name, True) for name in samples.PRESIGNERS]
IDS = [f"{name} {'query' if in_query else 'header'}" for name, in_query in FORMS]


@pytest.mark.parametrize(("name", "in_query"), FORMS, ids=IDS)
async def test_a_signed_request_leaves_no_secret_in_any_log(
    gateway: GatewayUnderTest, store: FakeStore, everything: pytest.LogCaptureFixture, name: str, *, in_query: bool
) -> None:
    head = signed(name, in_query=in_query)
    assert await send(gateway, head) == 200
    (line,) = access_lines(everything)
    assert (line["scheme"], line["bucket"], line["key"]) == (name, samples.BUCKET, "a.jpg")
    assert (line["status"], line["sent_bytes"]) == (200, len(b"hello"))
    assert {secret for secret in secrets_of(head, store) if secret in everything.text} == set()


@pytest.mark.parametrize(("name", "in_query"), FORMS, ids=IDS)
async def test_a_refused_request_leaves_no_secret_either(
    gateway: GatewayUnderTest, store: FakeStore, everything: pytest.LogCaptureFixture, name: str, *, in_query: bool
) -> None:
    head = with_wrong_signature(signed(name, in_query=in_query))
    assert await send(gateway, head) == 403
    (line,) = access_lines(everything)
    assert line["code"] == "SignatureDoesNotMatch"
    assert {secret for secret in secrets_of(head, store) if secret in everything.text} == set()


@pytest.mark.parametrize(
    "fault", ["reset", "silent", "error:403:SignatureDoesNotMatch"], ids=["reset", "timeout", "refusal"]
)
async def test_a_failing_store_leaves_no_secret_in_the_log(
    store: FakeStore, everything: pytest.LogCaptureFixture, fault: str
) -> None:
    store.faults["/demo/a"] = fault
    upstream = {"endpoint": store.endpoint, "access_key": "up", "secret": "up-secret", "response_timeout_s": 0.2}
    async with running_gateway(store.endpoint, upstream={"default": upstream}) as gateway:
        url = gateway.s3_url("/demo/a")
        assert (await gateway.get(url))[0] in (403, 502, 504)
    ours = {seen.headers["authorization"].rpartition("=")[2] for seen in store.seen}
    assert len(access_lines(everything)) == 1
    for secret in {"up-secret", harness.SECRET.reveal(), url.query["X-Amz-Signature"], *ours}:
        assert secret not in everything.text


async def test_an_unexpected_failure_leaves_its_trace_and_no_secret(
    gateway: GatewayUnderTest, everything: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ValueError("out of order")

    monkeypatch.setattr("gateway.handler.forward", broken)
    head = signed("aws_v4", in_query=True)
    assert await send(gateway, head) == 500
    assert "out of order" in everything.text
    assert {secret for secret in secrets_of(head, FakeStore()) if secret in everything.text} == set()


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /demo/\x01?X-Amz-Signature=hush-hush HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /demo/a?X-Amz-Signature=hush-hush HTTP/9.x\r\nHost: x\r\n\r\n",
        b"GET /demo/a HTTP/1.1\r\nHost: x\r\nAuthorization: AWS A:hush-hush\x01\r\n\r\n",
        b"GET /demo/a HTTP/1.1\r\nHost: x\r\nAuthorization: AWS A:hush-hush" + b"x" * 70_000 + b"\r\n\r\n",
    ],
    ids=["target", "version", "header", "long header"],
)
async def test_a_request_that_is_not_http_leaves_no_secret_in_the_log(
    gateway: GatewayUnderTest, everything: pytest.LogCaptureFixture, request_: bytes
) -> None:
    async with connected(gateway) as client:
        assert (await client.ask(request_)).status == 400
    assert "hush-hush" not in everything.text


async def test_a_key_cannot_forge_a_line_of_the_log(store: FakeStore, everything: pytest.LogCaptureFixture) -> None:
    async with running_gateway(store.endpoint) as gateway:
        await gateway.get(URL(f"{gateway.url}/demo/x%0A%0D%1B[31m%22,%22status%22:200%FF%E2%80%A8", encoded=True))
    (record,) = [record for record in everything.records if record.name == "gateway.access"]
    assert record.getMessage().isprintable()
    assert record.getMessage().isascii()
    assert json.loads(record.getMessage())["status"] == 403


def test_the_access_line_says_what_is_known_and_why_it_was_refused(everything: pytest.LogCaptureFixture) -> None:
    record = RequestRecord("00000000", method="GET", status=403)
    record.refused(ApiError(ACCESS_DENIED, "reader may not"))
    Telemetry().ended(record)
    why = {"code": "AccessDenied", "kind": "access_denied", "reason": "rights", "detail": "reader may not"}
    assert access_lines(everything) == [{"request_id": "00000000", "method": "GET", "status": 403, **why}]


def test_a_silenced_access_log_still_counts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "gateway.access")
    telemetry = Telemetry()
    telemetry.ended(RequestRecord("00000000", status=200))
    assert (access_lines(caplog), sum(telemetry.requests.values())) == ([], 1)
