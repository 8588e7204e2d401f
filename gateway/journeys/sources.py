"""Pictures that a vendor's call names by a URL: objects of the own stores, and what strangers' URLs lead to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gateway.dialects.base import StoreRequest
from gateway.dialects.extensions import refuse_reserved
from gateway.errors import ACCESS_DENIED, INVALID_ARGUMENT, ApiError
from gateway.journeys.vendor_call import store_for
from gateway.request import ObjectRef, percent_encode
from gateway.settings import route
from gateway.stores.documents import store_error

if TYPE_CHECKING:
    from gateway.credentials import Identity
    from gateway.imaging.pool import ScorerClient
    from gateway.journeys.vendor_call import Services
    from gateway.report import QualityReport

    Source = ObjectRef | str  # an object under the clients' names, or a URL

_OWN = "s3://"
_BUCKET = re.compile(r"(?=.*[^.])[A-Za-z0-9._:-]{1,255}")
_READ = "s3:GetObject"


def source_of(url: str) -> Source:
    """Read `s3://bucket/key` as an object of the own stores; any other URL stays what it is.

    The key stands there as it is, not percent-encoded. Raises INVALID_ARGUMENT, and ACCESS_DENIED for what is hidden.
    """
    if not url.lower().startswith(_OWN):
        return url
    bucket, _, key = url[len(_OWN) :].partition("/")
    return own_object(bucket, key)


def own_object(bucket: str, key: str) -> ObjectRef:
    """Return the object that an `s3:` URL names. Raises INVALID_ARGUMENT for what can be none, and ACCESS_DENIED."""
    if not _BUCKET.fullmatch(bucket) or not key:
        raise ApiError(INVALID_ARGUMENT, "s3 URL", message="s3://bucket/key is expected.")
    ref = ObjectRef(bucket, key)
    refuse_reserved(ref)
    return ref


def rights_for(services: Services, source: Source, action: str, owner: str) -> tuple[tuple[str, ObjectRef], ...]:
    """Return the rights that analysing a source needs; a stranger's picture counts as `owner/URL`.

    Raises ACCESS_DENIED for an object of a bucket where scoring is switched off.
    """
    if isinstance(source, str):
        return ((action, ObjectRef(owner, source)),)
    bucket = route(services.settings, source.bucket)
    if not bucket.settings.scoring:
        raise ApiError(ACCESS_DENIED, "scoring is off", message="Scoring is switched off for this bucket.")
    ref = ObjectRef(bucket.name, source.key)
    return ((_READ, ref), (action, ref))


async def report_of(services: Services, identity: Identity, source: Source, scorer: ScorerClient) -> QualityReport:
    """Score a source on an identity's account. Raises what its store, fetching it and scoring it raise."""
    with services.quotas.scoring(identity.name):
        if isinstance(source, str):
            async with services.fetcher.open(source) as fetched:
                return await scorer.score(fetched.chunks(), declared_bytes=fetched.length)
        bucket = route(services.settings, source.bucket)
        request = StoreRequest("GET", percent_encode(source.key, safe="/"), "", ())
        async with store_for(services.upstreams, identity, bucket).open(request) as answer:
            if answer.status != 200:
                raise await store_error(answer)
            return await scorer.score(answer.chunks(), declared_bytes=answer.length, rest=answer)
