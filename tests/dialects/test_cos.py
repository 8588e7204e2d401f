from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from qcloud_cos.cos_comm import xml_to_dict
from qcloud_cos.cos_exception import CosServiceError

from gateway.dialects import cos
from gateway.dialects.base import Analyse
from gateway.errors import (
    ACCESS_DENIED,
    INVALID_ARGUMENT,
    NO_SUCH_KEY,
    NOT_AN_IMAGE,
    NOT_IMPLEMENTED,
    ApiError,
    ErrorKind,
    from_store,
)
from gateway.report import AverageColour, Flags
from tests.dialects.samples import INFO, REPORT, STORED, context, head, on

if TYPE_CHECKING:
    from gateway.dialects.base import AnswerContext

HOST = "demo-1250000000.cos.ap-beijing.myqcloud.com"


def asked(query: str, method: str = "GET", key: str = "a.jpg") -> Analyse:
    intent = cos.interpret(head(f"/{key}?{query}", method), on(key))
    assert isinstance(intent, Analyse)
    return intent


def cos_context(method: str = "GET") -> AnswerContext:
    return context(method, HOST)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("query", ["ci-process=AssessQuality", "ci%2Dprocess=Assess%51uality&x=1"])
def test_assess_quality_asks_for_a_score(method: str, query: str) -> None:
    assert asked(query, method) == Analyse(
        ("s3:GetObject", "ci:CreateAssessQualityJob"), None, "ci-process", small_decides=True
    )


def test_the_version_of_the_object_is_taken_from_the_query_and_needs_its_own_right() -> None:
    versioned = ("s3:GetObjectVersion", "ci:CreateAssessQualityJob")
    assert asked("ci-process=AssessQuality&versionId=v1") == Analyse(versioned, "v1", "ci-process", small_decides=True)


@pytest.mark.parametrize(
    ("query", "kind", "word"),
    [
        ("ci-process=", INVALID_ARGUMENT, "unknown"),
        ("ci-process=assessquality", INVALID_ARGUMENT, "unknown"),
        ("ci-process=Polish", INVALID_ARGUMENT, "unknown"),
        ("ci-process=DetectCar", NOT_IMPLEMENTED, "DetectCar"),
        ("ci-process=sensitive-content-recognition", NOT_IMPLEMENTED, "sensitive"),
        ("ci-process=AssessQuality&detect-url=http%3A%2F%2Fx", NOT_IMPLEMENTED, "detect-url"),
        ("ci-process=AssessQuality&imageMogr2/rotate/90", NOT_IMPLEMENTED, "imageMogr2"),
        ("imageInfo&imageAve", INVALID_ARGUMENT, "combined"),
        ("imageInfo&ci-process=AssessQuality", INVALID_ARGUMENT, "combined"),
        ("imageInfo&imageView2/1/w/9", NOT_IMPLEMENTED, "imageView2"),
        ("imageMogr2/thumbnail/!50p", NOT_IMPLEMENTED, "imageMogr2"),
        ("watermark/2/text/aGk", NOT_IMPLEMENTED, "watermark"),
        ("exif", NOT_IMPLEMENTED, "exif"),
    ],
)
def test_any_other_process_is_refused_and_told_why(query: str, kind: ErrorKind, word: str) -> None:
    with pytest.raises(ApiError) as caught:
        asked(query)
    assert caught.value.kind is kind
    assert word in caught.value.message


@pytest.mark.parametrize(("method", "key"), [("PUT", "a"), ("POST", "a"), ("DELETE", "a"), ("GET", "")])
def test_a_process_in_the_wrong_place_is_refused(method: str, key: str) -> None:
    with pytest.raises(ApiError) as caught:
        asked("ci-process=AssessQuality", method, key)
    assert caught.value.kind is INVALID_ARGUMENT


@pytest.mark.parametrize(("name", "processor"), [("imageInfo", "info"), ("imageAve", "average")])
@pytest.mark.parametrize("query", ["{}", "{}=", "x=1&{}"])
def test_neighbours_of_the_score_need_the_same_rights(name: str, processor: str, query: str) -> None:
    rights = ("s3:GetObject", "ci:CreateAssessQualityJob")
    assert asked(query.format(name)) == Analyse(rights, None, name, processor)


def test_information_and_a_mean_colour_are_told_as_json_of_texts() -> None:
    rendered = cos.render_result(INFO, STORED, cos_context())
    told = {"format": "jpeg", "width": "400", "height": "267", "size": "21839", "frame_count": "1"}
    assert json.loads(rendered.body) == told
    assert dict(rendered.headers)["Content-Type"] == "application/json"
    rendered = cos.render_result(AverageColour(0x73, 0x62, 0x46), STORED, cos_context())
    assert json.loads(rendered.body) == {"RGB": "0x736246"}


def test_the_score_is_told_in_tencents_words() -> None:
    rendered = cos.render_result(REPORT, STORED, cos_context())
    assert rendered.status == 200
    assert rendered.body == (
        b"<Response><LongImage>FALSE</LongImage><BlackAndWhite>FALSE</BlackAndWhite><SmallImage>FALSE</SmallImage>"
        b"<BigImage>TRUE</BigImage><PureImage>FALSE</PureImage><ClarityScore>89</ClarityScore>"
        b"<AestheticScore>70</AestheticScore><LowQualityScore>40</LowQualityScore>"
        b"<RequestId>65E0000000000000000000AA</RequestId></Response>"
    )
    assert dict(rendered.headers) == {
        "x-cos-request-id": "65E0000000000000000000AA",
        "ETag": '"5d41402a-score-7"',
        "Last-Modified": "Tue, 18 Nov 2025 01:02:03 GMT",
        "Cache-Control": "private",
        "Content-Type": "application/xml",
    }
    assert len(rendered.headers) == len(dict(rendered.headers))


def test_cos_python_reads_the_score() -> None:
    assert xml_to_dict(cos.render_result(REPORT, STORED, cos_context()).body) == {
        "LongImage": "FALSE",
        "BlackAndWhite": "FALSE",
        "SmallImage": "FALSE",
        "BigImage": "TRUE",
        "PureImage": "FALSE",
        "ClarityScore": "89",
        "AestheticScore": "70",
        "LowQualityScore": "40",
        "RequestId": "65E0000000000000000000AA",
    }


def test_a_small_image_has_every_other_field_zero_or_false() -> None:
    flags = Flags(long_image=True, black_and_white=True, small_image=True, big_image=True, pure_image=True)
    told = xml_to_dict(cos.render_result(replace(REPORT, flags=flags), STORED, cos_context()).body)
    assert told.pop("RequestId") == "65E0000000000000000000AA"
    assert told.pop("SmallImage") == "TRUE"
    assert {name: value for name, value in told.items() if value not in ("FALSE", "0")} == {}
    assert len(told) == 7


def test_each_finding_stands_in_its_own_element() -> None:
    for name in ("long_image", "black_and_white", "big_image", "pure_image"):
        flags = replace(Flags(*[False] * 5), **{name: True})
        told = xml_to_dict(cos.render_result(replace(REPORT, flags=flags), STORED, cos_context()).body)
        element = name.title().replace("_", "")
        assert [found for found, value in told.items() if value == "TRUE"] == [element]


def test_the_storage_class_is_told_only_when_it_is_not_standard() -> None:
    def told(storage_class: str) -> str | None:
        stored = STORED._replace(storage_class=storage_class, version_id="v1")
        return dict(cos.render_result(REPORT, stored, cos_context()).headers).get("x-cos-storage-class")

    assert [told(name) for name in ("", "STANDARD", "STANDARD_IA", "GLACIER")] == [None, None, "STANDARD_IA", "ARCHIVE"]


def test_a_304_says_what_the_score_says_but_for_its_content() -> None:
    rendered = cos.render_not_modified(STORED, cos_context())
    told = dict(cos.render_result(REPORT, STORED, cos_context()).headers)
    del told["Content-Type"]
    assert (rendered.status, dict(rendered.headers), rendered.body) == (304, told, b"")


def test_the_error_document_is_tencents() -> None:
    rendered = cos.render_error(ApiError(NO_SUCH_KEY), cos_context())
    assert rendered.status == 404
    assert rendered.body == (
        b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>"
        b"<Resource>demo-1250000000.cos.ap-beijing.myqcloud.com/a.jpg</Resource>"
        b"<RequestId>65E0000000000000000000AA</RequestId><TraceId>65E0000000000000000000AA</TraceId></Error>"
    )
    assert dict(rendered.headers) == {
        "x-cos-request-id": "65E0000000000000000000AA",
        "x-cos-trace-id": "65E0000000000000000000AA",
        "Content-Type": "application/xml",
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ApiError(ACCESS_DENIED, message="a < b"), "AccessDenied"),
        (ApiError(NOT_AN_IMAGE), "InvalidImageFormat"),
        (from_store(409, "BucketNotEmpty", ""), "BucketNotEmpty"),
    ],
)
def test_cos_python_reads_every_error(error: ApiError, code: str) -> None:
    rendered = cos.render_error(error, context(host=""))
    raised = CosServiceError("GET", rendered.body, rendered.status)
    assert raised.get_error_code() == code
    assert raised.get_error_msg() == (error.message or code)
    assert raised.get_resource_location() == "/a.jpg"
    assert raised.get_request_id() == raised.get_trace_id() == "65E0000000000000000000AA"


def test_no_header_overrides_the_document_and_head_has_no_body() -> None:
    rendered = cos.render_error(ApiError(ACCESS_DENIED), cos_context("HEAD"))
    assert rendered.body == b""
    assert "x-cos-error-code" not in dict(rendered.headers)
    assert dict(rendered.headers)["Cache-Control"] == "no-store"


def test_answer_headers_are_renamed_and_completed() -> None:
    store = (("ETag", '"e"'), ("x-amz-meta-a", "1"), ("x-amz-request-id", "other"))
    assert cos.translate_headers(store, cos_context()) == (
        ("x-cos-request-id", "65E0000000000000000000AA"),
        ("ETag", '"e"'),
        ("x-cos-meta-a", "1"),
    )
