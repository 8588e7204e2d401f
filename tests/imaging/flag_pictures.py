"""Pages, blank sheets and scenes for the flags, drawn here: no font or photo has to be installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from tests.imaging.pictures import from_array, photo_like

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Colour = tuple[int, int, int]
    Glyph = Callable[[ImageDraw.ImageDraw, int, int, int], None]

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
WORDS = "The quick brown fox jumps over it"


def noisy(level: float | npt.NDArray[np.float64], sigma: float, size: tuple[int, int] = (400, 300)) -> Image.Image:
    width, height = size
    grain = np.random.default_rng(5).normal(0, sigma, (height, width, 3))
    return from_array(np.broadcast_to(np.asarray(level), (height, width, 3)) + grain)


def scanned(page: Image.Image, fall: float = 0.05) -> Image.Image:
    """Return the page as a scanner sees it: light falls off to the corners by a share, paper and sensor add noise."""
    y, x = np.mgrid[-1 : 1 : page.height * 1j, -1 : 1 : page.width * 1j]
    light = 1 - fall * (x**2 + y**2) / 2
    grain = np.random.default_rng(3).normal(0, 1.5, (page.height, page.width, 1))
    return from_array(np.asarray(page) * 0.97 * light[..., None] + grain)


def lines(
    sizes: tuple[int, ...], ground: Colour = WHITE, ink: Colour = BLACK, side: tuple[int, int] = (480, 360)
) -> Image.Image:
    """Return a page in Pillow's own font, its lines in turn as high as `sizes` (pixels)."""
    image = Image.new("RGB", side, ground)
    draw, top, count = ImageDraw.Draw(image), 15, 0
    while top < side[1] - sizes[count % len(sizes)] * 1.3:
        size = sizes[count % len(sizes)]
        draw.text((15, top), WORDS, fill=ink, font=ImageFont.load_default(size))
        top, count = top + int(size * 1.6), count + 1
    return image


def one_word(size: int, side: tuple[int, int] = (400, 300), word: str = "Hello") -> Image.Image:
    image = Image.new("RGB", side, WHITE)
    draw = ImageDraw.Draw(image)
    draw.text((side[0] // 8, side[1] // 3), word, fill=BLACK, font=ImageFont.load_default(size))
    return image


def mirrored_script(size: int) -> Image.Image:
    """Return a page of letters that Latin has not: mirrored ones, as Cyrillic's, on every second line upside down."""
    page = ImageOps.mirror(lines((size,)))
    half = page.crop((0, 0, page.width, page.height // 2))
    page.paste(ImageOps.flip(half), (0, 0))
    return page


def written(glyph: Glyph, size: int, *, ground: Colour = WHITE, ink: Colour = BLACK) -> Image.Image:
    """Return a page of glyphs in cells of `size` pixels; drawn four times as large and reduced, as fonts smooth."""
    mask = Image.new("L", (1920, 1440), 0)
    draw, pitch = ImageDraw.Draw(mask), size * 4
    for top in range(pitch, 1440 - pitch, int(pitch * 1.4)):
        for left in range(pitch, 1920 - pitch, int(pitch * 1.1)):
            glyph(draw, left, top, pitch)
    return ImageOps.colorize(mask.resize((480, 360), Image.Resampling.LANCZOS), ground, ink)


def square_strokes(seed: int) -> Glyph:
    """Return a glyph as those of Chinese, Japanese and Korean: crossing strokes and boxes that fill a square."""
    rng = np.random.default_rng(seed)

    def draw_one(draw: ImageDraw.ImageDraw, left: int, top: int, size: int) -> None:
        width = max(3, size // 12)
        for _ in range(3):
            at = int(rng.integers(0, size))
            draw.line((left, top + at, left + size * 9 // 10, top + at), fill=255, width=width)
        middle = left + int(rng.integers(size // 4, size * 3 // 4))
        draw.line((middle, top, middle, top + size), fill=255, width=width)
        draw.line((middle, top + size // 2, left, top + size), fill=255, width=width)
        box = left + size // 6, top + size // 3, left + size * 2 // 3, top + size * 3 // 4
        draw.rectangle(box, outline=255, width=width)

    return draw_one


def joined_strokes(seed: int) -> Glyph:
    """Return a glyph as those of Arabic: bows and teeth on one base line, dots above or below."""
    rng = np.random.default_rng(seed)

    def draw_one(draw: ImageDraw.ImageDraw, left: int, top: int, size: int) -> None:
        width, base = max(4, size // 9), top + size * 2 // 3
        draw.line((left, base, left + size * 11 // 10, base), fill=255, width=width)
        bow = left + size // 5, base - size // 3, left + size * 3 // 5, base + size // 3
        draw.arc(bow, int(rng.integers(0, 180)), int(rng.integers(190, 350)), fill=255, width=width)
        tooth = left + size * 4 // 5
        draw.line((tooth, base, tooth, base - size // 3), fill=255, width=width)
        at = left + size // 2, top + int(rng.choice([0, size * 9 // 10]))
        draw.ellipse((at[0], at[1], at[0] + width, at[1] + width), fill=255)

    return draw_one


def scenery(width: int = 480, height: int = 360) -> Image.Image:
    """Return what a lens makes of a place: shades of all sizes, each in a colour of its own, no edge quite sharp."""
    rng = np.random.default_rng(8)
    light = np.zeros((height, width, 3))
    for octave in range(2, 8):
        cells = rng.normal(0, 1, (2**octave, 2**octave, 3))
        planes = [Image.fromarray(cells[..., band].astype(np.float32)) for band in range(3)]
        grown = [np.asarray(plane.resize((width, height), Image.Resampling.BICUBIC)) for plane in planes]
        light += np.stack(grown, axis=-1) * 40 / octave
    return from_array(110 + light)


def sky_with_a_bird(fall: float) -> Image.Image:
    """Return a sky that grows lighter downwards by `fall` grey levels, and one bird of 30 pixels."""
    down = np.linspace(0, fall, 600)[:, None, None]
    image = from_array(np.broadcast_to(np.array([120, 170, 215]) + down * np.array([1, 0.7, 0.4]), (600, 800, 3)))
    ImageDraw.Draw(image).polygon([(400, 300), (415, 310), (430, 298), (418, 318), (412, 318)], fill=(20, 20, 25))
    return image


def night_with_lamps(*, in_line: bool = False, crisp: bool = False) -> Image.Image:
    rng = np.random.default_rng(2)
    image = noisy(4.0, 0 if crisp else 2, (800, 600))
    places = [(int(rng.integers(20, 780)), 300 if in_line else int(rng.integers(20, 580))) for _ in range(25)]
    if crisp:
        draw = ImageDraw.Draw(image)
        for left, top in places:
            side = int(rng.integers(4, 14))
            draw.ellipse((left, top, left + side, top + side), fill=(255, 230, 160))
        return image
    y, x = np.mgrid[0:600, 0:800]
    light = np.asarray(image).astype(float)
    for left, top in places:
        glow = 255 * np.exp(-((x - left) ** 2 + (y - top) ** 2) / (2 * rng.uniform(3, 12) ** 2))
        light += glow[..., None] * np.array([1, 0.9, 0.6])
    return from_array(light)


def dark_scene_with_a_caption() -> Image.Image:
    """Return a scene that is nearly black, with the camera's name in white: what phones print into a corner."""
    image = from_array(np.asarray(scenery()).astype(float) * 0.12)
    ImageDraw.Draw(image).text((12, 330), "SHOT ON A CAMERA", fill=WHITE, font=ImageFont.load_default(14))
    return image


def exposed(image: Image.Image, gain: float, offset: float = 0.0) -> Image.Image:
    return from_array(np.asarray(image).astype(float) * gain + offset)


def grey_photo() -> Image.Image:
    return photo_like(320, 240).convert("L").convert("RGB")


def tinted(photo: Image.Image, red: float, blue: float) -> Image.Image:
    return from_array(np.asarray(photo).astype(float) * np.array([red, 1, blue]))


def desaturated(photo: Image.Image, share: float) -> Image.Image:
    grey = np.asarray(photo.convert("L")).astype(float)[..., None]
    return from_array(grey + (np.asarray(photo) - grey) * share)


def with_patch(photo: Image.Image) -> Image.Image:
    ImageDraw.Draw(photo).rectangle((200, 150, 212, 162), fill=(200, 40, 40))
    return photo
