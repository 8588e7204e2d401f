"""The demo's sample pictures: one landscape, drawn here, and what goes wrong with pictures. Must not know stores."""

from __future__ import annotations

from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]  # colours and noise: (H, W, 3) and (H, W), 0..1 unless said otherwise

WIDTH, HEIGHT = 1600, 1067
_SHORE = 640  # the row where the lake begins
_MEADOW = 850  # about the row where it ends
_SUN = (1180, 470)  # column, row
_SEED = 20


def draw_samples() -> dict[str, bytes]:
    """Return the encoded pictures by name, in the order of SAMPLES; the same bytes at each call of one build."""
    scene = draw_landscape()
    return {name: make(scene) for name, make in _MAKERS.items()}


def draw_landscape() -> Image.Image:
    """Draw mountains, a lake and a meadow in the evening: RGB, 1600x1067, with the 1/f texture of a photo."""
    random = np.random.default_rng(_SEED)
    canvas = _sky(random)
    for layer in range(4):
        _add_ridge(canvas, layer, random)
    _add_forest(canvas, random)
    _add_lake(canvas, random)
    _add_meadow(canvas, random)
    # No lens is as sharp as a drawing, and no sensor as clean: soften the edges a little, then add fine grain.
    canvas = np.asarray(_to_image(canvas).filter(ImageFilter.GaussianBlur(0.6)), np.float32) / 255
    canvas = canvas * (0.98 + 0.04 * _fractal(random, (HEIGHT, WIDTH), 0.5))[..., None]
    return _to_image(canvas)


def _fractal(random: np.random.Generator, shape: tuple[int, int], slope: float, stretch: float = 1) -> Floats:
    """Return noise of amplitude 1/f**slope, (H, W) in about 0..1, `stretch` times as wide as high in its features."""
    rows, columns = shape
    down, right = np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None, :] * stretch
    frequency = np.hypot(down, right).astype(np.float32)
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(random.standard_normal(shape, dtype=np.float32)) / frequency**slope
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, shape).astype(np.float32)
    noise: Floats = np.clip(0.5 + field / (5 * field.std()), 0, 1)
    return noise


def _line(random: np.random.Generator, slope: float) -> Floats:
    """Return a fractal line, (WIDTH,), about -1..1."""
    line: Floats = _fractal(random, (1, WIDTH), slope)[0] * 2 - 1
    return line


def _smoothstep(low: float, high: float, value: Floats) -> Floats:
    scaled: Floats = np.clip((value - low) / (high - low), 0, 1)
    return scaled * scaled * (3 - 2 * scaled)


def _colour(*channels: float) -> Floats:
    return np.array(channels, np.float32)


def _blend(below: Floats, above: Floats, share: Floats) -> Floats:
    return below + (above - below) * share[..., None]


def _sky(random: np.random.Generator) -> Floats:
    """Return the whole canvas filled with sky: a gradient, the glow of the sun, and clouds lit from its side."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    height = np.clip(rows / _SHORE, 0, 1)
    sky = _blend(_colour(0.20, 0.39, 0.66), _colour(0.93, 0.80, 0.66), height**1.6)
    glow = np.exp(-np.hypot(columns - _SUN[0], 1.4 * (rows - _SUN[1])) / 260)
    sky = _blend(sky, _colour(1.0, 0.90, 0.68), np.clip(glow * 1.1, 0, 1))
    noise = _fractal(random, (HEIGHT, WIDTH), 1.5, stretch=2.6)
    # Clouds far away are lower and flatter: rows near the horizon skip more of the noise.
    noise = noise[(np.sqrt(1 - np.clip(np.arange(HEIGHT) / 700, 0, 0.99)) * (HEIGHT - 1)).astype(int)]
    cover = _smoothstep(0.50, 0.74, noise) * (1 - 0.5 * height)
    lit = np.clip(0.5 + 9 * (noise - np.roll(noise, (-14, -20), (0, 1))), 0, 1)
    cloud = _blend(_colour(0.58, 0.60, 0.68), _colour(1.0, 0.95, 0.88), lit)
    return _blend(sky, cloud, cover * 0.92)


# One row a ridge, far to near: mean row, roughness in pixels, slope of its line, colour, share of haze
_RIDGES: tuple[tuple[float, float, float, tuple[float, float, float], float], ...] = (
    (430, 190, 1.35, (0.42, 0.45, 0.53), 0.50),
    (510, 110, 1.30, (0.33, 0.37, 0.40), 0.36),
    (565, 75, 1.25, (0.25, 0.31, 0.27), 0.22),
    (610, 40, 1.20, (0.15, 0.22, 0.13), 0.10),
)
_HAZE = (0.82, 0.76, 0.72)


def _add_ridge(canvas: Floats, layer: int, random: np.random.Generator) -> None:
    """Lay one ridge of mountains over the canvas: slopes shaded as relief, snow on the far ones, haze at the foot."""
    mean, roughness, slope, colour, haze = _RIDGES[layer]
    crest = mean - roughness * _line(random, slope)
    shape = (_SHORE, WIDTH)
    depth = np.arange(_SHORE, dtype=np.float32)[:, None] - crest[None, :]
    relief = _fractal(random, shape, 1.75)
    light = np.clip(0.75 + 16 * (relief - np.roll(relief, (3, -4), (0, 1))), 0.3, 1.4)
    rock: Floats = _colour(*colour) * light[..., None]
    if layer == 0:
        snow = _smoothstep(0, 0.7, (395 - np.arange(_SHORE, dtype=np.float32)[:, None]) / 90 + 5 * (relief - 0.5))
        rock = _blend(rock, _colour(0.93, 0.93, 0.95) * np.clip(light, 0.55, 1.1)[..., None], snow)
    fog = np.clip(haze * (0.7 + depth / 260), 0, 0.85)
    rock = _blend(rock, _colour(*_HAZE), fog)
    canvas[:_SHORE] = _blend(canvas[:_SHORE], rock, np.clip(depth + 0.5, 0, 1))


def _add_forest(canvas: Floats, random: np.random.Generator) -> None:
    """Plant conifers along the far shore, small ones first."""
    picture = _to_image(canvas)
    draw = ImageDraw.Draw(picture)
    crowd = _line(random, 1.0)
    for size in np.sort(random.uniform(12, 60, 700)):
        column = int(random.integers(0, WIDTH))
        if crowd[column] * 45 + 46 > size * random.uniform(0.5, 1.3):
            _plant(draw, column, _SHORE - 1, float(size), random)
    canvas[:] = np.asarray(picture, np.float32) / 255


def _plant(draw: ImageDraw.ImageDraw, column: int, foot: int, size: float, random: np.random.Generator) -> None:
    """Draw one conifer: tiers of branches, ragged at the ends, the side towards the sun lighter."""
    tone = random.uniform(0.7, 1.15)
    dark, light = (int(20 * tone), int(34 * tone), int(22 * tone)), (int(62 * tone), int(76 * tone), int(38 * tone))
    tiers = max(5, int(size / 3.2))
    for tier in range(tiers):
        top = foot - size * (1 - tier / tiers)
        reach = size * 0.24 * (tier + 1) / tiers * random.uniform(0.75, 1.2)
        drop = size / tiers * 1.7
        draw.polygon([(column, top), (column - reach, top + drop), (column + reach, top + drop)], dark)
        draw.line([(column + 0.3 * reach, top + 0.5 * drop), (column + reach, top + drop)], light)


def _add_lake(canvas: Floats, random: np.random.Generator) -> None:
    """Mirror what stands above the shore, broken by ripples that grow towards us, with the glitter of the sun."""
    rows = np.arange(HEIGHT - _SHORE, dtype=np.float32)[:, None]
    near = rows / rows.max()
    ripple = _fractal(random, (HEIGHT - _SHORE, WIDTH), 1.0, stretch=9) - 0.5
    source = np.clip(_SHORE - 2 - rows * 1.25 + ripple * (6 + 150 * near), 0, _SHORE - 2).astype(int)
    sideways = np.clip(np.arange(WIDTH)[None, :] + ripple * 12 * near, 0, WIDTH - 1).astype(int)
    water = _blend(canvas[source, sideways] * 0.86, _colour(0.16, 0.27, 0.36), 0.18 + 0.4 * near)
    water *= (1 + 0.9 * ripple * near)[..., None]
    distance = np.abs(np.arange(WIDTH)[None, :] - _SUN[0]) / (60 + 160 * near)
    glitter = _smoothstep(0.10, 0.26, ripple) * np.exp(-(distance**2))
    water = _blend(water, _colour(1.0, 0.93, 0.76), glitter * 0.8)
    water[:3] *= 0.6  # the wet line of the shore
    canvas[_SHORE:] = water


def _add_meadow(canvas: Floats, random: np.random.Generator) -> None:
    """Cover the foreground with soil and blades of grass, back to front, and some flowers."""
    edge = _MEADOW + 42 * _line(random, 1.3) - 60 * np.linspace(-1, 1, WIDTH, dtype=np.float32) ** 3
    rows = np.arange(HEIGHT, dtype=np.float32)[:, None]
    ground: Floats = _fractal(random, (HEIGHT, WIDTH), 1.1, stretch=3)
    soil = _blend(_colour(0.13, 0.16, 0.06), _colour(0.34, 0.36, 0.14), ground)
    canvas[:] = _blend(canvas, soil, np.clip((rows - edge[None, :]) / 3, 0, 1))
    picture = _to_image(canvas)
    draw = ImageDraw.Draw(picture)
    feet = np.sort(random.uniform(0, 1, 15_000) ** 0.8)
    for foot in feet:
        column = int(random.integers(0, WIDTH))
        row = float(edge[column] + foot * (HEIGHT + 60 - edge[column]))
        _grow(draw, column, row, (row - 780) / 290, float(ground[min(int(row), HEIGHT - 1), column]), random)
    canvas[:] = np.asarray(picture, np.float32) / 255


def _grow(
    draw: ImageDraw.ImageDraw, column: int, row: float, nearness: float, tone: float, random: np.random.Generator
) -> None:
    """Draw one bent blade of grass, now and then with a flower; `nearness` and `tone` are about 0..1."""
    length = 10 + 62 * nearness * random.uniform(0.5, 1.2)
    lean = random.normal(0.12, 0.22) * length
    bright = random.uniform(0.55, 1.1) * (0.6 + 0.7 * tone)
    colour = (int(118 * bright + random.uniform(-12, 22)), int(138 * bright), int(52 * bright))
    tip = (column + lean, row - length)
    width = 1 + int(nearness * 1.8)
    draw.line([(column, row), (column + 0.3 * lean, row - 0.6 * length), tip], colour, width)
    if random.uniform() < 0.018:
        radius = 1.5 + 3.5 * nearness
        petals = ((240, 236, 225), (232, 190, 62), (186, 120, 178))[int(random.integers(0, 3))]
        draw.ellipse([tip[0] - radius, tip[1] - radius * 0.8, tip[0] + radius, tip[1] + radius * 0.8], petals)


def _to_image(canvas: Floats) -> Image.Image:
    return Image.fromarray((np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8))


def _encode(picture: Image.Image, file_format: str = "JPEG", **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, file_format, **({"quality": 92} if file_format == "JPEG" else {}) | options)
    return file.getvalue()


def _blurred(scene: Image.Image) -> bytes:
    return _encode(scene.filter(ImageFilter.GaussianBlur(6)))


def _noisy(scene: Image.Image) -> bytes:
    noise = np.random.default_rng(_SEED).normal(0, 0.11, (HEIGHT, WIDTH, 3)).astype(np.float32)
    return _encode(_to_image(np.asarray(scene, np.float32) / 255 + noise), quality=80)


def _exposed(scene: Image.Image, stops: float) -> bytes:
    """Scale the light by 2**stops in linear intensities, as a camera would, clipping what is too bright."""
    linear = [(value / 255) ** 2.2 * 2**stops for value in range(256)]
    return _encode(scene.point([min(255, round(255 * light ** (1 / 2.2))) for light in linear] * 3))


_MAKERS: dict[str, Callable[[Image.Image], bytes]] = {
    "sharp.jpg": _encode,
    "blurred.jpg": _blurred,
    "noisy.jpg": _noisy,
    "dark.jpg": partial(_exposed, stops=-4.0),
    "overexposed.jpg": partial(_exposed, stops=2.2),
    "blocky.jpg": partial(_encode, quality=8),
    "grey.jpg": lambda scene: _encode(scene.convert("L")),
    "long.jpg": lambda scene: _encode(scene.crop((50, 320, 1550, 720))),
    "tiny.png": lambda scene: _encode(scene.resize((120, 80)), "PNG"),
    "sharp.webp": partial(_encode, file_format="WEBP", quality=85, method=2),
}
SAMPLES = tuple(_MAKERS)
