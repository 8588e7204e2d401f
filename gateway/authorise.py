"""Allowed? What an identity may do, by its statements and the bucket's settings. Pure; knows no schemes or vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.credentials import ANONYMOUS, Address, Identity
from gateway.dialects.base import Analyse, Forward, Intent
from gateway.dialects.rights import read_action, refuse_overrides
from gateway.errors import ACCESS_DENIED, NOT_IMPLEMENTED, ApiError
from gateway.request import ObjectRef, copy_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.settings import BucketRoute

    # Decides about one key of a batch delete; the second argument tells that only one version of it is meant.
    MayDelete = Callable[[str, bool], bool]

_WRITE = "s3:PutObject"
_DELETE, _DELETE_VERSION = "s3:DeleteObject", "s3:DeleteObjectVersion"


def needed(intent: Intent) -> tuple[str, ...]:
    """Return the actions that a request needs on its own target; it may need others on a copy's source, or to save."""
    return intent.actions if isinstance(intent, Analyse) else (intent.action, *intent.also)


def authorise(
    identity: Identity,
    address: Address | None,
    intent: Intent,
    bucket: BucketRoute,
    key: str,
    route_of: Callable[[str], BucketRoute],
) -> MayDelete | None:
    """Raise ACCESS_DENIED unless the identity may do, from this address, all that the request asks for.

    `key` is the target's, decoded; `route_of` tells what a client's bucket name means. The keys of a batch delete
    stand in its body: what is returned decides about each of them, and None says that nothing is left to decide.
    """
    if isinstance(intent, Analyse) and not bucket.settings.scoring:
        raise ApiError(ACCESS_DENIED, "scoring is off", message="Scoring is switched off for this bucket.")
    copied = copy_source(intent.store.headers) if isinstance(intent, Forward) else None
    source = (route_of(copied.ref.bucket), copied.ref.key) if copied else None
    if source and not identity.upstream and source[0].upstream != bucket.upstream:
        # The store would look for the source among its own buckets, and find another one of that name.
        raise ApiError(NOT_IMPLEMENTED, "copy between stores", message="A copy from another store is not possible.")
    if identity is ANONYMOUS:
        _authorise_anonymous(intent, bucket, key, source[0] if source else bucket)
        return None
    if isinstance(intent, Forward) and intent.action == _DELETE and not key:
        return _batch_delete(identity, address, intent, bucket.name)
    target = ObjectRef(bucket.name, key)
    wanted = [(action, target) for action in needed(intent)]
    if source and copied:
        wanted.append((read_action(copied.version_id), ObjectRef(source[0].name, source[1])))
    if isinstance(intent, Analyse) and intent.save_to is not None:
        wanted.append((_WRITE, ObjectRef(route_of(intent.save_to.bucket).name, intent.save_to.key)))
    for action, ref in wanted:
        allow(identity, address, action, ref)
    return None


def allow(identity: Identity, address: Address | None, action: str, ref: ObjectRef) -> None:
    """Raise ACCESS_DENIED unless the identity may do the action on the object, from this address."""
    if not identity.allows(action, ref, address):
        raise ApiError(ACCESS_DENIED, f"{identity.name} may not {action} on {ref.bucket}/{ref.key}")


def _authorise_anonymous(intent: Intent, bucket: BucketRoute, key: str, source: BucketRoute) -> None:
    """Let the store judge where both buckets leave it to the store; else only configured prefixes can be read."""
    if isinstance(intent, Forward) and {bucket.settings.anonymous, source.settings.anonymous} == {"store"}:
        return
    if isinstance(intent, Forward):
        refuse_overrides(intent.store.raw_query)
    if needed(intent) != ("s3:GetObject",) or not bucket.open_to_everybody(key):
        raise ApiError(ACCESS_DENIED, "anonymous")


def _batch_delete(identity: Identity, address: Address | None, intent: Forward, bucket: str) -> MayDelete | None:
    """Decide for the whole bucket where the statements speak of it as a whole; otherwise the body must be read."""
    if all(identity.allows_throughout(action, bucket, address) for action in (_DELETE, _DELETE_VERSION, *intent.also)):
        return None

    def may(key: str, version: bool) -> bool:  # noqa: FBT001 # the type above names it
        actions = (_DELETE_VERSION if version else _DELETE, *intent.also)
        return all(identity.allows(action, ObjectRef(bucket, key), address) for action in actions)

    return may
