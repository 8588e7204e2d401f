from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from gateway.errors import IMAGE_DAMAGED, ApiError
from gateway.imaging.average import process
from gateway.imaging.decode import load
from gateway.imaging.leisure import finish
from gateway.imaging.limits import Limits
from gateway.imaging.pool import ScorerClient
from gateway.report import AverageColour
from tests.imaging.pictures import encode, photo_like, probe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.imaging.conftest import Scorers


def average(data: bytes, folder: Path) -> AverageColour:
    (folder / "picture").write_bytes(data)
    descriptor = os.open(folder / "picture", os.O_RDONLY)
    try:
        facts = probe(data)
        return finish(process(load(descriptor, facts, max_pixels=10**9), facts))
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (400, 300), (3000, 2000)])
def test_one_colour_is_its_own_mean_at_any_size(size: tuple[int, int], tmp_path: Path) -> None:
    assert average(encode(Image.new("RGB", size, (0x73, 0x62, 0x46)), "PNG"), tmp_path) == AverageColour(115, 98, 70)
    assert AverageColour(115, 98, 7).hexadecimal == "0x736207"


def test_the_mean_is_that_of_all_pixels(tmp_path: Path) -> None:
    picture = photo_like(2900, 1700)
    found = average(encode(picture, "PNG"), tmp_path)
    expected = np.asarray(picture).reshape(-1, 3).mean(axis=0)
    assert np.abs(np.array([found.red, found.green, found.blue]) - expected).max() <= 1


def test_grey_is_grey_and_alpha_lies_over_white(tmp_path: Path) -> None:
    assert average(encode(Image.new("L", (300, 300), 90), "PNG"), tmp_path) == AverageColour(90, 90, 90)
    clear = Image.new("RGBA", (300, 300), (0, 0, 0, 0))
    assert average(encode(clear, "PNG"), tmp_path) == AverageColour(255, 255, 255)


async def test_a_scorer_computes_it_beside_scores(scorers: Scorers) -> None:
    scorers.start()
    data = encode(Image.new("RGB", (300, 200), (200, 30, 40)), "PNG")

    async def chunks(whole: bytes) -> AsyncIterator[bytes]:
        yield whole

    client = ScorerClient(scorers.address, Limits())
    assert await client.process("average", chunks(data), declared_bytes=len(data)) == AverageColour(200, 30, 40)
    with pytest.raises(ApiError) as caught:
        await client.process("average", chunks(data[:-30]), declared_bytes=len(data) - 30)
    assert caught.value.kind is IMAGE_DAMAGED
