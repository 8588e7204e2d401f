"""The pictures on which scoring is measured, with as much detail as a camera's, so that decoding costs what it does.

Where the rated photos lie beside the project, the twelve pristine ones of 768 x 512 pixels fill a mosaic, each
enlarged to its cell, under a fresh grain. At 12 megapixels and JPEG quality 88 that makes 2.7 MB, as a camera's
photo of that size has; without the photos, the demo's drawn landscape stands in, with less in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gateway.commands.pictures import draw_landscape

IQA = Path(__file__).resolve().parents[2] / "shared" / "iqa"
_GRAIN = 3.0  # standard deviation in grey levels, the same in all channels
_SIZES = {"12 MP": (4000, 3000), "48 MP": (8000, 6000), "2 MP": (1632, 1224), "0.25 MP": (576, 432)}
_FILES: tuple[tuple[str, str, str, dict[str, Any]], ...] = (  # name, size, suffix, encoder's options
    ("12 MP JPEG", "12 MP", "jpg", {"quality": 88}),
    ("48 MP JPEG", "48 MP", "jpg", {"quality": 88}),
    ("2 MP JPEG", "2 MP", "jpg", {"quality": 88}),
    ("0.25 MP JPEG", "0.25 MP", "jpg", {"quality": 88}),
    ("12 MP PNG", "12 MP", "png", {}),
    ("0.25 MP PNG", "0.25 MP", "png", {}),
    ("12 MP WebP", "12 MP", "webp", {"quality": 80}),
    ("0.25 MP WebP", "0.25 MP", "webp", {"quality": 80}),
    ("12 MP progressive JPEG", "12 MP", "jpg", {"quality": 88, "progressive": True}),
)


def write_pictures(folder: Path) -> dict[str, Path]:
    """Write all pictures into the folder; return their paths by name."""
    photos = _photos()
    middling = photos[len(photos) // 2]  # in its detail; a photo made smaller needs no grain
    pictures = {
        "12 MP": _mosaic(photos, *_SIZES["12 MP"]),
        "48 MP": _mosaic(photos, *_SIZES["48 MP"]),
        "2 MP": _mosaic(photos, *_SIZES["2 MP"]),
        "0.25 MP": _fill(middling, *_SIZES["0.25 MP"]),
    }
    written = {name: folder / f"{name.replace(' ', '-')}.{suffix}" for name, _, suffix, _ in _FILES}
    for name, size, _, options in _FILES:
        pictures[size].save(written[name], **options)
    return written


def write_large(path: Path) -> None:
    """Write the JPEG of 12 megapixels alone."""
    _mosaic(_photos(), *_SIZES["12 MP"]).save(path, quality=88)


def source() -> str:
    """Say in a word or two what the pictures show."""
    return "photos" if any((IQA / "pristine").glob("*.png")) else "a drawn landscape"


def _photos() -> list[Image.Image]:
    paths = sorted((IQA / "pristine").glob("*.png"), key=lambda path: path.stat().st_size)
    return [Image.open(path).convert("RGB") for path in paths] or [draw_landscape()]


def _mosaic(photos: list[Image.Image], width: int, height: int) -> Image.Image:
    columns, rows = (4, 3) if len(photos) >= 12 else (1, 1)
    cell = width // columns, height // rows
    random = np.random.default_rng(1)
    mosaic = Image.new("RGB", (width, height))
    for number, photo in enumerate(photos[: columns * rows]):
        pixels = np.asarray(_fill(photo, *cell), np.float32)
        grain = random.normal(0, _GRAIN, pixels.shape[:2]).astype(np.float32)[..., None]
        tile = Image.fromarray(np.clip(np.rint(pixels + grain), 0, 255).astype(np.uint8))
        mosaic.paste(tile, (number % columns * cell[0], number // columns * cell[1]))
    return mosaic


def _fill(photo: Image.Image, width: int, height: int) -> Image.Image:
    """Cut the middle with the wanted sides' ratio out of the photo and resize it."""
    scale = min(photo.width / width, photo.height / height)
    left, top = (photo.width - scale * width) / 2, (photo.height - scale * height) / 2
    box = (left, top, left + scale * width, top + scale * height)
    return photo.resize((width, height), Image.Resampling.LANCZOS, box)
