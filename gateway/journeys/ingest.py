"""A file becomes an asset: looked at, scored where that was asked for, stored, remembered. Knows Cloudinary's words."""

from __future__ import annotations

import mimetypes
import secrets
from base64 import b64encode
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.assets import Asset
from gateway.dialects.base import StoreRequest
from gateway.dialects.cloudinary_quality import indexed
from gateway.errors import (
    ALREADY_EXISTS,
    ASSET_CHANGED,
    IMAGE_DAMAGED,
    IMAGE_FILE_TOO_LARGE,
    IMAGE_SIDE_TOO_LONG,
    IMAGE_TOO_LARGE,
    NOT_AN_IMAGE,
    NOT_IMPLEMENTED,
    SCORER_DIED,
    SCORERS_BUSY,
    SCORING_TOO_SLOW,
    ApiError,
)
from gateway.report import ImageInfo, QualityReport
from gateway.request import percent_encode
from gateway.stores.documents import refuse_error, store_error, stored_etag
from gateway.stores.upstream import Body

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from gateway.dialects.cloudinary_upload import UploadPlan
    from gateway.imaging.pool import ScorerClient
    from gateway.journeys.cloud_body import File
    from gateway.quotas import Quotas
    from gateway.stores.upstream import StoreBucket

    Stream = Callable[[], AsyncGenerator[bytes]]

# The picture is one, but it is not scored: the reason is told, and the upload goes on.
_UNSCORED = (
    *(IMAGE_TOO_LARGE, IMAGE_SIDE_TOO_LONG, IMAGE_FILE_TOO_LARGE, SCORING_TOO_SLOW, SCORERS_BUSY, SCORER_DIED),
)
_FORMATS = {"jpeg": "jpg", "tiff": "tif"}  # what the vendor calls them
_MEDIA_TYPES = {
    "jpg": "image/jpeg",
    "tif": "image/tiff",
    "heic": "image/heic",
    "avif": "image/avif",
    "jxl": "image/jxl",
}
_VIDEO_STARTS = ((4, b"ftyp"), (0, b"\x1aE\xdf\xa3"), (0, b"RIFF"), (0, b"\x00\x00\x01\xba"))


@dataclass(frozen=True, slots=True)
class Assessment:
    """What looking at a picture found: what its header says, and the report, or the reason why there is none."""

    info: ImageInfo
    report: QualityReport | None = None
    reason: ApiError | None = None


@dataclass(frozen=True, slots=True)
class Assessor:
    """Looks at pictures on somebody's account."""

    scorer: ScorerClient
    quotas: Quotas
    identity: str

    async def look(self, stream: Stream, length: int | None, *, score: bool) -> Assessment:
        """Read a picture's header, then score it; without `score` find out only whether it can be decoded.

        Raises NOT_AN_IMAGE and IMAGE_DAMAGED; SLOW_DOWN when the identity has too many scores running.
        """
        info = await self.header(stream, length)
        if not score:
            await self._decode(stream, length)
            return Assessment(info)
        scored = await self.score(stream, length)
        if isinstance(scored, ApiError):
            return Assessment(info, reason=scored)
        if not info.width:
            info = replace(info, width=scored.width, height=scored.height)
        return Assessment(info, scored)

    async def score(self, stream: Stream, length: int | None) -> QualityReport | ApiError:
        """Return the report, or the reason why a picture is not scored: a limit, a deadline, no free scorer.

        Raises what `look` raises.
        """
        with self.quotas.scoring(self.identity):
            try:
                async with aclosing(stream()) as chunks:
                    return await self.scorer.score(chunks, declared_bytes=length)
            except ApiError as error:
                if error.kind not in _UNSCORED:
                    raise
                return error

    async def _decode(self, stream: Stream, length: int | None) -> None:
        """Find out whether a picture is damaged; one that is beyond a limit, or finds no scorer free, passes."""
        try:
            async with aclosing(stream()) as chunks:
                await self.scorer.process("average", chunks, declared_bytes=length)
        except ApiError as error:
            if error.kind not in _UNSCORED:
                raise

    async def header(self, stream: Stream, length: int | None) -> ImageInfo:
        """Return what the header says; a TIFF file may state its sides too far behind: they are 0 then."""
        try:
            async with aclosing(stream()) as chunks:
                found = await self.scorer.process("info", chunks, declared_bytes=length)
        except ApiError as error:
            if error.kind is not NOT_IMPLEMENTED:
                raise
            return ImageInfo("tiff", 0, 0, length, None, {})
        assert isinstance(found, ImageInfo), "what the registry's module returns"  # noqa: S101 # not a client's
        return found


async def assess(assessor: Assessor, plan: UploadPlan, file: File) -> tuple[str, Assessment | None]:
    """Say what a file is (`image`, `video` or `raw`) and, for a picture, what looking at it found.

    Raises NOT_AN_IMAGE and IMAGE_DAMAGED for what is to be a picture and is none.
    """
    if plan.resource_type not in ("image", "auto"):
        return plan.resource_type, None
    try:
        score = plan.quality_analysis or plan.detection
        return "image", await assessor.look(file.chunks, file.length, score=score)
    except ApiError as error:
        if plan.resource_type == "image" or error.kind not in (NOT_AN_IMAGE, IMAGE_DAMAGED):
            raise
    start = file.start(16)
    is_video = any(start[at : at + len(magic)] == magic for at, magic in _VIDEO_STARTS)
    return "video" if is_video else "raw", None


def new_asset(
    cloud: str, plan: UploadPlan, kind: str, found: Assessment | None, earlier: Asset | None, now_s: float
) -> Asset:
    """Return the asset that an upload makes, before its content is known by length and digest."""
    asset = Asset(
        asset_id=earlier.asset_id if earlier else secrets.token_hex(16),
        cloud=cloud,
        public_id=plan.public_id,
        resource_type=kind,
        type=plan.type,
        version=max(int(now_s), earlier.version + 1 if earlier else 0),
        version_id=secrets.token_hex(16),
        created_at=now_s,
        bytes=0,
        etag="",
        format=plan.extension if kind == "video" else "",
        original_filename=plan.original_filename,
        display_name=plan.display_name,
        asset_folder=plan.asset_folder,
        tags=plan.tags,
        context=plan.context,
    )
    return with_facts(asset, found) if found else asset


def with_facts(asset: Asset, found: Assessment) -> Asset:
    """Return the asset with what was found out about its picture; a report is indexed for searches."""
    info = found.info
    return replace(
        asset,
        format=_FORMATS.get(info.format, info.format),
        width=info.width,
        height=info.height,
        pages=info.frames or 1,
        scores=indexed(found.report) if found.report else {},
    )


async def store(asset: Asset, file: File, bucket: StoreBucket, *, overwrite: bool) -> Asset:
    """Put a file where its asset belongs; return the asset, complete.

    Raises the store's errors, and ALREADY_EXISTS when it may not `overwrite` what has come there in the meantime.
    """
    digest = await file.md5()
    name = f"{asset.public_id}.{asset.format}" if asset.format else asset.public_id
    guessed = mimetypes.guess_type(name, strict=False)[0] or "application/octet-stream"
    media_type = _MEDIA_TYPES.get(asset.format, guessed)
    headers = (("content-type", media_type), ("content-md5", b64encode(bytes.fromhex(digest)).decode()))
    condition = () if overwrite else (("if-none-match", "*"),)
    request = StoreRequest("PUT", percent_encode(asset.key, safe="/"), "", (*headers, *condition))
    async with bucket.open(request, Body(file.chunks(), file.length)) as answer:
        if answer.status == 412 and not overwrite:
            raise ApiError(ALREADY_EXISTS)
        await refuse_error(answer)
        store_etag = answer.header("etag").strip('"')
    store_etag = store_etag or await stored_etag(bucket, request.raw_key, "", ())
    return replace(asset, bytes=file.length, etag=digest, store_etag=store_etag)


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store says about an object: `etag` without quotes, `length` in bytes, `modified` as it wrote it."""

    etag: str
    length: int
    modified: str


async def look_up(key: str, bucket: StoreBucket) -> Stored | None:
    """Ask the store for an object; None when there is none. Raises the store's other errors."""
    async with bucket.open(StoreRequest("HEAD", percent_encode(key, safe="/"), "", ())) as answer:
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise await store_error(answer)
        return Stored(answer.header("etag").strip('"'), answer.length or 0, answer.header("last-modified"))


def stored_stream(key: str, bucket: StoreBucket, etag: str = "") -> Stream:
    """Return a function that reads an object from its beginning each time it is called.

    Raises the store's errors, and ASSET_CHANGED when the object is no longer the one of this ETag (`""`: any is).
    """

    async def read() -> AsyncGenerator[bytes]:
        async with bucket.open(StoreRequest("GET", percent_encode(key, safe="/"), "", ())) as answer:
            await refuse_error(answer)
            if etag and answer.header("etag").strip('"') != etag:
                raise ApiError(ASSET_CHANGED)
            async for chunk in answer.chunks():
                yield chunk

    return read
