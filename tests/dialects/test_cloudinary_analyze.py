"""Cloudinary's Analyze API as text: paths, requests, answers and errors of its schema, and what the SDKs recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.dialects import cloudinary_analyze as analyze
from gateway.dialects.cloudinary_analyze import AnalyzeRequest, AnalyzeRoute, Limit
from gateway.errors import (
    ACCESS_DENIED,
    INTERNAL_ERROR,
    INVALID_ACCESS_KEY_ID,
    INVALID_ARGUMENT,
    MODEL_NOT_AVAILABLE,
    NO_SUCH_KEY,
    NO_SUCH_RESOURCE,
    SCORERS_BUSY,
    SLOW_DOWN,
    URL_NOT_ALLOWED,
    ApiError,
    ErrorKind,
)
from gateway.tasks import Task
from tests.dialects.samples import REPORT, context, head
from tests.vectors import FOLDER, MISSING, read_head

TASK_ID = "0123456789abcdef" * 4
NEW, OLD = AnalyzeRoute("demo", "image_quality"), AnalyzeRoute("demo")
TASK = Task(TASK_ID, "demo", "KEY", "r1", ("uri", "http://a/b.jpg"), "http://c/", trusted=False, created_at=1.0)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v2/analysis/demo/analyze/image_quality", NEW),
        ("POST", "/v2/analysis/demo/analyze/captioning", AnalyzeRoute("demo", "captioning")),
        ("POST", "/v2/demo/analysis/analyze/uri", OLD),
        ("POST", "/v2/demo/analysis/analyze/image_quality", NEW),
        ("POST", "/v2/a%20b/analysis/analyze/uri", AnalyzeRoute("a b")),
        ("GET", f"/v2/analysis/demo/tasks/{TASK_ID}", AnalyzeRoute("demo", task_id=TASK_ID)),
        ("GET", f"/v2/demo/analysis/tasks/{TASK_ID}", AnalyzeRoute("demo", task_id=TASK_ID)),
    ],
)
def test_a_path_tells_cloud_and_model_or_task(method: str, path: str, expected: AnalyzeRoute) -> None:
    assert analyze.reserves(head(path, method))
    assert analyze.route(head(path, method)) == expected


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/analysis/demo/analyze/image_quality"),
        ("POST", f"/v2/analysis/demo/tasks/{TASK_ID}"),
        ("GET", "/v2/analysis/demo/tasks/short"),
        ("GET", "/v2/analysis/demo/tasks"),
        ("POST", "/v2/analysis/demo/analyze/"),
        ("POST", "/v2/analysis/demo/analyze/a/b"),
        ("POST", "/v2/analysis/demo/other"),
    ],
)
def test_a_path_that_leads_nowhere_is_not_found(method: str, path: str) -> None:
    with pytest.raises(ApiError) as caught:
        analyze.route(head(path, method))
    assert caught.value.kind is NO_SUCH_RESOURCE


@pytest.mark.parametrize(
    "path", ["/v2/demo", "/v2/photos/a.jpg", "/v2/analysis", "/v1_1/demo/image/upload", "/v2/a/b/c"]
)
def test_other_paths_stay_objects_of_buckets(path: str) -> None:
    assert not analyze.reserves(head(path, "GET"))


@pytest.mark.parametrize(
    ("asked", "document", "expected"),
    [
        (
            NEW,
            {"source": {"uri": "http://a"}},
            AnalyzeRequest(("uri", "http://a"), is_async=False, notification_url=""),
        ),
        (
            NEW,
            {"source": {"asset_id": "a1"}, "async": True, "notification_url": "http://n", "more": [1]},
            AnalyzeRequest(("asset_id", "a1"), is_async=True, notification_url="http://n"),
        ),
        (
            OLD,
            {"analysis_type": "image_quality", "uri": "http://a", "parameters": None},
            AnalyzeRequest(("uri", "http://a"), is_async=False, notification_url=""),
        ),
    ],
)
def test_a_body_names_one_source(asked: AnalyzeRoute, document: dict[str, Any], expected: AnalyzeRequest) -> None:
    assert analyze.read_request(asked, json.dumps(document).encode()) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b"{}",
        b'{"source":"http://a"}',
        b'{"source":{}}',
        b'{"source":{"uri":""}}',
        b'{"source":{"uri":1}}',
        b'{"source":{"uri":"a","asset_id":"b"}}',
        b'{"source":{"uri":"\\ud800"}}',
        b'{"source":{"uri":"a"},"async":"yes"}',
        b'{"source":{"uri":"a"},"notification_url":7}',
        json.dumps({"source": {"uri": "a" * 10_000}}).encode(),
    ],
)
def test_a_malformed_body_is_the_client_s_error(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        analyze.read_request(NEW, body)
    assert caught.value.kind is INVALID_ARGUMENT


def test_any_other_model_is_forbidden() -> None:
    for asked, body in ((replace(NEW, model="captioning"), b'{"source":{"uri":"a"}}'), (OLD, b'{"uri":"a"}')):
        with pytest.raises(ApiError) as caught:
            analyze.read_request(asked, body)
        assert caught.value.kind is MODEL_NOT_AVAILABLE


def test_a_result_is_told_by_the_schema() -> None:
    report = replace(REPORT, score=0.4521849, confidence=0.8)
    limit = Limit(1, 9, 10, datetime(2026, 11, 27, tzinfo=UTC))
    answer = analyze.render_result(analyze.analysis_data("http://a", report), [limit], context())
    assert answer.status == 200
    assert json.loads(answer.body) == {
        "data": {
            "entity": "http://a",
            "analysis": {"quality": "medium", "score": 0.45218, "confidence": 0.8, "model_version": 7},
        },
        "limits": {
            "items": [
                {
                    "type": "image_quality",
                    "used_by_request": 1,
                    "remaining": 9,
                    "limit": 10,
                    "reset_time": "2026-11-27T00:00:00Z",
                }
            ]
        },
        "request_id": context().request_id.lower(),
    }
    unlimited = analyze.render_result({}, (), context())
    assert json.loads(unlimited.body)["limits"] is None


@pytest.mark.parametrize(("score", "quality"), [(0.399, "low"), (0.40, "medium"), (0.649, "medium"), (0.65, "high")])
def test_the_bands_are_those_of_the_mapping(score: float, quality: str) -> None:
    assert analyze.analysis_data("a", replace(REPORT, score=score))["analysis"]["quality"] == quality


def test_a_task_is_promised_and_told() -> None:
    promised = analyze.render_accepted(TASK_ID, context())
    assert promised.status == 202
    assert json.loads(promised.body)["data"] == {"task_id": TASK_ID, "status": "pending"}
    told = analyze.render_task(TASK_ID, "failed", context())
    assert json.loads(told.body)["data"] == {"task_id": TASK_ID, "status": "failed"}


@pytest.mark.parametrize(
    ("kind", "status", "category"),
    [
        (INVALID_ARGUMENT, 400, "user_error"),
        (URL_NOT_ALLOWED, 400, "user_error"),
        (MODEL_NOT_AVAILABLE, 403, "user_error"),
        (INVALID_ACCESS_KEY_ID, 401, "auth_error"),
        (ACCESS_DENIED, 403, "auth_error"),
        (NO_SUCH_KEY, 404, "user_error"),
        (SLOW_DOWN, 429, "rate_limit_error"),
        (SCORERS_BUSY, 500, "server_error"),
        (INTERNAL_ERROR, 500, "server_error"),
    ],
)
def test_errors_are_those_of_the_schema(kind: ErrorKind, status: int, category: str) -> None:
    answer = analyze.render_error(ApiError(kind, "for the log"), context())
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["category"], error["message"]) == (status, category, kind.message)
    assert set(error) == {"category", "code", "message", "details", "request_id"}
    assert error["code"].startswith("MA_")
    assert "for the log" not in answer.body.decode()


def test_a_notification_tells_the_result_or_the_error() -> None:
    told = json.loads(analyze.notification(TASK, {"entity": "e"}, ()))
    assert (told["http_status"], told["data"], told["error"], told["task_id"]) == (200, {"entity": "e"}, None, TASK_ID)
    assert (told["operation_name"], told["operation_type"], told["notification_type"]) == (
        "analyze",
        "single",
        "analyze",
    )
    failed = json.loads(analyze.notification(TASK, None, (), ApiError(NO_SUCH_KEY)))
    assert (failed["http_status"], failed["data"], failed["error"]["request_id"]) == (404, None, "r1")


@pytest.mark.parametrize("file", ["cloudinary_python", "cloudinary_node"])
def test_what_the_sdks_sent_is_understood(file: str) -> None:
    if not FOLDER.is_dir():
        pytest.skip(MISSING)
    rows = [json.loads(line) for line in (FOLDER / f"{file}.jsonl").read_text("utf-8").splitlines()]
    analyses = [row for row in rows if "/analysis/" in row["path"]]
    assert analyses
    for row in analyses:
        request = analyze.read_request(analyze.route(read_head(row)), row["body_head"].encode())
        assert request.source == ("uri", json.loads(row["body_head"])["uri"])
