from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import IMAGE_FILE_TOO_LARGE, IMAGE_SIDE_TOO_LONG, IMAGE_TOO_LARGE, NOT_AN_IMAGE, ApiError
from gateway.imaging.facts import Facts
from gateway.imaging.limits import Limits, check_bytes, check_limits, is_heavy, memory_limit

SMALL = Limits(max_bytes=1000, max_pixels=10_000, max_side=200, max_frames=10, max_pixels_whole=5_000)
FITTING = Facts("jpeg", 100, 100)


@pytest.mark.parametrize(
    "facts",
    [FITTING, Facts("png", 200, 50), Facts("webp", 100, 50), Facts("png", 100, 50, frames=10, interlaced=True)],
)
def test_a_picture_at_the_limit_passes(facts: Facts) -> None:
    check_limits(facts, SMALL)


@pytest.mark.parametrize(
    ("facts", "figure", "limit"),
    [
        (Facts("jpeg", 100, 101), "10,100", "10,000"),
        (Facts("png", 201, 1), "201 x 1", "200"),
        (Facts("png", 1, 201), "1 x 201", "200"),
        (Facts("webp", 100, 51), "5,100", "5,000"),
        (Facts("gif", 100, 51), "5,100", "5,000"),
        (Facts("jpeg", 100, 51, interlaced=True), "5,100", "5,000"),
        (Facts("png", 100, 51, interlaced=True), "5,100", "5,000"),
        (Facts("png", 10, 10, frames=11), "11 frames", "10 frames"),
    ],
)
def test_a_picture_over_a_limit_is_refused_with_both_figures(facts: Facts, figure: str, limit: str) -> None:
    with pytest.raises(ApiError) as caught:
        check_limits(facts, SMALL)
    assert caught.value.kind is (IMAGE_SIDE_TOO_LONG if max(facts.width, facts.height) > 200 else IMAGE_TOO_LARGE)
    assert figure in caught.value.message
    assert limit in caught.value.message


def test_bytes_are_counted_to_the_last_one() -> None:
    check_bytes(1000, SMALL)
    with pytest.raises(ApiError) as caught:
        check_bytes(1001, SMALL)
    assert "1,001" in caught.value.message
    assert caught.value.kind is IMAGE_FILE_TOO_LARGE


def test_a_format_that_is_not_accepted_is_refused_by_name() -> None:
    check_limits(Facts("png", 1, 1), Limits(formats=("jpeg", "png")))
    with pytest.raises(ApiError) as caught:
        check_limits(Facts("webp", 1, 1), Limits(formats=("jpeg", "png")))
    assert caught.value.kind is NOT_AN_IMAGE
    assert caught.value.message == "The image is a WEBP file; the accepted formats are: JPEG, PNG."


@pytest.mark.parametrize(
    ("facts", "heavy"),
    [
        (Facts("jpeg", 20_000, 12_000), False),
        (Facts("png", 20_000, 12_000), False),
        (Facts("webp", 2000, 2000), False),
        (Facts("webp", 2000, 2001), True),
        (Facts("gif", 2000, 2001), True),
        (Facts("jpeg", 2000, 2001, interlaced=True), True),
        (Facts("png", 2000, 2001, interlaced=True), True),
        (Facts("webp", 0, 0), True),
    ],
)
def test_large_pictures_that_must_be_held_whole_are_heavy_and_alone_may_take_all_the_memory(
    facts: Facts, *, heavy: bool
) -> None:
    assert is_heavy(facts) is heavy
    assert memory_limit(facts, Limits(max_memory_bytes=900)) == (900 if heavy else 300)


@pytest.mark.parametrize("module", ["pool", "probe", "limits", "registry", "launch", "messages", "facts"])
def test_the_gateways_side_loads_neither_numpy_nor_pyvips(module: str) -> None:
    code = (
        f"import sys, gateway.imaging.{module}; print(sorted({{'numpy', 'pyvips', 'PIL', 'cffi'}} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"
