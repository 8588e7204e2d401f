from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import oss2
import pytest
from alibabacloud_oss_v2 import _client as oss_v2_client
from oss2 import exceptions, utils
from oss2 import headers as oss2_headers
from requests.structures import CaseInsensitiveDict

from gateway.dialects import oss
from gateway.dialects.base import Analyse
from gateway.errors import (
    ACCESS_DENIED,
    INVALID_ARGUMENT,
    INVALID_REQUEST,
    NO_ACTION,
    NO_SUCH_KEY,
    NO_SUCH_STYLE,
    NOT_IMPLEMENTED,
    SCORERS_BUSY,
    SIGNATURE_DOES_NOT_MATCH,
    UNKNOWN_ACTION,
    ApiError,
    ErrorKind,
)
from gateway.report import AverageColour
from gateway.request import ObjectRef
from tests.dialects.samples import DATE, INFO, REPORT, STORED, context, head, on

if TYPE_CHECKING:
    from gateway.dialects.base import Rendered


def asked(query: str, method: str = "GET", key: str = "a.jpg") -> Analyse:
    intent = oss.interpret(head(f"/demo/{key}?{query}", method), on(key))
    assert isinstance(intent, Analyse)
    return intent


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "query", ["x-oss-process=image/score", "x-oss-process=image%2Fscore", "x-oss-process=%69mage%2fscore&acl"]
)
def test_image_score_asks_for_a_score(method: str, query: str) -> None:
    assert asked(query, method) == Analyse(("s3:GetObject", "oss:ProcessImm"), None, "x-oss-process")


@pytest.mark.parametrize(("action", "processor"), [("info", "info"), ("average-hue", "average")])
def test_neighbours_of_the_score_need_the_same_rights(action: str, processor: str) -> None:
    expected = Analyse(("s3:GetObject", "oss:ProcessImm"), None, "x-oss-process", processor)
    assert asked(f"x-oss-process=image/{action}") == expected


@pytest.mark.parametrize(
    ("parameters", "place"),
    [
        ("o_cmVzdWx0cy9hLmpzb24", ObjectRef("demo", "results/a.json")),
        ("o_cmVzdWx0cy9hLmpzb24=,b_b3RoZXI=", ObjectRef("other", "results/a.json")),
        ("b_b3RoZXI,o_5Lit", ObjectRef("other", "中")),
        ("o_Pz8_Pj4-", ObjectRef("demo", "???>>>")),
    ],
)
def test_a_post_saves_the_answer_and_needs_one_right_more(parameters: str, place: ObjectRef) -> None:
    rights = ("s3:GetObject", "oss:ProcessImm", "oss:PostProcessTask")
    found = asked(f"x-oss-process=image/score|sys/saveas,{parameters}", "POST")
    assert found == Analyse(rights, None, "x-oss-process", "score", place)


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        ("", INVALID_ARGUMENT),
        (",", INVALID_ARGUMENT),
        (",o_", INVALID_ARGUMENT),
        (",b_YQ", INVALID_ARGUMENT),
        (",o_YQ,o_YQ", INVALID_ARGUMENT),
        (",o_YQ,x_1", INVALID_ARGUMENT),
        (",o_*", INVALID_ARGUMENT),
        (",o_YQ+", INVALID_ARGUMENT),
        (",o__w", INVALID_ARGUMENT),  # a byte that is not UTF-8
        (",o_YQ,b_", INVALID_ARGUMENT),
        (",o_YQ,b_YS9i", INVALID_ARGUMENT),
        (",o_" + "YWFh" * 400, INVALID_ARGUMENT),
        (",o_YQ,b_bWluaW8", ACCESS_DENIED),  # minio, where stores keep their administration
    ],
)
def test_a_place_that_is_none_is_refused(parameters: str, kind: ErrorKind) -> None:
    with pytest.raises(ApiError) as caught:
        asked(f"x-oss-process=image/score|sys/saveas{parameters}", "POST")
    assert caught.value.kind is kind


def test_information_is_told_as_objects_of_text_and_what_was_found_wins_over_what_the_file_says() -> None:
    rendered = oss.render_result(INFO, STORED, context())
    assert json.loads(rendered.body) == {
        "DateTime": {"value": "2015:02:11 15:38:27"},
        "FileSize": {"value": "21839"},
        "Format": {"value": "jpg"},
        "FrameCount": {"value": "1"},
        "ImageHeight": {"value": "267"},
        "ImageWidth": {"value": "400"},
        "Orientation": {"value": "7"},
    }
    unknown = json.loads(oss.render_result(replace(INFO, frames=None, file_bytes=None), STORED, context()).body)
    assert {"FrameCount", "FileSize"}.isdisjoint(unknown)


def test_a_mean_colour_is_told_in_aliyuns_words() -> None:
    rendered = oss.render_result(AverageColour(0x5C, 0x78, 0x3B), STORED, context())
    assert json.loads(rendered.body) == {"RGB": "0x5c783b"}


def test_oss2_reads_where_a_result_was_saved() -> None:
    saved = oss.render_saved(ObjectRef("demo", "中.json"), 77, context("POST"))
    answer = SimpleNamespace(
        status=200, headers=CaseInsensitiveDict(saved.headers), request_id="", read=lambda: saved.body
    )
    found = oss2.models.ProcessObjectResult(answer)
    assert (found.bucket, found.object, found.fileSize, found.process_status) == ("demo", "中.json", 77, "OK")


def test_the_version_of_the_object_is_taken_from_the_query_and_needs_its_own_right() -> None:
    versioned = ("s3:GetObjectVersion", "oss:ProcessImm")
    assert asked("x-oss-process=image/score&versionId=a%2Fb") == Analyse(versioned, "a/b", "x-oss-process")
    assert asked("x-oss-process=image/score&versionId=").version_id is None


@pytest.mark.parametrize(
    ("process", "kind", "word"),
    [
        ("", NO_ACTION, "no action"),
        ("image", NO_ACTION, "no action"),
        ("image/", NO_ACTION, "no action"),
        ("image/,w_1", NO_ACTION, "no action"),
        ("image/scores", UNKNOWN_ACTION, "unknown"),
        ("image/Score", UNKNOWN_ACTION, "unknown"),
        ("image/resize,w_100", NOT_IMPLEMENTED, "resize"),
        ("image/crop,w_1/rotate,90", NOT_IMPLEMENTED, "crop"),
        ("image/watermark,text_aGk", NOT_IMPLEMENTED, "watermark"),
        ("image/resize,s_700,limit_0/info", INVALID_ARGUMENT, "image/info cannot be chained"),
        ("image/average-hue,x_1", INVALID_ARGUMENT, "image/average-hue takes no parameters"),
        ("image/resize,w_100/score", INVALID_ARGUMENT, "chained"),
        ("image/score/resize,w_100", INVALID_ARGUMENT, "chained"),
        ("image/score/", INVALID_ARGUMENT, "chained"),
        ("image/score|sys/saveas,o_YQ", INVALID_ARGUMENT, "POST"),
        ("image/score|sys/saveas,o_YQ|sys/saveas,o_YQ", INVALID_ARGUMENT, "piped"),
        ("image/resize,w_100|image/score", INVALID_ARGUMENT, "piped"),
        ("image/score,x_1", INVALID_ARGUMENT, "no parameters"),
        ("image/score,", INVALID_ARGUMENT, "no parameters"),
        ("/score", INVALID_ARGUMENT, "service"),
        ("score", INVALID_ARGUMENT, "service"),
        ("Image/score", INVALID_ARGUMENT, "service"),
        ("sys/saveas,o_YQ", INVALID_ARGUMENT, "service"),
        ("style/thumb", NO_SUCH_STYLE, "style"),
        ("video/snapshot,t_1", NOT_IMPLEMENTED, "video"),
        ("doc/preview", NOT_IMPLEMENTED, "doc"),
    ],
)
def test_any_other_process_is_refused_and_told_why(process: str, kind: ErrorKind, word: str) -> None:
    with pytest.raises(ApiError) as caught:
        asked(f"x-oss-process={process}")
    assert caught.value.kind is kind
    assert word in caught.value.message


@pytest.mark.parametrize(
    ("method", "key", "query", "kind"),
    [
        ("POST", "a", "x-oss-process=", NO_ACTION),
        ("POST", "a", "x-oss-process=image/score", INVALID_ARGUMENT),
        ("PUT", "a", "x-oss-process=image/score|sys/saveas,o_YQ", INVALID_ARGUMENT),
        ("PUT", "a", "x-oss-process=image/score", INVALID_ARGUMENT),
        ("DELETE", "a", "x-oss-process=image/score", INVALID_ARGUMENT),
        ("GET", "", "x-oss-process=image/score", INVALID_ARGUMENT),
        ("GET", "a", "x-oss-async-process=image/score", NOT_IMPLEMENTED),
        ("POST", "a", "x-oss-async-process=video/convert", NOT_IMPLEMENTED),
        ("GET", "a", "x-oss-process=image/score&x-oss-process=image/score", INVALID_REQUEST),
    ],
)
def test_a_process_in_the_wrong_place_is_refused(method: str, key: str, query: str, kind: ErrorKind) -> None:
    with pytest.raises(ApiError) as caught:
        asked(query, method, key)
    assert caught.value.kind is kind


def test_the_score_is_told_in_aliyuns_words_with_three_decimals() -> None:
    rendered = oss.render_result(REPORT, STORED, context())
    assert rendered.status == 200
    assert rendered.body == (b'{"ImageScore":{"OverallQualityScore":0.705},"RequestId":"65E0000000000000000000AA"}')
    assert dict(rendered.headers) == {
        "x-oss-request-id": "65E0000000000000000000AA",
        "x-oss-server-time": "12",
        "x-oss-object-type": "Normal",
        "x-oss-storage-class": "Standard",
        "ETag": '"5d41402a-score-7"',
        "Last-Modified": "Tue, 18 Nov 2025 01:02:03 GMT",
        "Cache-Control": "private",
        "Content-Type": "application/json;charset=utf-8",
    }
    assert len(rendered.headers) == len(dict(rendered.headers))


@pytest.mark.parametrize(("score", "text"), [(0.0, b"0.000"), (1.0, b"1.000"), (0.7, b"0.700"), (0.12345, b"0.123")])
def test_a_score_always_has_three_decimals(score: float, text: bytes) -> None:
    body = oss.render_result(replace(REPORT, score=score), STORED, context()).body
    assert b'"OverallQualityScore":' + text + b"}" in body
    assert json.loads(body)["ImageScore"]["OverallQualityScore"] == pytest.approx(score, abs=0.0005)


def test_version_and_storage_class_are_told_and_a_public_bucket_may_be_cached() -> None:
    stored = STORED._replace(version_id="v1", storage_class="STANDARD_IA")
    told = dict(oss.render_result(REPORT, stored, context(public=True)).headers)
    assert (told["x-oss-version-id"], told["x-oss-storage-class"]) == ("v1", "IA")
    assert "Cache-Control" not in told


def test_oss2_reads_the_headers_of_a_score() -> None:
    told = dict(oss.render_result(REPORT, STORED, context()).headers)
    answer = SimpleNamespace(
        status=200, headers=CaseInsensitiveDict(told), request_id=told[oss2_headers.OSS_REQUEST_ID]
    )
    result = oss2.models.HeadObjectResult(answer)
    assert (result.etag, result.object_type) == ("5d41402a-score-7", "Normal")
    assert result.last_modified == utils.http_to_unixtime("Tue, 18 Nov 2025 01:02:03 GMT")
    assert result.server_crc is None


def test_a_304_says_what_the_score_says_but_for_its_content() -> None:
    rendered = oss.render_not_modified(STORED, context())
    told = dict(oss.render_result(REPORT, STORED, context()).headers)
    del told["Content-Type"]
    assert (rendered.status, dict(rendered.headers), rendered.body) == (304, told, b"")


def oss2_exception(rendered: Rendered) -> Any:
    return exceptions.make_exception(
        SimpleNamespace(status=rendered.status, headers=dict(rendered.headers), read=io.BytesIO(rendered.body).read)
    )


def oss_v2_exception(rendered: Rendered) -> Any:
    request = SimpleNamespace(method="GET", url="http://demo.oss.example/a.jpg")
    answer = SimpleNamespace(
        status_code=rendered.status,
        headers={"Date": DATE, **dict(rendered.headers)},
        content=rendered.body,
        close=lambda: None,
        request=request,
    )
    return oss_v2_client._to_service_error(answer)


def test_the_error_document_is_aliyuns() -> None:
    rendered = oss.render_error(ApiError(NO_SUCH_KEY, fields=(("Key", "a&b"),)), context())
    assert rendered.status == 404
    assert rendered.body == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>"
        b"<RequestId>65E0000000000000000000AA</RequestId><HostId>demo.oss.example</HostId>"
        b"<EC>0026-00000001</EC><Key>a&amp;b</Key></Error>"
    )
    assert dict(rendered.headers) == {
        "x-oss-request-id": "65E0000000000000000000AA",
        "x-oss-server-time": "12",
        "x-oss-ec": "0026-00000001",
        "Content-Type": "application/xml",
    }


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_both_sdks_raise_their_own_exceptions_even_for_head(method: str) -> None:
    missing = oss.render_error(ApiError(NO_SUCH_KEY), context(method))
    forged = oss.render_error(ApiError(SIGNATURE_DOES_NOT_MATCH), context(method))
    assert isinstance(oss2_exception(missing), exceptions.NoSuchKey)
    assert isinstance(oss2_exception(forged), exceptions.SignatureDoesNotMatch)
    assert oss2_exception(missing).request_id == "65E0000000000000000000AA"
    raised = oss_v2_exception(missing)
    assert (raised.code, raised.ec, raised.status_code) == ("NoSuchKey", "0026-00000001", 404)
    assert raised.request_id == "65E0000000000000000000AA"


def test_head_carries_the_document_in_a_header() -> None:
    rendered = oss.render_error(ApiError(NO_SUCH_KEY), context("HEAD"))
    assert rendered.body == b""
    assert (
        base64.b64decode(dict(rendered.headers)["x-oss-err"]) == oss.render_error(ApiError(NO_SUCH_KEY), context()).body
    )


def test_a_busy_gateway_says_when_to_come_back_in_aliyuns_code() -> None:
    rendered = oss.render_error(ApiError(SCORERS_BUSY), context())
    assert oss2_exception(rendered).code == "ServiceUnavailable"
    assert dict(rendered.headers)["Retry-After"] == "1"
    assert dict(rendered.headers)["Cache-Control"] == "no-store"


@pytest.mark.parametrize("character", ["&", "\r", "\U0001f600", "\x00"])
def test_an_error_stays_below_what_oss2_reads(character: str) -> None:
    long = character * 5000
    fields = (("First", "kept"), ("Second", long))
    rendered = oss.render_error(ApiError(NO_SUCH_KEY, message=long, fields=fields), context(host=long))
    assert len(rendered.body) < 4096
    assert oss2_exception(rendered).details["First"] == "kept"


def test_answer_headers_are_renamed_and_completed() -> None:
    store = (("ETag", '"e"'), ("x-amz-meta-a", "1"), ("x-amz-request-id", "other"), ("content-type", "image/png"))
    assert oss.translate_headers(store, context()) == (
        ("x-oss-request-id", "65E0000000000000000000AA"),
        ("x-oss-server-time", "12"),
        ("x-oss-object-type", "Normal"),
        ("x-oss-storage-class", "Standard"),
        ("ETag", '"e"'),
        ("x-oss-meta-a", "1"),
        ("content-type", "image/png"),
    )
    assert "x-oss-object-type" not in dict(oss.translate_headers(store, context("PUT")))


def test_the_stores_own_storage_class_is_told_once() -> None:
    told = oss.translate_headers((("etag", '"e"'), ("x-amz-storage-class", "GLACIER")), context("HEAD"))
    assert [value for name, value in told if name == "x-oss-storage-class"] == ["Archive"]
