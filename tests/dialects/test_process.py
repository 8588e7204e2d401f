from __future__ import annotations

import pytest

from gateway.dialects.process import process_parameters, refuse_conflict, with_body, with_style
from gateway.errors import CONFLICTING_PROCESS, INVALID_REQUEST, NO_SUCH_STYLE, ApiError
from tests.dialects.samples import head


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ()),
        ("versionId=1&acl", ()),
        ("x-oss-process=image/score", ("x-oss-process",)),
        ("x%2Doss%2Dprocess=", ("x-oss-process",)),
        ("x-oss-async-process=video/convert", ("x-oss-async-process",)),
        ("ci-process=AssessQuality", ("ci-process",)),
        ("imageInfo=", ("imageInfo",)),
        ("imageAve", ("imageAve",)),
        ("imageMogr2/thumbnail/!50p", ("imageMogr2/thumbnail/!50p",)),
        ("imageMogr2%2Fthumbnail%2F!50p=", ("imageMogr2/thumbnail/!50p",)),
        ("imageView2/1/w/100", ("imageView2/1/w/100",)),
        ("watermark/2/text/aGk", ("watermark/2/text/aGk",)),
        ("ci-process=a&x-oss-process=b", ("x-oss-process", "ci-process")),
        ("x-oss-process=a&x-oss-process=b", ("x-oss-process", "x-oss-process")),
    ],
)
def test_process_parameters_are_found_under_their_decoded_names(query: str, names: tuple[str, ...]) -> None:
    assert process_parameters(head(f"/k?{query}")) == names


@pytest.mark.parametrize("name", ["exif", "watermark", "imageinfo", "imageInfo2", "imageMogr21", "image", "process"])
def test_a_name_that_others_use_too_is_no_process_parameter(name: str) -> None:
    assert process_parameters(head(f"/k?{name}=1")) == ()


@pytest.mark.parametrize("query", ["x-oss-process=a&ci-process=b", "imageInfo&x-oss-async-process=a"])
def test_both_vendors_at_once_conflict(query: str) -> None:
    with pytest.raises(ApiError) as caught:
        refuse_conflict(head(f"/k?{query}"))
    assert caught.value.kind is CONFLICTING_PROCESS


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("x-oss-process=style/rate", "x-oss-process=image%2Fscore"),
        ("versionId=v%2B1&x-oss-process=style%2Frate&a", "versionId=v%2B1&a&x-oss-process=image%2Fscore"),
        ("x-oss-process=style/rate|sys/saveas,o_YQ", "x-oss-process=image%2Fscore%7Csys%2Fsaveas%2Co_YQ"),
        ("x-oss-process=image/info", "x-oss-process=image/info"),
        ("x-oss-process=style/rate&x-oss-process=style/rate", "x-oss-process=style/rate&x-oss-process=style/rate"),
        ("style/rate", "style/rate"),
    ],
)
def test_a_style_is_the_process_it_stands_for(query: str, expected: str) -> None:
    assert with_style(head(f"/k?{query}"), {"rate": "image/score"}).raw_query == expected


@pytest.mark.parametrize("name", ["", "Rate", "rate/", "rate,x", "rate%20"])
def test_a_style_that_nobody_configured_does_not_exist(name: str) -> None:
    with pytest.raises(ApiError) as caught:
        with_style(head(f"/k?x-oss-process=style/{name}"), {"rate": "image/score"})
    assert caught.value.kind is NO_SUCH_STYLE


@pytest.mark.parametrize(
    ("body", "query"),
    [
        (b"x-oss-process=image/score|sys/saveas,o_YQ==", "x-oss-process=image%2Fscore%7Csys%2Fsaveas%2Co_YQ%3D%3D"),
        (b"x-oss-process=image%2Fscore%7Csys%2Fsaveas%2Co_YQ", "x-oss-process=image%2Fscore%7Csys%2Fsaveas%2Co_YQ"),
        (b"a=1&x-oss-process=", "x-oss-process="),
        (b"\xff\xfe", "x-oss-process=old"),
        (b"", "x-oss-process=old"),
    ],
)
def test_a_body_says_what_the_query_leaves_open(body: bytes, query: str) -> None:
    assert with_body(head("/k?x-oss-process=old", "POST"), body).raw_query == query


def test_a_body_names_one_process() -> None:
    with pytest.raises(ApiError) as caught:
        with_body(head("/k?x-oss-process=", "POST"), b"x-oss-process=image/score&x-oss-process=image/info")
    assert caught.value.kind is INVALID_REQUEST
