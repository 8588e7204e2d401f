from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.imaging.pictures import encode, exif, from_array, photo_like, score


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
