"""Cloudinary's upload: from what a request carries or names to an asset that is stored, scored and remembered."""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from gateway.dialects.cloudinary_upload import parse_content_range, plan, with_preset
from gateway.errors import (
    ACCESS_DENIED,
    ALREADY_EXISTS,
    INVALID_ARGUMENT,
    URL_NOT_ALLOWED,
    URL_NOT_AN_IMAGE,
    URL_UNREACHABLE,
    ApiError,
)
from gateway.journeys import cloud_parts
from gateway.journeys.cloud_assets import Desk, Wish
from gateway.journeys.cloud_body import MAX_URL_BYTES, File, data_uri
from gateway.journeys.cloud_caller import bucket_of
from gateway.journeys.cloud_notify import notify, receiver
from gateway.journeys.cloud_parts import Whole
from gateway.journeys.ingest import assess, look_up, new_asset, store, stored_stream
from gateway.journeys.sources import own_object
from gateway.request import ObjectRef, percent_decode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.assets import Asset
    from gateway.dialects.cloudinary_routes import Route
    from gateway.dialects.cloudinary_upload import UploadPlan
    from gateway.journeys.cloud_body import Received, Shelf
    from gateway.vendors import PresetSettings

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_UPLOAD = ("cloudinary:Upload", "s3:PutObject")
_URL_SCHEMES = ("http://", "https://", "ftp://", "gs://", "s3://")


async def upload(desk: Desk, found: Route, body: Received) -> dict[str, Any]:
    """Take an upload, or a part of a large one; return the reply. Raises ApiError."""
    if body.file is None:
        raise ApiError(INVALID_ARGUMENT, "no file", message="Missing required parameter - file")
    preset = preset_of(desk, body.fields)
    fields = with_preset(body.fields, preset.fields if preset else {}, signed=desk.caller.signed)
    url = url_of(body.file)
    upload_id = desk.call.head.one_header("x-unique-upload-id")
    ranged = desk.call.head.one_header("content-range")
    in_parts = bool(ranged and upload_id)
    owner = desk.caller.credential.access_key_id
    chance = partial(cloud_parts.random_text, f"{desk.cloud.name}/{owner}/{upload_id}") if in_parts else random_text
    filename = name_in(url) if url else body.file.filename
    planned = plan(fields, found.resource_type, filename, chance, signed=desk.caller.signed)
    wish = Wish(planned.quality_analysis, planned.detection)
    desk.allow(desk.ref(planned.public_id), *_UPLOAD, wish=wish)
    to = receiver(desk, body.fields, preset.notification_url if preset else "")
    if in_parts:
        whole = await _part(desk, body.file, body.shelf, upload_id, ranged)
        if whole is None:
            return {"done": False, "public_id": planned.own_id, "bytes": body.file.length, "kind": "upload"}
        reply = await _ingested(desk, planned, wish, whole.file)
        await whole.forget_parts()
    else:
        reply = await _ingested(desk, planned, wish, await _source(desk, body.file, body.shelf, url))
    await notify(desk, to, "upload", reply)
    return reply


def preset_of(desk: Desk, fields: Mapping[str, str]) -> PresetSettings | None:
    """Return the preset that an upload names; None for one that names none. Raises INVALID_ARGUMENT."""
    name = fields.get("upload_preset", "")
    preset = desk.cloud.settings.presets.get(name)
    if name and preset is None:
        raise ApiError(INVALID_ARGUMENT, f"preset {name}", message="Upload preset not found")
    return preset


async def _ingested(desk: Desk, planned: UploadPlan, wish: Wish, file: File) -> dict[str, Any]:
    bucket, ledger = bucket_of(desk.call, desk.caller, desk.cloud), desk.call.services.ledger
    earlier = await ledger.asset(desk.cloud.name, planned.public_id)
    if not planned.overwrite and await look_up(planned.public_id, bucket):
        return await _existing(desk, planned.public_id, earlier)
    if wish.any:
        await desk.count_score()
    kind, seen = await assess(desk.assessor, planned, file)
    asset = new_asset(desk.cloud.name, planned, kind, seen, earlier, desk.call.services.clock().timestamp())
    asset = await store(asset, file, bucket, overwrite=planned.overwrite)
    await desk.settle(asset, earlier)
    return {**desk.reply(asset), **desk.told(wish, (seen.report or seen.reason) if seen else None)}


async def _existing(desk: Desk, public_id: str, earlier: Asset | None) -> dict[str, Any]:
    """Return the reply that tells of what has the name already.

    Raises ACCESS_DENIED where the caller may not read it, and ALREADY_EXISTS where it is nobody's without a signature.
    """
    published = earlier is not None and earlier.uploaded and earlier.type == "upload"
    if not desk.caller.signed and not published:
        raise ApiError(ALREADY_EXISTS)
    desk.allow(desk.ref(public_id), "s3:GetObject")
    kind = earlier.resource_type if earlier else "image"
    asset = await desk.current(public_id, kind, earlier.type if earlier else "upload")
    return {**desk.reply(asset), "existing": True}


async def _part(desk: Desk, file: File, shelf: Shelf, upload_id: str, ranged: str) -> Whole | None:
    """Keep a part; return the whole file when this was the last that was missing."""
    place = parse_content_range(ranged)
    shelf.check(place.total or place.end)
    if len(upload_id) > cloud_parts.MAX_ID:
        raise ApiError(INVALID_ARGUMENT, "X-Unique-Upload-Id", message="Invalid X-Unique-Upload-Id: it is too long")
    bucket, owner = bucket_of(desk.call, desk.caller, desk.cloud), desk.caller.credential.access_key_id
    parts = cloud_parts.hidden_parts(bucket, desk.cloud.name, owner, upload_id)
    if place.start == 0 and place.end == place.total == file.length:
        return Whole(file, parts, ())
    max_age_s = desk.call.settings.multipart.max_age_s
    await cloud_parts.keep(parts, place, file, desk.call.services.clock(), max_age_s)
    kept = await cloud_parts.all_kept(parts, place, place.total) if place.total is not None else None
    return await cloud_parts.joined(parts, kept, shelf, file.filename) if kept else None


def url_of(file: File) -> str:
    """Return the URL that a plain field `file` holds; `""` when it is the picture itself, or a `data:` URI."""
    start = file.start(MAX_URL_BYTES)
    if file.filename or file.length > MAX_URL_BYTES or not start.lower().startswith(_schemes()):
        return ""
    try:
        return start.decode("ascii").strip()
    except UnicodeDecodeError:
        raise ApiError(INVALID_ARGUMENT, "a URL that is not ASCII", message="Invalid URL for upload") from None


def _schemes() -> tuple[bytes, ...]:
    return tuple(scheme.encode() for scheme in _URL_SCHEMES)


def name_in(url: str) -> str:
    """Return the file's name at the end of a URL's path; `""` for what is no URL, and is refused where it is read."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return ""
    return unquote(path.rpartition("/")[2])  # what is not UTF-8 is replaced: the name is kept as text


def random_text(length: int) -> str:
    """Return lower-case letters and digits, by chance."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


async def _source(desk: Desk, file: File, shelf: Shelf, url: str) -> File:
    """Return the file that is meant: the one that came, the one in a `data:` URI, or the one behind a URL."""
    if url.startswith("s3://"):
        return await _own_object(desk, url, shelf)
    if url:
        return await _fetched(desk, url, shelf)
    if not file.filename and file.start(5).lower() == b"data:":
        return await data_uri(file, shelf)
    shelf.check(file.length)
    return file


async def _own_object(desk: Desk, url: str, shelf: Shelf) -> File:
    """Read `s3://bucket/key` of the gateway's own stores, if the caller may read it. Raises ApiError."""
    name, _, key = url.removeprefix("s3://").partition("/")
    named = own_object(percent_decode(name), percent_decode(key))
    place = desk.call.place(named.bucket)
    _allow_source(desk, place.name)
    ref = ObjectRef(place.name, named.key)
    desk.call.authorise(desk.caller.identity, [("s3:GetObject", ref)])
    bucket = desk.call.store_for(desk.caller.identity, place)
    return await shelf.keep(stored_stream(ref.key, bucket)(), name_in(url))


def _allow_source(desk: Desk, bucket: str) -> None:
    """Refuse an object of a bucket that a caller by signature may not name: by the vendor's rules none covers `file`.

    So whoever is handed a signed form, in a browser say, could copy with it whatever its key may read. Raises
    ACCESS_DENIED.
    """
    if not desk.caller.signed:  # anybody could have what the cloud's identity may read
        raise ApiError(ACCESS_DENIED, "a stored source without a signature")
    permitted, is_own = desk.cloud.settings.s3_sources, bucket == desk.cloud.bucket.name
    if desk.caller.in_clear or permitted == "any" or (permitted == "own" and is_own):
        return
    message = "No signature covers this source, and s3_sources of this cloud forbids it; HTTP Basic may name it."
    raise ApiError(ACCESS_DENIED, "an s3 source that is not signed", message=message)


async def _fetched(desk: Desk, url: str, shelf: Shelf) -> File:
    """Fetch a remote file, as far as the operator lets that happen. Raises the fetcher's errors, ENTITY_TOO_LARGE."""
    try:
        async with desk.call.services.fetcher.open(url) as fetched:
            return await shelf.keep(fetched.chunks(), name_in(url) or "file")
    except ApiError as error:
        if error.kind not in (URL_NOT_ALLOWED, URL_UNREACHABLE, URL_NOT_AN_IMAGE):
            raise
        message = f"Error in loading {url[:300]} - {error.message}"
        raise ApiError(error.kind, error.detail, message=message) from error
