from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from gateway.dialects import cloudinary, cloudinary_delivery, registry
from gateway.dialects.base import AnswerContext
from gateway.dialects.cloudinary_quality import band, detection, indexed, quality_analysis
from gateway.dialects.cloudinary_routes import Action, Route, route
from gateway.dialects.cloudinary_upload import (
    ContentRange,
    check_public_id,
    flag,
    parse_content_range,
    parse_context,
    parse_tags,
    strings,
    wants_iqa,
    with_preset,
)
from gateway.errors import INVALID_ARGUMENT, NOT_AN_IMAGE, SCORERS_BUSY, SLOW_DOWN, ApiError, ErrorKind
from gateway.report import Flags, QualityReport
from gateway.request import RequestHead

CONTEXT = AnswerContext("ABC", "GET", "h", "/", datetime(2026, 11, 26, tzinfo=UTC))


def head(method: str, path: str, host: str = "h") -> RequestHead:
    return RequestHead(method, path, "", host, (("host", host),))


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("POST", "image/upload", Route("demo", Action.UPLOAD, "image")),
        ("POST", "auto/upload", Route("demo", Action.UPLOAD, "auto")),
        ("POST", "raw/destroy", Route("demo", Action.DESTROY, "raw")),
        ("GET", "ping", Route("demo", Action.PING)),
        ("GET", "resources", Route("demo", Action.LIST)),
        ("GET", "resources/image", Route("demo", Action.LIST, "image")),
        ("HEAD", "resources/image/upload", Route("demo", Action.LIST, "image", "upload")),
        ("POST", "resources%2Fsearch", Route("demo", Action.SEARCH)),
        ("GET", "resources/image/upload/a/b%20c", Route("demo", Action.SHOW, "image", "upload", "a/b c")),
        ("GET", "resources/image/private/a%2Fb", Route("demo", Action.SHOW, "image", "private", "a/b")),
        ("POST", "resources/raw/upload/a", Route("demo", Action.UPDATE, "raw", "upload", "a")),
        ("GET", f"resources/{'a' * 32}", Route("demo", Action.SHOW, asset_id="a" * 32)),
        ("DELETE", "resources/image/upload", Route("demo", Action.DELETE, "image", "upload")),
    ],
)
def test_a_path_says_what_is_asked(method: str, path: str, found: Route) -> None:
    assert route(head(method, f"/v1_1/demo/{path}")) == found


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "auto/explicit"),
        ("POST", "image/tags"),
        ("GET", "resources/image/upload/"),
        ("GET", "resources/fonts"),
        ("PATCH", "resources/image/upload/a"),
        ("POST", "resources/image/upload"),
    ],
)
def test_a_path_that_leads_nowhere_is_a_404(method: str, path: str) -> None:
    with pytest.raises(ApiError) as caught:
        route(head(method, f"/v1_1/demo/{path}"))
    assert caught.value.kind.status == 404


HOSTS = {"cloudinary": (), "cloudinary-delivery": ("res.h",)}


@pytest.mark.parametrize(
    ("path", "host", "schemes", "name"),
    [
        ("/v1_1/demo/image/upload", "h", (), "cloudinary"),
        ("/v1_1/demo/image/upload", "h", ("aws_v4",), ""),
        ("/v1_1/demo", "h", (), ""),
        ("/v1_1/", "h", (), ""),
        ("/v1_10/demo/x", "h", (), ""),
        ("/demo/image/upload/x.jpg", "h", (), ""),
        ("/demo/image/upload/x.jpg", "RES.h:9000", (), "cloudinary-delivery"),
        ("/demo/image/upload/x.jpg", "res.h", ("aws_v4",), ""),
    ],
)
def test_only_exact_paths_without_another_claim_are_reserved(
    path: str, host: str, schemes: tuple[str, ...], name: str
) -> None:
    found = registry.reserved(head("GET", path, host), schemes, HOSTS)
    assert (found.NAME if found else "") == name


@pytest.mark.parametrize(
    ("text", "context"),
    [
        ("", {}),
        ("a=b", {"a": "b"}),
        ("a=b|c=d|", {"a": "b", "c": "d"}),
        (r"k=v\=1\|2", {"k": "v=1|2"}),
        ("k=", {"k": ""}),
        ("k=a=b", {"k": "a=b"}),
    ],
)
def test_a_context_is_read_as_the_sdks_write_it(text: str, context: dict[str, str]) -> None:
    assert parse_context(text) == context


@pytest.mark.parametrize("text", ["a", "=b", "a=b|c"])
def test_what_is_no_context_is_refused(text: str) -> None:
    with pytest.raises(ApiError, match="InvalidArgument"):
        parse_context(text)


def test_plain_values() -> None:
    assert parse_tags(" a, b,,a ") == ("a", "b")
    assert [flag({"x": text}, "x") for text in ("1", "true", "True", "0", "false", "")] == [True] * 3 + [False] * 3
    assert flag({}, "x", default=True)
    assert [wants_iqa({"detection": text}) for text in ("iqa", "captioning,iqa", "iqa_v1", "captioning", "")] == [
        *[True] * 3,
        *[False] * 2,
    ]
    assert strings({"a": True, "b": ["x", 1], "c": None, "d": {"e": 1}, "f": "g"}) == {
        "a": "true",
        "b": "x,1",
        "d": '{"e":1}',
        "f": "g",
    }


def test_a_presets_parameters_yield_to_a_signed_upload_alone() -> None:
    own, preset = {"folder": "mine", "tags": "t"}, {"folder": "theirs"}
    assert with_preset(own, preset, signed=True) == {"folder": "mine", "tags": "t"}
    assert with_preset(own, preset, signed=False) == {"folder": "theirs", "tags": "t"}


@pytest.mark.parametrize("text", ["bytes 0-9/10", "bytes 0-9/-1", "bytes 0-9/*"])
def test_a_content_range_is_read(text: str) -> None:
    assert parse_content_range(text) == ContentRange(0, 10, 10 if text.endswith("10") else None)


@pytest.mark.parametrize(
    "public_id",
    ["", "a" * 256, "/a", "a/", "a//b", ".", "a/../b", " a", "a\n", "a\\b", "\ud800", ".gateway-parts/x", "é" * 128],
)
def test_a_public_id_that_cannot_be_a_key_is_refused(public_id: str) -> None:
    with pytest.raises(ApiError, match="InvalidArgument"):
        check_public_id(public_id)


@pytest.mark.parametrize(
    ("kind", "status", "told"),
    [
        (NOT_AN_IMAGE, 400, "Invalid image file"),
        (SLOW_DOWN, 420, SLOW_DOWN.message),
        (SCORERS_BUSY, 500, SCORERS_BUSY.message),
        (ErrorKind(412, "X", "x"), 400, "x"),
        (ErrorKind(502, "X", "x"), 500, "x"),
    ],
)
def test_errors_have_a_status_that_both_sdks_know(kind: ErrorKind, status: int, told: str) -> None:
    rendered = cloudinary.render_error(ApiError(kind), CONTEXT)
    document = {"error": {"message": told, "request_id": CONTEXT.request_id.lower()}}
    assert (rendered.status, json.loads(rendered.body)) == (status, document)
    assert dict(rendered.headers)["X-Cld-Error"] == told


def test_a_message_becomes_a_header_whatever_is_in_it() -> None:
    rendered = cloudinary_delivery.render_error(ApiError(INVALID_ARGUMENT, message="é\r\nX: y" + "z" * 5000), CONTEXT)
    told = dict(rendered.headers)["X-Cld-Error"]
    assert told.startswith("\\u00e9 X: yz")
    assert told.isascii()
    assert len(told) < 1100


REPORT = QualityReport(
    score=0.45218,
    sub_scores={"focus": 0.70312, "noise": 0.987654, "pixel_score": 0.271, "color_score": 0.909},
    measures={},
    flags=Flags(*[False] * 5),
    clarity=1,
    aesthetic=1,
    content=1,
    confidence=0.8,
    reasons=(),
    width=1,
    height=1,
    format="png",
    model_version="3",
)


def test_a_report_is_told_as_the_vendor_does() -> None:
    assert quality_analysis(REPORT, extended=False) == {"quality_analysis": {"focus": 0.70312}}
    assert quality_analysis(REPORT, extended=True) == {
        "quality_analysis": {"focus": 0.7, "noise": 0.99, "pixel_score": 0.27, "color_score": 0.91},
        "quality_score": 0.45,
    }
    iqa = detection(REPORT)["info"]["detection"]["object_detection"]["data"]["iqa"]
    assert iqa["tags"]["iqa-analysis"] == [{"attributes": {"score": 0.45218, "quality": "medium", "confidence": 0.8}}]
    assert iqa["model_version"] == 3
    assert indexed(REPORT)["quality_analysis.pixel_score"] == 0.27


@pytest.mark.parametrize(("score", "name"), [(0.399, "low"), (0.4, "medium"), (0.649, "medium"), (0.65, "high")])
def test_the_bands_of_quality(score: float, name: str) -> None:
    assert band(score) == name
