"""What is decoded and what is refused, file by file, through a socket as in a scorer."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gateway.errors import IMAGE_DAMAGED, NOT_AN_IMAGE, ApiError
from gateway.imaging.decode import to_srgb
from gateway.imaging.messages import decode_answer, encode_answer
from tests.imaging.files import loaded
from tests.imaging.formats import DEPENDS, PICTURE, REFUSED, RGB, SCORED, TURNED
from tests.imaging.pictures import score

if TYPE_CHECKING:
    from gateway.imaging.decode import Picture


def pixels(picture: Picture) -> Any:
    return to_srgb(picture.image).numpy().astype(int)


def outcome(data: bytes) -> Any:
    """Return the loaded pixels, or the error."""
    try:
        return pixels(loaded(data))
    except ApiError as error:
        return error


@pytest.mark.parametrize("name", SCORED)
def test_every_variant_shows_its_picture(name: str) -> None:
    row = SCORED[name]
    shown = pixels(loaded(row.data))
    expected = row.pixels if row.pixels.ndim == 3 else row.pixels[..., np.newaxis]
    assert shown.shape == (120, 160, 3)
    assert np.abs(shown - expected).mean() <= row.tolerance


@pytest.mark.parametrize("name", SCORED)
def test_every_variant_is_scored(name: str) -> None:
    report = score(SCORED[name].data)
    assert (report.width, report.height) == (160, 120)
    assert name.upper().startswith("BIGTIFF" if name == "BigTIFF" else report.format.upper())


@pytest.mark.parametrize("name", REFUSED)
def test_every_other_kind_of_file_is_refused_by_its_name(name: str) -> None:
    data, words = REFUSED[name]
    error = outcome(data)
    assert isinstance(error, ApiError)
    assert error.kind is NOT_AN_IMAGE
    assert words in error.message
    assert "JPEG, PNG, WebP, GIF, TIFF, BMP and AVIF" in error.message


def test_a_scorers_refusal_reaches_the_gateway_as_it_is() -> None:
    for refusal in (outcome(REFUSED["TIFF 32-bit float"][0]), outcome(SCORED["GIF"].data[:99])):
        assert isinstance(refusal, ApiError)
        answer = decode_answer(encode_answer(refusal))
        assert isinstance(answer, ApiError)
        assert (answer.kind, answer.message) == (refusal.kind, refusal.message)


@pytest.mark.parametrize("name", DEPENDS)
def test_what_depends_on_the_build_is_shown_or_refused_by_what_is_missing(name: str) -> None:
    data, words = DEPENDS[name]
    found = outcome(data)
    if isinstance(found, ApiError):
        assert found.kind is NOT_AN_IMAGE
        assert words in found.message
    else:
        assert found[0, 0].tolist() == pytest.approx([250, 10, 10], abs=12)
        assert found[40, 60].tolist() == pytest.approx([90, 120, 150], abs=12)


@pytest.mark.parametrize("name", SCORED)
def test_a_file_cut_anywhere_is_refused_or_still_shows_the_whole_picture(name: str) -> None:
    data = SCORED[name].data
    whole = pixels(loaded(data))
    ends = (
        {len(data) * part // 12 for part in range(1, 12)} | set(range(len(data) - 14, len(data), 2)) | {len(data) - 1}
    )
    for end in sorted(ends):
        found = outcome(data[:end])
        if isinstance(found, ApiError):
            assert found.kind in (IMAGE_DAMAGED, NOT_AN_IMAGE)
            assert found.kind is IMAGE_DAMAGED or end < 20
        else:
            assert np.array_equal(found, whole)


def test_half_a_file_is_refused_in_every_variant() -> None:
    animated = {name for name in SCORED if "first" in name}  # the first frame may lie in the first half
    for name in SCORED.keys() - animated:
        found = outcome(SCORED[name].data[: len(SCORED[name].data) // 2])
        assert isinstance(found, ApiError), name


@pytest.mark.parametrize("name", SCORED)
def test_damaged_bytes_are_refused_or_decoded_but_nothing_else(name: str) -> None:
    chance = random.Random(6)  # noqa: S311 - repeatable damage, no secret
    for _ in range(10):
        data = bytearray(SCORED[name].data)
        at = chance.randrange(len(data))
        data[at : at + 20] = chance.randbytes(20)
        found = outcome(bytes(data))
        assert not isinstance(found, ApiError) or found.kind in (IMAGE_DAMAGED, NOT_AN_IMAGE)


@pytest.mark.parametrize("name", TURNED)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_once(name: str, orientation: int) -> None:
    turned = np.rot90(RGB, {1: 0, 2: 0, 3: 2, 4: 2, 5: 3, 6: 3, 7: 1, 8: 1}[orientation])
    expected = turned[:, ::-1] if orientation in (2, 4, 5, 7) else turned
    picture = loaded(TURNED[name](orientation))
    assert (picture.height, picture.width) == expected.shape[:2]
    assert np.abs(pixels(picture) - expected).mean() <= 3


def test_the_pictures_differ_when_turned() -> None:
    assert PICTURE.width != PICTURE.height
    assert np.abs(RGB.astype(int) - RGB[:, ::-1]).mean() > 20
    assert np.abs(RGB.astype(int) - RGB[::-1]).mean() > 20
