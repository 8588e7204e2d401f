from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from tests.imaging.pictures import IQA, encode, exif, from_array, photo_like, score

if TYPE_CHECKING:
    import numpy.typing as npt

PRISTINE = sorted((IQA / "pristine").glob("*.png"))
JPEG_QUALITIES = (28, 18, 10, 5)  # the recipe's levels 2 to 5
needs_photos = pytest.mark.skipif(len(PRISTINE) < 12, reason="the rated photos (../shared/iqa) are not here")


def pixels_of(path: Any) -> npt.NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def recipe() -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location("distortion_recipe", IQA / "distortion_recipe.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    kinds: dict[str, Any] = module.K
    return kinds


def of_png(pixels: npt.NDArray[np.uint8]) -> float:
    return score(encode(Image.fromarray(pixels), "PNG", compress_level=1)).score


@needs_photos
@pytest.mark.parametrize("kind", ["blur", "noise", "under", "jpeg"])
def test_an_untouched_photo_scores_above_its_distorted_versions(kind: str) -> None:
    distort = recipe()[kind]
    for path in PRISTINE:
        pixels = pixels_of(path)
        untouched = of_png(pixels)
        for level in range(2, 6):
            assert of_png(distort(pixels, level)) < untouched, f"{path.name} level {level}"


@needs_photos
def test_an_untouched_photo_scores_above_its_blocky_jpeg_files() -> None:
    for path in PRISTINE:
        image = Image.fromarray(pixels_of(path))
        scores = [score(encode(image, "JPEG", quality=quality)).score for quality in JPEG_QUALITIES]
        assert [score(encode(image, "PNG")).score, *scores] == sorted([score(encode(image, "PNG")).score, *scores])[
            ::-1
        ]


@needs_photos
def test_scores_of_untouched_and_badly_distorted_photos_lie_in_their_bands() -> None:
    kinds, photos = recipe(), [pixels_of(path) for path in PRISTINE]
    means = {
        kind: np.mean([of_png(kinds[kind](pixels, level)) for pixels in photos])
        for kind, level in (("blur", 4), ("under", 3), ("over", 3))
    }
    assert 0.65 <= np.mean([of_png(pixels) for pixels in photos]) <= 0.85
    assert means["blur"] <= 0.30
    assert 0.25 <= means["under"] <= 0.50
    assert 0.35 <= means["over"] <= 0.60


def test_a_distorted_picture_scores_lower() -> None:
    image = photo_like(900, 600)
    pixels = np.asarray(image).astype(np.float32)
    noise = np.random.default_rng(1).normal(0, 20, pixels.shape)
    untouched = score(encode(image, "PNG")).score
    worse = [image.resize((300, 200)).resize((900, 600)), from_array(pixels + noise), from_array(pixels / 4)]
    assert [score(encode(each, "PNG")).score < untouched for each in worse] == [True] * 3


@pytest.mark.parametrize("orientation", range(2, 9))
def test_an_exif_rotated_copy_scores_like_the_upright_picture(orientation: int) -> None:
    image = photo_like(900, 600)
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = image.transpose(undo)
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True})):
        turned = score(encode(stored, kind, exif=exif(orientation), **options))
        upright = score(encode(image, kind, **options))
        assert (turned.width, turned.height) == (900, 600)
        assert turned == upright


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (179, 1), (50, 50), (63, 65), (5000, 3)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_pictures_of_any_shape_are_scored(kind: str, size: tuple[int, int]) -> None:
    found = score(encode(photo_like(*size), kind))
    assert (found.width, found.height) == size
    assert 0 <= found.score <= 1


@pytest.mark.parametrize("ground", ["black", "white", "red"])
def test_a_solid_picture_is_scored(ground: str) -> None:
    found = score(encode(Image.new("RGB", (300, 200), ground), "PNG"))
    assert 0 <= found.score <= 1
    assert found.flags.pure_image


def test_the_score_barely_changes_where_the_load_factor_does() -> None:
    image = photo_like(5200, 1000, seed=3)
    near = [score(encode(image.resize((side, 1000)), "JPEG", quality=90)).score for side in (5119, 5121)]
    assert abs(near[0] - near[1]) < 0.02
