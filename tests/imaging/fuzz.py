"""Random pictures and random damage, each the same for the same number."""

from __future__ import annotations

import random
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageFilter

from tests.imaging.pictures import encode, from_array, photo_like, text

if TYPE_CHECKING:
    from collections.abc import Callable

_MODES = ("RGB", "RGB", "RGB", "L", "RGBA", "LA", "P", "1", "CMYK", "I;16")
_ENCODINGS: tuple[tuple[str, dict[str, Any], tuple[str, ...]], ...] = (  # (format, options, modes that it can hold)
    ("JPEG", {"quality": 90}, ("RGB", "L", "CMYK")),
    ("JPEG", {"quality": 3}, ("RGB", "L", "CMYK")),
    ("JPEG", {"quality": 60, "progressive": True}, ("RGB", "L", "CMYK")),
    ("PNG", {}, ("RGB", "L", "RGBA", "LA", "P", "1", "I;16")),
    ("WEBP", {"quality": 40}, ("RGB", "RGBA")),
    ("WEBP", {"lossless": True}, ("RGB", "RGBA")),
    ("GIF", {}, ("RGB", "L", "P", "1")),
    ("TIFF", {}, ("RGB", "L", "RGBA", "P", "1", "CMYK", "I;16")),
    ("BMP", {}, ("RGB", "L", "P", "1")),
    ("AVIF", {"quality": 50, "speed": 10}, ("RGB", "RGBA")),
)


def picture(number: int) -> bytes:
    """A whole picture of any shape, content, distortion, mode and format."""
    dice = random.Random(number)  # noqa: S311 # not a secret
    encoding, options, modes = dice.choice(_ENCODINGS)
    image = _distorted(_content(dice, *_shape(dice, 16_383 if encoding in ("WEBP", "AVIF") else 65_500)), dice)
    mode = dice.choice([mode for mode in _MODES if mode in modes])
    return encode(_in_mode(image, mode), encoding, **options)


def mutant(number: int) -> bytes:
    """A picture with random damage: cut, bytes changed, parts zeroed, doubled, exchanged or put in."""
    dice = random.Random(number)  # noqa: S311 # not a secret
    data = bytearray(_victim(dice.randrange(len(_ENCODINGS)), dice.randrange(4)))
    for _ in range(dice.choice((1, 1, 1, 2, 5))):
        dice.choice(_DAMAGES)(data, dice)
    return bytes(data)


@cache
def _victim(encoding: int, number: int) -> bytes:
    kind, options, modes = _ENCODINGS[encoding]
    image = photo_like((16, 90, 200, 333)[number], (16, 64, 150, 222)[number], number)
    return encode(_in_mode(image, modes[number % len(modes)]), kind, **options)


def _shape(dice: random.Random, longest: int) -> tuple[int, int]:
    def side(most: int = 512) -> int:
        return int(most ** dice.random())

    long, short = side(longest), side(9)
    shapes = ((side(), side()), (side(), side()), (1, side()), (side(), 1), (long, short), (short, long), (1, 1))
    return dice.choice(shapes)


def _content(dice: random.Random, width: int, height: int) -> Image.Image:
    kind = dice.choice(("pattern", "pattern", "pattern", "photo", "text"))
    if kind == "photo":
        return photo_like(width, height, dice.randrange(1000))
    if kind == "text":
        return text(dice.choice((10, 20, 40))).resize((width, height))
    rng = np.random.default_rng(dice.randrange(2**32))
    y, x = (axis[..., None] for axis in np.mgrid[0:height, 0:width])
    patterns = (
        rng.uniform(0, 255, (height, width, 3)),
        rng.uniform(0, 255, 3) + 0 * x,
        np.concatenate([x * 255 / width, y * 255 / height, (x + y) % 256], axis=-1),
        ((x // 8 + y // 8) % 2 * 255).repeat(3, axis=-1),
        (x % 2 * 255).repeat(3, axis=-1),
        ((rng.uniform(size=x.shape) < 0.02) * 255).repeat(3, axis=-1),
    )
    return from_array(dice.choice(patterns))


def _distorted(image: Image.Image, dice: random.Random) -> Image.Image:
    kind = dice.choice(("none", "blur", "dark", "bright", "grey", "blocks"))
    match kind:
        case "blur":
            return image.filter(ImageFilter.GaussianBlur(dice.uniform(0.5, 9)))
        case "dark" | "bright":
            factor = dice.uniform(0, 0.4) if kind == "dark" else dice.uniform(1.5, 9)
            return image.point(lambda value: min(255, int(value * factor)))
        case "grey":
            return image.convert("L").convert("RGB")
        case "blocks":
            small = (max(1, image.width // 9), max(1, image.height // 9))
            return image.resize(small).resize(image.size, Image.Resampling.NEAREST)
    return image


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    if mode in ("RGBA", "LA"):
        alpha = Image.linear_gradient("L").resize(image.size)
        image = image.convert(mode)
        image.putalpha(alpha)
        return image
    return image.convert(mode)


def _place(data: bytearray, dice: random.Random) -> slice:
    """A random part of the file; headers, where damage does most, are hit more often than chance would."""
    start = dice.randrange(min(len(data), dice.choice((64, 64, 1000, 10**9))) or 1)
    return slice(start, start + int(2 ** dice.uniform(0, 9)))


def _cut(data: bytearray, dice: random.Random) -> None:
    del data[_place(data, dice).stop :]


def _change(data: bytearray, dice: random.Random) -> None:
    for _ in range(dice.randrange(1, 20)):
        if data:
            data[min(_place(data, dice).start, len(data) - 1)] = dice.choice((0, 0xFF, dice.randrange(256)))


def _zero(data: bytearray, dice: random.Random) -> None:
    place = _place(data, dice)
    data[place] = bytes(len(data[place]))


def _double(data: bytearray, dice: random.Random) -> None:
    place = _place(data, dice)
    data[place] = data[place] * dice.randrange(2, 50)


def _exchange(data: bytearray, dice: random.Random) -> None:
    one, other = _place(data, dice), _place(data, dice)
    data[one], data[other] = data[other], data[one]


def _put_in(data: bytearray, dice: random.Random) -> None:
    start = _place(data, dice).start
    data[start:start] = dice.randbytes(int(2 ** dice.uniform(0, 12)))


_DAMAGES: tuple[Callable[[bytearray, random.Random], None], ...] = (_cut, _change, _zero, _double, _exchange, _put_in)
