"""One object, five vendors' words: Aliyun, Tencent, Cloudinary's upload and Analyze APIs, Sightengine.

What each tells is the mapping from the report: this file writes the mapping down once more, apart from the dialects.
"""

from __future__ import annotations

import json
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from gateway.dialects.xml import XmlLimits, parse
from gateway.imaging.limits import Limits
from gateway.imaging.pool import ScorerClient
from tests.harness import KEY_ID, SECRET
from tests.imaging.pictures import encode, photo_like
from tests.journeys.clouds import CLOUD, CloudUnderTest, form_of, running_cloud, signed
from tests.journeys.neighbourhood import analyze

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

    from gateway.report import QualityReport
    from tests.fake_store import FakeStore

EXTENDED = (
    *("jpeg_quality", "jpeg_chroma", "focus", "noise", "contrast", "exposure", "saturation", "lighting"),
    *("pixel_score", "color_score", "dct", "blockiness", "chroma_subsampling", "resolution"),
)
FLAGS = {
    "LongImage": "long_image",
    "BlackAndWhite": "black_and_white",
    "SmallImage": "small_image",
    "BigImage": "big_image",
    "PureImage": "pure_image",
}
BLOCKS = {"dct", "blockiness", "chroma_subsampling"}  # told up to 10 megapixels
PICTURES: Mapping[str, bytes] = {
    "good.jpg": encode(photo_like(1200, 900), "JPEG", quality=92),
    "poor.jpg": encode(photo_like(480, 360, seed=2), "JPEG", quality=5),
    "lossless.png": encode(photo_like(400, 300, seed=3), "PNG"),
    "small.jpg": encode(photo_like(160, 120, seed=4), "JPEG", quality=85),
    "large.jpg": encode(photo_like(400, 260, seed=6).resize((4000, 2600)), "JPEG", quality=80),
    "grey.webp": encode(photo_like(640, 200, seed=5).convert("L").convert("RGB"), "WEBP", lossless=True),
}


@dataclass(frozen=True)
class Told:
    """What each system said of one object."""

    oss: str
    cos: Mapping[str, str]
    uploaded: Mapping[str, Any]
    focus_only: Mapping[str, Any]
    analysed: Mapping[str, Any]
    by_asset: Mapping[str, Any]
    sightengine: float


async def report_of(scorer_address: str, picture: bytes) -> QualityReport:
    """The report as the scorer makes it, without any vendor."""

    async def whole() -> AsyncGenerator[bytes]:
        yield picture

    async with aclosing(whole()) as chunks:
        return await ScorerClient(scorer_address, Limits()).score(chunks, declared_bytes=len(picture))


async def ask_all(cloud: CloudUnderTest, name: str, picture: bytes) -> Told:
    """Upload by Cloudinary's API, then ask the other systems about that very object."""
    gateway, options = cloud.gateway, {"quality_analysis": "1", "detection": "iqa"}
    status, uploaded = await cloud.upload(picture, filename=name, public_id=name, **options)
    assert status == 200, uploaded
    _, _, oss = await gateway.get(gateway.oss_url("demo", name, "x-oss-process=image%2Fscore"))
    cos_url, host = gateway.cos_url("demo", name, "ci-process=AssessQuality")
    _, _, cos = await gateway.get(cos_url, headers=host)
    document = parse(cos, XmlLimits(max_bytes=8192, max_elements=50))
    _, analysed = await analyze(gateway, {"source": {"uri": f"s3://demo/{name}"}})
    _, by_asset = await analyze(gateway, {"source": {"asset_id": uploaded["asset_id"]}})
    query = {"models": "quality", "url": f"s3://demo/{name}", "api_user": KEY_ID, "api_secret": SECRET.reveal()}
    _, _, checked = await gateway.get(gateway.raw_url(f"/1.0/check.json?{urlencode(query)}"))
    return Told(
        oss=oss.decode(),
        cos={child.name: child.text for child in document.children},
        uploaded=uploaded,
        focus_only=await focus_only(cloud, name, picture),
        analysed=analysed["data"]["analysis"],
        by_asset=by_asset["data"]["analysis"],
        sightengine=json.loads(checked)["quality"]["score"],
    )


async def focus_only(cloud: CloudUnderTest, name: str, picture: bytes) -> Mapping[str, Any]:
    """The plain analysis, from the second cloud, which has no extended one."""
    form = form_of(signed({"public_id": name, "quality_analysis": "1"}), picture, name)
    url = cloud.gateway.raw_url("/v1_1/plain/image/upload")
    status, _, body = await cloud.gateway.request("POST", url, data=form)
    document: dict[str, Any] = json.loads(body)
    assert status == 200, document
    return document


@pytest.mark.parametrize("name", PICTURES)
async def test_all_five_tell_the_same_report(store: FakeStore, scorer_address: str, tmp_path: Path, name: str) -> None:
    picture = PICTURES[name]
    report = await report_of(scorer_address, picture)
    clouds = {"demo": dict(CLOUD), "plain": {"bucket": "demo"}}
    async with running_cloud(store.endpoint, scorer_address, tmp_path, clouds=clouds) as cloud:
        told = await ask_all(cloud, name, picture)
    check_aliyun_and_tencent(told, report)
    check_cloudinary(told, report)
    assert told.sightengine == round(report.score, 2)


def check_aliyun_and_tencent(told: Told, report: QualityReport) -> None:
    assert f'"OverallQualityScore":{report.score:.3f}' in told.oss
    small = report.flags.small_image
    flags = {name: getattr(report.flags, field) for name, field in FLAGS.items()}
    scores = {"ClarityScore": report.clarity, "AestheticScore": report.aesthetic, "LowQualityScore": report.content}
    if small:  # Tencent alone says nothing more of it
        flags = {name: name == "SmallImage" for name in flags}
        scores = dict.fromkeys(scores, 0)
    expected = {
        **{name: "TRUE" if value else "FALSE" for name, value in flags.items()},
        **{name: str(value) for name, value in scores.items()},
    }
    assert {name: told.cos[name] for name in expected} == expected


def check_cloudinary(told: Told, report: QualityReport) -> None:
    subs = {name: round(report.sub_scores[name], 2) for name in EXTENDED if name in report.sub_scores}
    assert told.uploaded["quality_analysis"] == subs
    assert ("jpeg_quality" in subs) == ("jpeg_chroma" in subs) == (report.format == "jpeg")
    is_large = report.width * report.height > 10_000_000
    assert not (is_large and BLOCKS & set(subs))
    assert is_large or report.format != "jpeg" or set(subs) >= BLOCKS
    assert told.uploaded["quality_score"] == round(report.score, 2)
    assert told.focus_only["quality_analysis"] == {"focus": report.sub_scores["focus"]}
    assert "quality_score" not in told.focus_only
    quality = "low" if report.score < 0.40 else "medium" if report.score < 0.65 else "high"
    expected = {"score": round(report.score, 5), "quality": quality, "confidence": round(report.confidence, 5)}
    assert told.analysed == {**expected, "model_version": int(report.model_version)}
    assert told.by_asset == told.analysed
    iqa = told.uploaded["info"]["detection"]["object_detection"]["data"]["iqa"]["tags"]["iqa-analysis"][0]["attributes"]
    assert iqa["quality"] == quality
    assert iqa["score"] == pytest.approx(report.score, abs=1e-5)
