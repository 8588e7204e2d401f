"""The assets of a cloud as they are now: what is remembered of them, held against what the store has. And their scores.

An object that came by S3, or was changed there, becomes an asset when its cloud is first asked for it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gateway.assets import Asset
from gateway.auth import cloudinary
from gateway.dialects.cloudinary_quality import detection, indexed, quality_analysis
from gateway.dialects.cloudinary_replies import Urls, uploaded
from gateway.dialects.cloudinary_upload import (
    check_details,
    check_public_id,
    flag,
    parse_context,
    parse_tags,
    wants_iqa,
)
from gateway.errors import ACCESS_DENIED, ASSET_CHANGED, IMAGE_DAMAGED, NO_SUCH_RESOURCE, NOT_AN_IMAGE, ApiError
from gateway.journeys.cloud_caller import bucket_of
from gateway.journeys.ingest import Assessment, Assessor, look_up, stored_stream, with_facts
from gateway.journeys.vendor_allowance import DAY_S, spend
from gateway.request import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.journeys.cloud_caller import Caller, Cloud
    from gateway.journeys.ingest import Stored, Stream
    from gateway.journeys.vendor_call import Call
    from gateway.report import QualityReport

ANALYZE = "cloudinary:Analyze"
_TRIES = 3  # to meet an asset while others change it


@dataclass(frozen=True, slots=True)
class Wish:
    """Which analyses are asked for."""

    quality: bool
    iqa: bool

    @property
    def any(self) -> bool:
        """Tell whether there is anything to score."""
        return self.quality or self.iqa


def wish_of(fields: Mapping[str, str], *, always: bool = False) -> Wish:
    """Read the parameters that ask for an analysis. Raises INVALID_ARGUMENT."""
    return Wish(flag(fields, "quality_analysis") or always, wants_iqa(fields))


@dataclass(frozen=True, slots=True)
class Desk:
    """One caller at one cloud."""

    call: Call
    cloud: Cloud
    caller: Caller

    def ref(self, public_id: str) -> ObjectRef:
        """Return the object of a public id. Raises INVALID_ARGUMENT for what can be none."""
        check_public_id(public_id)
        self.call.record.key = public_id
        return ObjectRef(self.cloud.bucket.name, public_id)

    def allow(self, ref: ObjectRef, *actions: str, wish: Wish | None = None) -> None:
        """Raise ACCESS_DENIED unless the caller may do this with the object, and have it scored if that is wished."""
        wanted = (*actions, ANALYZE) if wish and wish.any else actions
        self.call.authorise(self.caller.identity, [(action, ref) for action in wanted])
        if wish and wish.any and not self.cloud.bucket.settings.scoring:
            raise ApiError(ACCESS_DENIED, "scoring is off", message="Scoring is switched off for this bucket.")

    @property
    def assessor(self) -> Assessor:
        """Who looks at pictures on the caller's account."""
        services = self.call.services
        return Assessor(services.scorers["cloudinary"], services.quotas, self.caller.identity.name)

    @property
    def urls(self) -> Urls:
        """Where assets are."""
        return Urls(self.cloud.settings.delivery_host, self.call.head.authority, self.cloud.bucket.name)

    async def current(self, public_id: str, resource_type: str, kind: str) -> Asset:
        """Return an asset as it is now. Raises NO_SUCH_RESOURCE, ASSET_CHANGED; INVALID_ARGUMENT for no public id."""
        for _ in range(_TRIES):
            known = await self._current(public_id)
            if known is not None:
                if (known.resource_type, known.type) != (resource_type, kind):
                    raise _missing(public_id)
                return known
        raise ApiError(ASSET_CHANGED)

    async def _current(self, public_id: str) -> Asset | None:
        """Return an asset; None when somebody else has stored or remembered another one meanwhile."""
        ledger = self.call.services.ledger
        known = await ledger.asset(self.cloud.name, public_id)
        stored = await look_up(public_id, bucket_of(self.call, self.caller, self.cloud))
        if stored is None:
            if known is not None:
                await ledger.remove_asset(known)
            raise _missing(public_id)
        if known is not None and known.store_etag == stored.etag:
            return known
        adopted = await self._adopted(public_id, stored, known)
        done = await ledger.put_asset(adopted, known.version_id if known else "")
        return adopted if done else None

    async def settle(self, asset: Asset, known: Asset | None) -> None:
        """Remember what has just been stored, unless the store has got another one in its place since.

        `known` is what was remembered before. Of several that are stored at once, the one that the store has is
        remembered, in whatever order they come here. Raises LEDGER_FAILED and the store's errors.
        """
        ledger = self.call.services.ledger
        for _ in range(_TRIES):
            if await ledger.put_asset(asset, known.version_id if known else ""):
                return
            stored = await look_up(asset.key, bucket_of(self.call, self.caller, self.cloud))
            if stored is None or stored.etag != asset.store_etag:
                return
            known = await ledger.asset(self.cloud.name, asset.public_id)

    async def remember(self, changed: Asset, read: Asset) -> None:
        """Keep what was changed of an asset that was read before. Raises ASSET_CHANGED."""
        ledger = self.call.services.ledger
        if changed != read and not await ledger.put_asset(changed, read.version_id):
            raise ApiError(ASSET_CHANGED)

    async def by_id(self, asset_id: str) -> Asset:
        """Return what is remembered under an asset's own id. Raises NO_SUCH_RESOURCE."""
        known = await self.call.services.ledger.asset_by_id(asset_id)
        if known is None or known.cloud != self.cloud.name:
            raise _missing(asset_id)
        return known

    async def _adopted(self, public_id: str, stored: Stored, known: Asset | None) -> Asset:
        """Return what an object is that came, or changed, behind our back; what was said of it before is kept.

        It is not what was uploaded here, so it is not published.
        """
        now_s = self.call.services.clock().timestamp()
        plain = Asset(
            asset_id=secrets.token_hex(16),
            cloud=self.cloud.name,
            public_id=public_id,
            resource_type="image",
            type="upload",
            version=0,
            version_id="",
            created_at=now_s,
            bytes=0,
            etag="",
            display_name=public_id.rpartition("/")[2],
        )
        asset = replace(
            known or plain,
            version=max(int(now_s), known.version + 1 if known else 0),
            version_id=secrets.token_hex(16),
            bytes=stored.length,
            etag=stored.etag,
            store_etag=stored.etag,
            scores={},
            uploaded=False,
        )
        return await self._looked_at(asset) if asset.resource_type == "image" else asset

    async def _looked_at(self, asset: Asset) -> Asset:
        """Return the asset with what its picture's header says; as a raw one when it is no picture."""
        try:
            info = await self.assessor.header(self._stream(asset), asset.bytes)
        except ApiError as error:
            if error.kind not in (NOT_AN_IMAGE, IMAGE_DAMAGED):
                raise
            return replace(asset, resource_type="raw", format="", width=0, height=0, pages=1)
        return with_facts(asset, Assessment(info))

    def _stream(self, asset: Asset) -> Stream:
        return stored_stream(asset.key, bucket_of(self.call, self.caller, self.cloud), asset.store_etag)

    async def analysed(self, asset: Asset, wish: Wish, *, index: bool) -> dict[str, Any]:
        """Score an asset if that is wished; return the fields of the reply that tell of it.

        With `index` searches will know the result. Raises NOT_AN_IMAGE, IMAGE_DAMAGED, ALLOWANCE_SPENT, SLOW_DOWN,
        ASSET_CHANGED.
        """
        if not wish.any or asset.resource_type != "image":
            return {}
        await self.count_score()
        scored = await self.assessor.score(self._stream(asset), asset.bytes)
        if index and not isinstance(scored, ApiError):
            await self.remember(replace(asset, scores=indexed(scored)), asset)
        return self.told(wish, scored)

    def told(self, wish: Wish, scored: QualityReport | ApiError | None) -> dict[str, Any]:
        """Return the fields of a reply that tell a result, or the reason why there is none."""
        if isinstance(scored, ApiError):
            return {"quality_analysis_error": {"code": scored.kind.code, "message": scored.message}}
        told: dict[str, Any] = {}
        if scored and wish.quality:
            told |= quality_analysis(scored, extended=self.cloud.settings.extended_analysis)
        if scored and wish.iqa:
            told |= detection(scored)
        return told

    async def count_score(self) -> None:
        """Take one score of the key's daily allowance. Raises ALLOWANCE_SPENT."""
        services, key = self.call.services, self.caller.credential.access_key_id
        limit = self.cloud.settings.scores_per_day
        name = f"{self.cloud.name}:{key}:scores"
        await spend(services.ledger, name, limit, DAY_S, services.clock(), "scores")

    def reply(self, asset: Asset) -> dict[str, Any]:
        """Return the reply to an upload, signed with the caller's secret."""
        secret = self.caller.credential.secret
        signature = cloudinary.sign_reply(asset.public_id, asset.version, secret, self.caller.algorithm)
        return uploaded(asset, self.urls, signature, self.caller.credential.access_key_id)


def with_details(asset: Asset, fields: Mapping[str, str]) -> Asset:
    """Return the asset with what the parameters say about it: tags, context, names. Raises INVALID_ARGUMENT."""
    check_details(fields)
    return replace(
        asset,
        tags=parse_tags(fields["tags"]) if "tags" in fields else asset.tags,
        context=parse_context(fields["context"]) if "context" in fields else asset.context,
        display_name=fields.get("display_name") or asset.display_name,
        asset_folder=fields.get("asset_folder", asset.asset_folder),
    )


def _missing(name: str) -> ApiError:
    return ApiError(NO_SUCH_RESOURCE, message=f"Resource not found - {name}")
