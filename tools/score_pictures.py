"""Draws docs/pictures/distortions.webp: one picture, spoiled in five ways and three degrees, each with its score.

`python -m tools.score_pictures`. The picture is the demo's own, the scores are what the gateway says of the files.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from gateway.commands.pictures import draw_landscape
from gateway.imaging.assess import assess
from gateway.imaging.limits import Limits
from gateway.imaging.probe import Probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.imaging.facts import Facts

TARGET = Path(__file__).resolve().parent.parent / "docs" / "pictures" / "distortions.webp"
_CUT = (700, 380, 940, 540)  # what is shown of each, at full size: 240 x 160
_LABEL, _GAP, _TITLE = 20, 8, 110


def main() -> None:
    """Draw the sheet."""
    scene = draw_landscape()
    width, height = _CUT[2] - _CUT[0], _CUT[3] - _CUT[1] + _LABEL
    rows = list(KINDS.items())
    sheet = Image.new("RGB", (_TITLE + 4 * (width + _GAP), len(rows) * (height + _GAP)), "#f4f4f2")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for row, (name, spoiled) in enumerate(rows):
        top = row * (height + _GAP)
        draw.text((6, top + height // 2 - 20), name, "#1d1d1b", font)
        for column, degree in enumerate((0, 1, 2, 3)):
            data = spoiled(scene, degree) if degree else _jpeg(scene)
            left = _TITLE + column * (width + _GAP)
            sheet.paste(Image.open(io.BytesIO(data)).convert("RGB").crop(_CUT), (left, top))
            draw.text((left, top + height - _LABEL), f"{score(data):.2f}", "#1d1d1b", font)
    sheet.save(TARGET, quality=70, method=6)
    print(f"written: {TARGET.name}, {TARGET.stat().st_size} bytes")


def score(data: bytes) -> float:
    """Return the overall score of an encoded picture."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        return assess(file.fileno(), _facts(data), max_pixels=Limits().max_pixels).score


def _facts(data: bytes) -> Facts:
    probe = Probe()
    return probe.feed(data) or probe.finish()


def _jpeg(picture: Image.Image, quality: int = 92) -> bytes:
    target = io.BytesIO()
    picture.save(target, "JPEG", quality=quality)
    return target.getvalue()


def _blur(scene: Image.Image, degree: int) -> bytes:
    return _jpeg(scene.filter(ImageFilter.GaussianBlur((1.0, 2.0, 4.0)[degree - 1])))


def _noise(scene: Image.Image, degree: int) -> bytes:
    grain = np.random.default_rng(1).normal(0, (6, 14, 30)[degree - 1], (scene.height, scene.width, 3))
    return _jpeg(Image.fromarray(np.clip(np.asarray(scene) + grain, 0, 255).astype(np.uint8)))


def _compressed(scene: Image.Image, degree: int) -> bytes:
    return _jpeg(scene, (30, 12, 4)[degree - 1])


def _light(scene: Image.Image, degree: int) -> bytes:
    return _jpeg(ImageEnhance.Brightness(scene).enhance((0.6, 0.35, 0.18)[degree - 1]))


def _contrast(scene: Image.Image, degree: int) -> bytes:
    return _jpeg(ImageEnhance.Contrast(scene).enhance((0.6, 0.35, 0.15)[degree - 1]))


KINDS: dict[str, Callable[[Image.Image, int], bytes]] = {
    "blur": _blur,
    "noise": _noise,
    "compression": _compressed,
    "darkness": _light,
    "low contrast": _contrast,
}

if __name__ == "__main__":
    main()
