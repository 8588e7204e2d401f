from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import IMAGE_TOO_LARGE, ApiError
from gateway.imaging.facts import Facts
from gateway.imaging.limits import Limits, check_bytes, check_limits

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
    assert caught.value.kind is IMAGE_TOO_LARGE
    assert figure in caught.value.message
    assert limit in caught.value.message


def test_bytes_are_counted_to_the_last_one() -> None:
    check_bytes(1000, SMALL)
    with pytest.raises(ApiError) as caught:
        check_bytes(1001, SMALL)
    assert "1,001" in caught.value.message


@pytest.mark.parametrize("module", ["pool", "probe", "limits", "registry", "launch", "messages", "facts"])
def test_the_gateways_side_loads_neither_numpy_nor_pyvips(module: str) -> None:
    code = (
        f"import sys, gateway.imaging.{module}; print(sorted({{'numpy', 'pyvips', 'PIL', 'cffi'}} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"
