"""Whatever is scored, every figure is a number in its range.

FUZZED_IMAGES is how many pictures are tried (`make fuzz-scores`: 10,000).
"""

from __future__ import annotations

import asyncio
import math
import os
from typing import TYPE_CHECKING

import pytest

from gateway.errors import IMAGE_DAMAGED, IMAGE_SIDE_TOO_LONG, IMAGE_TOO_LARGE, NOT_AN_IMAGE, ApiError
from gateway.imaging.limits import Limits
from gateway.imaging.pool import ScorerClient
from tests.imaging.bodies import Body
from tests.imaging.fuzz import mutant, picture
from tests.supervised import supervised

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.report import QualityReport


IMAGES = int(os.environ.get("FUZZED_IMAGES", "300"))
AT_A_TIME = 4
TOLD = (NOT_AN_IMAGE, IMAGE_DAMAGED, IMAGE_TOO_LARGE, IMAGE_SIDE_TOO_LONG)


def faults(report: QualityReport) -> Iterator[str]:
    """Figures that are not numbers in their range."""
    for name, value in {"score": report.score, **report.sub_scores}.items():
        if not 0 <= value <= 1:  # which NaN is not, either
            yield f"{name} is {value}"
    for name in ("clarity", "aesthetic", "content"):
        if not 0 <= getattr(report, name) <= 100:
            yield f"{name} is {getattr(report, name)}"
    yield from (f"{name} is {value}" for name, value in report.measures.items() if not math.isfinite(value))


async def found(client: ScorerClient, number: int) -> list[str]:
    """Score picture `number`; every fourth one is damaged, and may be refused for it."""
    data = mutant(number) if number % 4 == 3 else picture(number)
    try:
        report = await client.score(aiter(Body(data)), declared_bytes=len(data))
    except ApiError as error:
        refused = error.kind in TOLD and (number % 4 == 3 or error.kind is NOT_AN_IMAGE)
        return [] if refused else [f"picture {number}: {error}"]
    return [f"picture {number}: {text}" for text in faults(report)]


@pytest.mark.timeout(3600)
async def test_every_score_of_a_fuzzed_picture_lies_in_its_range() -> None:
    with supervised(2) as scorers:
        client = ScorerClient(scorers.address, Limits())
        for first in range(0, IMAGES, AT_A_TIME):
            numbers = range(first, min(first + AT_A_TIME, IMAGES))
            texts = await asyncio.gather(*(found(client, number) for number in numbers))
            assert [text for some in texts for text in some] == []
