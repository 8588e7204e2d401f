from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.errors import IMAGE_FILE_TOO_LARGE, IMAGE_SIDE_TOO_LONG, IMAGE_TOO_LARGE, NOT_AN_IMAGE, ApiError, ErrorKind
from gateway.imaging.facts import Facts
from gateway.imaging.limits import FORMATS, Limits, check_bytes, check_limits
from gateway.imaging.vendor_limits import STRICT, strict


@pytest.mark.parametrize(
    ("dialect", "facts"),
    [
        ("oss", Facts("jpeg", 30_000, 8_333)),
        ("oss", Facts("gif", 10, 10)),
        ("oss", Facts("webp", 10, 10)),
        ("cos", Facts("jpeg", 65_535, 3_000)),
        ("cos", Facts("png", 40_000, 6_000)),
    ],
)
def test_a_picture_at_its_vendors_limit_passes(dialect: str, facts: Facts) -> None:
    check_limits(facts, strict(dialect, Limits()))


@pytest.mark.parametrize(
    ("dialect", "facts", "kind", "words"),
    [
        ("oss", Facts("jpeg", 30_001, 1), IMAGE_SIDE_TOO_LONG, "30,000 pixels a side"),
        ("oss", Facts("png", 1, 30_001), IMAGE_SIDE_TOO_LONG, "30,000 pixels a side"),
        ("oss", Facts("jpeg", 30_000, 8_334), IMAGE_TOO_LARGE, "250,000,000"),
        ("cos", Facts("webp", 10, 10), NOT_AN_IMAGE, "JPEG, PNG"),
        ("cos", Facts("gif", 10, 10), NOT_AN_IMAGE, "GIF"),
    ],
)
def test_a_picture_beyond_its_vendors_limit_is_refused(dialect: str, facts: Facts, kind: ErrorKind, words: str) -> None:
    generous = Limits(max_pixels=10**9)
    check_limits(facts, generous)
    with pytest.raises(ApiError) as caught:
        check_limits(facts, strict(dialect, generous))
    assert caught.value.kind is kind
    assert words in caught.value.message


@pytest.mark.parametrize(("dialect", "most"), [("oss", 20_971_520), ("cos", 3_145_728)])
def test_a_file_is_refused_from_the_first_byte_over_its_vendors_limit(dialect: str, most: int) -> None:
    limits = strict(dialect, Limits())
    check_bytes(most, limits)
    with pytest.raises(ApiError) as caught:
        check_bytes(most + 1, limits)
    assert caught.value.kind is IMAGE_FILE_TOO_LARGE
    assert f"{most:,}" in caught.value.message


@pytest.mark.parametrize("dialect", STRICT)
def test_the_gateways_own_narrower_limits_hold_beside_the_vendors(dialect: str) -> None:
    own = Limits(max_bytes=1_000, max_pixels=1_000, max_side=100, deadline_s=7.5, formats=("png", "webp"))
    narrowed = strict(dialect, own)
    assert narrowed == replace(own, formats=narrowed.formats)
    assert narrowed.formats == {"oss": ("png", "webp"), "cos": ("png",)}[dialect]


def test_aliyun_takes_every_format_that_is_decoded_here_but_jpeg_xl() -> None:
    # A new format must be looked up on the vendor's page: this fails until its row says what is true.
    assert set(FORMATS) - STRICT["oss"].formats <= {"jxl"}
