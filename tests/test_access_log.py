from __future__ import annotations

import json
import logging
import re
import sys
from typing import TYPE_CHECKING

import pytest

from gateway.access_log import is_chosen, line
from gateway.log_lines import TEXT, AccessRecord, LineFormatter, TextFormatter
from gateway.settings import SettingsError, load
from gateway.telemetry import Telemetry
from gateway.telemetry_settings import TelemetrySettings
from gateway.tracing import new_traceparent, trace_id
from tests.harness import running_gateway

if TYPE_CHECKING:
    from tests.fake_store import FakeStore

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
CLOUDS = {"demo": {"bucket": "demo"}}


def test_a_line_of_logfmt_quotes_what_a_reader_would_split() -> None:
    told: dict[str, str | int] = {"request_id": "A1", "key": 'a b="\\\n\u2028', "status": 200, "slow": True}
    written = line(told, "logfmt")
    assert written == 'request_id=A1 key="a b=\\"\\\\\\n\\u2028" status=200 slow=true'
    pairs = re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)', written)
    assert [(name, json.loads(value) if value[0] == '"' else value) for name, value in pairs] == [
        (name, value if isinstance(value, str) else json.dumps(value)) for name, value in told.items()
    ]


@pytest.mark.parametrize("log_format", ["json", "logfmt"])
def test_every_line_has_time_level_and_logger_and_a_trace_is_no_second_line(log_format: str) -> None:
    try:
        json.loads("out of\norder")
    except ValueError:
        failure = logging.LogRecord("gateway", logging.ERROR, "", 0, "request %s failed", ("A1",), sys.exc_info())
    access = logging.LogRecord("gateway.access", logging.INFO, "", 0, "{}", None, None)
    access.told = {"request_id": "A1", "status": 200}
    written = [LineFormatter(log_format).format(each) for each in (failure, access)]
    assert all(each.isascii() and each.isprintable() for each in written)
    if log_format == "json":
        first, second = map(json.loads, written)
        assert (first["level"], first["message"]) == ("error", "request A1 failed")
        assert "\n" in first["trace"]
        assert list(second) == ["time", "level", "logger", "request_id", "status"]
    else:
        assert 'level=error logger=gateway message="request A1 failed" trace="Traceback' in written[0]
        assert written[1].endswith("level=info logger=gateway.access request_id=A1 status=200")


@pytest.mark.parametrize("created", [0.0, 1_764_163_999.9994, 1_764_164_000.0])
def test_lines_for_people_are_those_of_the_format_and_an_access_record_is_like_any_other(created: float) -> None:
    access = AccessRecord(logging.WARNING, created, {"request_id": "A1", "status": 200}, "text")
    plain = logging.LogRecord("gateway.access", logging.WARNING, "", 0, access.getMessage(), None, None)
    plain.created, plain.msecs = access.created, access.msecs
    assert vars(plain).keys() <= vars(access).keys()
    try:
        json.loads("out of order")
    except ValueError:
        failed = logging.LogRecord("gateway", logging.ERROR, "", 0, "request %s failed", ("A1",), sys.exc_info())
    ours, theirs = TextFormatter(), logging.Formatter(TEXT)
    assert [ours.format(each) for each in (access, failed, plain)] == [
        theirs.format(each) for each in (plain, failed, plain)
    ]
    assert (access.levelno, access.levelname, access.name) == (plain.levelno, plain.levelname, plain.name)


def test_a_share_of_the_good_requests_is_chosen_and_every_failure() -> None:
    settings = TelemetrySettings(sample=0.25)
    ids = [f"{number * 2**26:08X}{'0' * 16}" for number in range(64)]
    assert sum(is_chosen(each, 200, settings) for each in ids) == 16
    assert all(is_chosen(each, status, settings) for each in ids for status in (0, 500, 503))
    assert not any(is_chosen(each, 404, TelemetrySettings(sample=0)) for each in ids)
    assert all(is_chosen(each, 200, TelemetrySettings()) for each in ids)


def test_a_slow_request_is_a_warning_whatever_the_sample(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    telemetry = Telemetry(settings=TelemetrySettings(sample=0, slow_s=0.5))
    for elapsed_s in (0.4, 0.6):
        record = telemetry.begin("GET")
        record.end(200, 0, 0, elapsed_s)
        telemetry.ended(record)
    (told,) = caplog.records
    assert (told.levelno, json.loads(told.getMessage())["elapsed_ms"]) == (logging.WARNING, 600)
    assert json.loads(told.getMessage())["slow"] is True


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (TRACE, "4bf92f3577b34da6a3ce929d0e0e4736"),
        (f"{TRACE}-more", TRACE[3:35]),
        (TRACE.replace("00-4", "ff-4"), ""),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", ""),
        (f"00-{'1' * 32}-{'0' * 16}-01", ""),
        (TRACE.upper(), ""),
        ("", ""),
    ],
)
def test_a_trace_id_is_read_out_of_a_valid_header_only(given: str, expected: str) -> None:
    assert trace_id(given) == expected


def test_a_new_trace_carries_the_request_id() -> None:
    assert trace_id(new_traceparent("A" * 24)) == "a" * 24 + "0" * 8


@pytest.mark.parametrize(
    ("sent", "new_traces", "expected"), [(TRACE, False, TRACE), (TRACE, True, TRACE), ("", False, None), ("", True, "")]
)
@pytest.mark.parametrize("query", ["", "x-oss-process=image/info"], ids=["plain", "analysed"])
async def test_the_store_sees_the_clients_trace_as_it_came(
    store: FakeStore, caplog: pytest.LogCaptureFixture, sent: str, expected: str | None, query: str, *, new_traces: bool
) -> None:
    caplog.set_level(logging.INFO)
    store.objects["/demo/a"] = b"hello"
    async with running_gateway(store.endpoint, telemetry={"new_traces": new_traces}) as gateway:
        await gateway.get(gateway.s3_url("/demo/a", query), headers={"traceparent": sent} if sent else {})
    (told,) = [json.loads(each.getMessage()) for each in caplog.records if each.name == "gateway.access"]
    (seen,) = {each.headers.get("traceparent") for each in store.seen}
    assert seen == (new_traceparent(told["request_id"]) if expected == "" else expected)
    assert told.get("trace_id", "") == trace_id(seen or "")


@pytest.mark.parametrize(
    ("method", "target", "in_body"),
    [
        ("GET", "/demo/a", True),
        ("GET", "/demo/a?OSSAccessKeyId=A&Signature=B&Expires=9999999999", True),
        ("GET", "/demo/a?ci-process=AssessQuality", True),
        ("OPTIONS", "/demo/a", False),
        ("POST", "/v1_1/demo/image/upload", True),
        ("GET", "/v1_1/demo/resources/image", True),
        ("POST", "/v2/analysis/demo/analyze/uri", True),
        ("GET", "/1.0/check.json?models=quality&url=http://x/", True),
    ],
)
async def test_every_error_names_the_request_id_of_its_access_line(
    store: FakeStore, caplog: pytest.LogCaptureFixture, method: str, target: str, *, in_body: bool
) -> None:
    caplog.set_level(logging.INFO)
    async with running_gateway(store.endpoint, clouds=CLOUDS) as gateway:
        status, headers, body = await gateway.request(method, gateway.raw_url(target))
    (told,) = [json.loads(each.getMessage()) for each in caplog.records if each.name == "gateway.access"]
    assert status >= 400
    named = {value.lower() for name, value in headers.items() if name.lower().endswith("request-id")}
    assert named == {told["request_id"].lower()}
    assert (told["request_id"].lower().encode() in body.lower()) == in_body


async def test_a_good_answer_names_an_id_that_its_access_line_has(
    store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store.objects["/demo/a"] = b"hello"
    store.answers["GET /demo/nameless"] = (200, b"x", {})
    async with running_gateway(store.endpoint) as gateway:
        for url in (
            gateway.s3_url("/demo/a"),
            gateway.s3_url("/demo/nameless"),
            gateway.oss_url("demo", "a"),
        ):
            status, headers, _ = await gateway.get(url)
            assert status == 200
            told = json.loads([each for each in caplog.records if each.name == "gateway.access"][-1].getMessage())
            (named,) = {value for name, value in headers.items() if name.lower().endswith("request-id")}
            assert named.lower() in {told["request_id"].lower(), told.get("store_request_id", "").lower()}


@pytest.mark.parametrize("wrong", [{"sample": 1.5}, {"slow_s": -1}, {"log_format": "xml"}])
def test_a_setting_that_cannot_be_is_named(wrong: dict[str, float | str]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        load(None, {}, {"upstream": {"main": {"endpoint": "http://x"}}, "telemetry": wrong})
