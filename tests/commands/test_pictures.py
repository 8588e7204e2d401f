from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageFilter

from gateway.commands.pictures import HEIGHT, SAMPLES, WIDTH, draw_samples

FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
SIZES = {"long.jpg": (1500, 400), "tiny.png": (120, 80)}


@pytest.fixture(scope="module")
def samples() -> dict[str, bytes]:
    return draw_samples()


def decode(data: bytes) -> Image.Image:
    picture = Image.open(BytesIO(data))
    picture.load()
    return picture


def luma(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(decode(data).convert("L"), np.float64)


def detail(data: bytes) -> float:
    """Return how strongly neighbouring pixels differ: the mean absolute horizontal gradient."""
    return float(np.abs(np.diff(luma(data), axis=1)).mean())


def test_the_names_are_known_without_drawing(samples: dict[str, bytes]) -> None:
    assert tuple(samples) == SAMPLES
    assert SAMPLES[0] == "sharp.jpg"


def test_drawing_again_gives_the_same_bytes(samples: dict[str, bytes]) -> None:
    assert draw_samples() == samples


def test_all_together_are_small_enough_for_a_demo(samples: dict[str, bytes]) -> None:
    assert sum(map(len, samples.values())) < 4_000_000


@pytest.mark.parametrize("name", SAMPLES)
def test_each_decodes_in_the_format_and_size_its_name_promises(samples: dict[str, bytes], name: str) -> None:
    picture = decode(samples[name])
    assert picture.format == FORMATS[name.rpartition(".")[2]]
    assert picture.size == SIZES.get(name, (WIDTH, HEIGHT))


def test_grey_has_no_colour_and_the_others_have(samples: dict[str, bytes]) -> None:
    colourful = {name for name in SAMPLES if decode(samples[name]).getbands() == ("R", "G", "B")}
    assert colourful == set(SAMPLES) - {"grey.jpg"}
    red, green, _ = np.asarray(decode(samples["sharp.jpg"]), np.int16).transpose(2, 0, 1)
    assert np.abs(red - green).mean() > 5


def test_dark_and_overexposed_are_what_they_say(samples: dict[str, bytes]) -> None:
    assert luma(samples["dark.jpg"]).mean() < 45
    assert 80 < luma(samples["sharp.jpg"]).mean() < 175
    assert (luma(samples["overexposed.jpg"]) > 250).mean() > 0.2


def test_blur_takes_detail_away_and_noise_adds_some(samples: dict[str, bytes]) -> None:
    assert 2 * detail(samples["blurred.jpg"]) < detail(samples["sharp.jpg"]) < detail(samples["noisy.jpg"])


def test_blocky_jumps_at_the_borders_of_its_blocks(samples: dict[str, bytes]) -> None:
    jumps = np.abs(np.diff(luma(samples["blocky.jpg"]), axis=1)).mean(axis=0)
    at_borders = jumps[7::8].mean()
    assert at_borders > 1.3 * np.delete(jumps, np.s_[7::8]).mean()


def test_the_spectrum_falls_as_that_of_a_photo(samples: dict[str, bytes]) -> None:
    # Amplitude 1/f**a with a near 1 (Field 1987, Relations between the statistics of natural images).
    rows = luma(samples["sharp.jpg"])
    amplitude = np.abs(np.fft.rfft((rows - rows.mean()) * np.hanning(WIDTH), axis=1)).mean(axis=0)
    frequency = np.arange(len(amplitude))
    middle = slice(8, 300)
    slope = np.polyfit(np.log(frequency[middle]), np.log(amplitude[middle]), 1)[0]
    assert -1.5 < slope < -0.6


def test_sharp_is_sharper_than_its_own_slight_blur(samples: dict[str, bytes]) -> None:
    softened = BytesIO()
    decode(samples["sharp.jpg"]).filter(ImageFilter.GaussianBlur(1)).save(softened, "JPEG", quality=92)
    assert detail(softened.getvalue()) < 0.8 * detail(samples["sharp.jpg"])
