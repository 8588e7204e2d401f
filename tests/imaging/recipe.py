"""The distortions that the score is judged by: those of ../shared/iqa/distortion_recipe.py, as files."""

from __future__ import annotations

import importlib.util
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tests.imaging.pictures import IQA, encode

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

KINDS = (
    "blur",
    "motion",
    "noise",
    "lumanoise",
    "jpeg",
    "webp",
    "under",
    "over",
    "desat",
    "lowcon",
    "down",
    "pix",
    "impulse",
)
LEVELS = 6
_QUALITIES = {"jpeg": (70, 45, 28, 18, 10, 5), "webp": (60, 35, 20, 10, 4, 0)}


@cache
def recipe() -> dict[str, Any]:
    """Return the recipe's functions by kind."""
    spec = importlib.util.spec_from_file_location("distortion_recipe", IQA / "distortion_recipe.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    kinds: dict[str, Any] = module.K
    return kinds


@lru_cache(maxsize=1)  # a photo is distorted in many ways before the next one
def pixels_of(path: Path) -> npt.NDArray[np.uint8]:
    """Return the pixels of a file, uint8 (H, W, 3)."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def distorted(path: Path, kind: str, level: int) -> bytes:
    """Return the file of a distorted photo: JPEG and WebP as such, so that their headers count, else a PNG."""
    image = pixels_of(path)
    if kind in _QUALITIES:
        return encode(Image.fromarray(image), kind.upper(), quality=_QUALITIES[kind][level])
    return encode(Image.fromarray(recipe()[kind](image, level)), "PNG", compress_level=1)
