"""Fifteen ways to spoil a photo, each at any strength from 0 (just visible) to 1 (ruined). Used to fit the score.

Pixels are uint8 RGB (H, W, 3); a strength runs along its kind's figure in equal ratios. Written for the fit alone, with
other strengths and other code than whoever checks the fit by `distortion_recipe.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
import pyvips

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Pixels = npt.NDArray[np.uint8]
Distortion = tuple[str, bytes] | Pixels  # an encoded file with its format, or pixels


def _between(least: float, most: float, strength: float) -> float:
    """Return the figure at a strength, in equal ratios."""
    return float(least * (most / least) ** strength)


def _clipped(values: npt.NDArray[np.floating]) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def to_image(pixels: Pixels) -> pyvips.Image:
    """Return the pixels as an image of libvips."""
    height, width = pixels.shape[:2]
    image = pyvips.Image.new_from_memory(np.ascontiguousarray(pixels).tobytes(), width, height, 3, "uchar")
    return image.copy(interpretation="srgb")


def blur(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), _between(0.5, 8, strength)), np.uint8)


def motion(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    length = _between(3, 55, strength)
    angle = rng.choice([0, 90, rng.uniform(0, 180)])
    side = int(length) // 2 * 2 + 3
    kernel = np.zeros((side, side), np.float32)
    reach = length / 2 * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    for step in np.linspace(-1, 1, 4 * side):
        x, y = side / 2 + step * reach[0], side / 2 + step * reach[1]
        kernel[min(side - 1, int(y)), min(side - 1, int(x))] += 1
    return np.asarray(cv2.filter2D(pixels, -1, kernel / kernel.sum()), np.uint8)


def noise(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    return _clipped(pixels + rng.normal(0, _between(2.5, 60, strength), pixels.shape))


def luma_noise(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    return _clipped(pixels + rng.normal(0, _between(2.5, 60, strength), (*pixels.shape[:2], 1)))


def impulse(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    share, chance, spoiled = _between(0.002, 0.25, strength), rng.random(pixels.shape[:2]), pixels.copy()
    spoiled[chance < share / 2] = 0
    spoiled[chance > 1 - share / 2] = 255
    return spoiled


def jpeg(pixels: Pixels, strength: float, rng: np.random.Generator) -> Distortion:
    data = to_image(pixels).write_to_buffer(".jpg", Q=round(_between(90, 4, strength)))
    return "jpeg", bytes(data)


def jpeg_pixels(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    data = to_image(pixels).write_to_buffer(".jpg", Q=round(_between(90, 4, strength)))
    return np.asarray(pyvips.Image.new_from_buffer(data, "").numpy(), np.uint8)


def webp(pixels: Pixels, strength: float, rng: np.random.Generator) -> Distortion:
    data = to_image(pixels).write_to_buffer(".webp", Q=round(80 * (1 - strength) ** 1.5), effort=2)
    return "webp", bytes(data)


def under(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    return _clipped(pixels * _between(0.85, 0.07, strength))


def over(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    return _clipped(pixels * _between(1.15, 5, strength))


def desaturated(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    grey = (pixels @ np.array([0.299, 0.587, 0.114]))[..., None]
    return _clipped(grey + (pixels - grey) * (0.9 * (1 - strength)))


def low_contrast(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    middle = rng.choice([128.0, float(pixels.mean())])
    return _clipped(middle + (pixels - middle) * _between(0.85, 0.1, strength))


def enlarged(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    height, width = pixels.shape[:2]
    factor = _between(1.3, 10, strength)
    small = cv2.resize(
        pixels, (max(8, int(width / factor)), max(8, int(height / factor))), interpolation=cv2.INTER_AREA
    )
    kernel = cv2.INTER_CUBIC if rng.random() < 0.7 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(small, (width, height), interpolation=kernel), np.uint8)


def pixelated(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    height, width = pixels.shape[:2]
    side = _between(1.8, 14, strength)
    small = cv2.resize(pixels, (max(4, int(width / side)), max(4, int(height / side))), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def shrunken(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Make the picture smaller, and leave it so."""
    factor = _between(1.15, 3.5, strength)
    return np.asarray(to_image(pixels).resize(1 / factor, kernel="lanczos3").numpy(), np.uint8)


KINDS: Mapping[str, Callable[[Pixels, float, np.random.Generator], Distortion]] = {
    "blur": blur,
    "motion": motion,
    "noise": noise,
    "luma_noise": luma_noise,
    "impulse": impulse,
    "jpeg": jpeg,
    "jpeg_pixels": jpeg_pixels,
    "webp": webp,
    "under": under,
    "over": over,
    "desaturated": desaturated,
    "low_contrast": low_contrast,
    "enlarged": enlarged,
    "pixelated": pixelated,
    "shrunken": shrunken,
}
