"""Sightengine's API as text: what is asked, what is answered, how errors are told."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gateway.dialects import sightengine
from gateway.errors import (
    ACCESS_DENIED,
    ENTITY_TOO_LARGE,
    IMAGE_DAMAGED,
    INTERNAL_ERROR,
    INVALID_ACCESS_KEY_ID,
    INVALID_ARGUMENT,
    MALFORMED_POST_REQUEST,
    NOT_AN_IMAGE,
    SIGNATURE_DOES_NOT_MATCH,
    SLOW_DOWN,
    URL_NOT_ALLOWED,
    URL_UNREACHABLE,
    ApiError,
    ErrorKind,
)
from tests.dialects.samples import REPORT, context, head
from tests.vectors import FOLDER, MISSING, read_head


def read(fields: dict[str, str], *, has_media: bool = False, strict: bool = False) -> sightengine.Check:
    return sightengine.read_fields(fields, has_media=has_media, other_models="error" if strict else "ignore")


@pytest.mark.parametrize("models", ["quality", "quality,properties", "nudity-2.1, quality ,", ",quality"])
def test_quality_is_answered_alone_or_among_others(models: str) -> None:
    assert read({"models": models, "url": "http://a"}).url == "http://a"
    assert read({"models": models}, has_media=True).url is None


def test_other_models_can_be_an_error() -> None:
    with pytest.raises(ApiError, match="properties"):
        read({"models": "quality,properties", "url": "http://a"}, strict=True)
    assert read({"models": "quality", "url": "http://a"}, strict=True).url == "http://a"


@pytest.mark.parametrize(
    ("fields", "has_media"),
    [
        ({"url": "http://a"}, False),
        ({"models": "", "url": "http://a"}, False),
        ({"models": "properties", "url": "http://a"}, False),
        ({"models": "quality"}, False),
        ({"models": "quality", "url": ""}, False),
        ({"models": "quality", "url": "http://a"}, True),
        ({"models": ",".join(["quality"] * 51), "url": "http://a"}, False),
    ],
)
def test_what_lacks_a_parameter_or_has_one_too_many_is_an_argument_error(
    fields: dict[str, str],
    has_media: bool,  # noqa: FBT001 # a parameter
) -> None:
    with pytest.raises(ApiError) as caught:
        read(fields, has_media=has_media)
    assert caught.value.kind is INVALID_ARGUMENT


@pytest.mark.parametrize("path", ["/1.0/check.json", "/1.0/feedback.json", "/1.0/video/check-sync.json"])
def test_the_vendor_s_paths_are_its_own_and_only_one_is_answered(path: str) -> None:
    assert sightengine.reserves(head(path, "POST"))
    if path != sightengine.CHECK:
        with pytest.raises(ApiError, match="not available"):
            sightengine.check_path(head(path, "POST"))
    else:
        sightengine.check_path(head(path, "POST"))
    with pytest.raises(ApiError):
        sightengine.check_path(head(path, "DELETE"))


@pytest.mark.parametrize("path", ["/1.0/check.jpg", "/1.0/other/check.json", "/1.0", "/1.1/check.json"])
def test_other_paths_stay_objects_of_buckets(path: str) -> None:
    assert not sightengine.reserves(head(path, "GET"))


def test_a_score_is_told_as_in_the_vendor_s_sample() -> None:
    answer = sightengine.render_result(replace(REPORT, score=0.9549), "http://a/b.jpg", context())
    document = json.loads(answer.body)
    assert (answer.status, dict(answer.headers)["Content-Type"]) == (200, "application/json")
    assert document["status"] == "success"
    assert document["quality"] == {"score": 0.95}
    assert document["request"]["operations"] == 1
    assert document["request"]["id"].startswith("req_")
    assert document["request"]["timestamp"] == context().now.timestamp()
    assert document["media"]["id"].startswith("med_")
    assert document["media"]["uri"] == "http://a/b.jpg"


@pytest.mark.parametrize(
    ("kind", "status", "named"),
    [
        (INVALID_ACCESS_KEY_ID, 401, "argument_error"),
        (SIGNATURE_DOES_NOT_MATCH, 401, "argument_error"),
        (INVALID_ARGUMENT, 400, "argument_error"),
        (MALFORMED_POST_REQUEST, 400, "request_error"),
        (ACCESS_DENIED, 403, "credentials_error"),
        (NOT_AN_IMAGE, 400, "media_error"),
        (IMAGE_DAMAGED, 400, "media_error"),
        (ENTITY_TOO_LARGE, 400, "media_error"),
        (URL_NOT_ALLOWED, 400, "media_error"),
        (URL_UNREACHABLE, 400, "media_error"),
        (SLOW_DOWN, 429, "usage_limit"),
        (INTERNAL_ERROR, 500, "api_error"),
    ],
)
def test_an_error_has_type_code_and_message(kind: ErrorKind, status: int, named: str) -> None:
    answer = sightengine.render_error(ApiError(kind, "for the log"), context())
    document = json.loads(answer.body)
    assert (answer.status, document["status"], document["error"]["type"]) == (status, "failure", named)
    assert set(document["error"]) == {"type", "code", "message"}
    assert document["request"]["operations"] == 0
    assert "for the log" not in answer.body.decode()


def test_a_wrong_key_and_a_wrong_secret_look_alike_and_as_published() -> None:
    bodies = [
        json.loads(sightengine.render_error(ApiError(kind), context()).body)["error"]
        for kind in (INVALID_ACCESS_KEY_ID, SIGNATURE_DOES_NOT_MATCH)
    ]
    expected = {"type": "argument_error", "code": 1, "message": "Incorrect API user or API secret"}
    assert bodies == [expected, expected]


def test_each_code_means_one_kind_of_error() -> None:
    codes = [(kind, code) for kind, code, _ in sightengine._ERRORS.values() if code >= 20]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("file", ["sightengine_python", "sightengine_node"])
def test_what_the_sdks_asked_by_url_is_understood(file: str) -> None:
    if not FOLDER.is_dir():
        pytest.skip(MISSING)
    rows = [json.loads(line) for line in (FOLDER / f"{file}.jsonl").read_text("utf-8").splitlines()]
    asked = [read_head(row) for row in rows if row["method"] == "GET"]
    assert asked
    for each in asked:
        assert sightengine.reserves(each)
        fields = {parameter.name: parameter.value.replace("+", " ") for parameter in each.parameters}
        assert read(fields).url in ("https://example.com/a b.jpg?x=1&y=2", "https://example.com/a.jpg")
