from __future__ import annotations

import pytest

from gateway.dialects.process import process_parameters, refuse_conflict
from gateway.errors import CONFLICTING_PROCESS, ApiError
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
