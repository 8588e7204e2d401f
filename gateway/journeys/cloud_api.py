"""The journey of a request to Cloudinary's upload and admin API: where, who, what, allowed, do, render."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from gateway.dialects.cloudinary import NAME, render
from gateway.dialects.cloudinary_routes import UPLOAD_API, Action, route
from gateway.errors import MULTIPLE_CLAIMS, SIGNATURE_DOES_NOT_MATCH, UNSUPPORTED_AUTHORIZATION, ApiError
from gateway.journeys import cloud_admin, cloud_objects, cloud_search, cloud_upload
from gateway.journeys.cloud_assets import Desk
from gateway.journeys.cloud_body import Doorkeeper, received
from gateway.journeys.cloud_caller import by_key, by_preset, by_signature, check_signature, cloud_of
from gateway.journeys.vendor_allowance import HOUR_S, spend

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from gateway.dialects.cloudinary_routes import Route
    from gateway.journeys.cloud_body import Received
    from gateway.journeys.cloud_caller import Caller, Cloud
    from gateway.journeys.vendor_allowance import Allowance
    from gateway.journeys.vendor_call import Call

    Doing = Callable[[Desk, Route, Received], Awaitable[dict[str, Any]]]

_DOING: Mapping[Action, Doing] = {
    Action.UPLOAD: cloud_upload.upload,
    Action.EXPLICIT: cloud_objects.explicit,
    Action.DESTROY: cloud_objects.destroy,
    Action.RENAME: cloud_objects.rename,
    Action.PING: cloud_admin.ping,
    Action.LIST: cloud_admin.list_assets,
    Action.SHOW: cloud_admin.show,
    Action.UPDATE: cloud_admin.update,
    Action.DELETE: cloud_admin.delete,
    Action.SEARCH: cloud_search.search,
}


async def answer(call: Call) -> None:
    """Answer one request. Raises ApiError."""
    # Where: exactly one cloud, and with it one bucket.
    found = route(call.head)
    cloud = cloud_of(call, found.cloud)
    call.record.key = found.public_id
    # Who: what stands in the head is proven before the body is looked at.
    caller = by_key(call, cloud.settings.signature_algorithm)
    if caller is None and found.action not in UPLOAD_API:
        headers = (("WWW-Authenticate", 'Basic realm="Cloudinary API"'),)
        message = "Missing credentials: api_key:api_secret (HTTP Basic) is expected."
        raise ApiError(UNSUPPORTED_AUTHORIZATION, "no credentials", message=message, headers=headers)
    if caller is None:  # a body is read on its account before anybody is known
        call.services.quotas.admit(call.head.peer, monotonic())
    allowance = await _admitted(call, found, cloud, caller) if caller else None
    doorkeeper = None if caller else Doorkeeper(call.services.rooms[NAME], partial(_known, call, cloud))
    async with received(call, call.settings.dialects.cloudinary.max_upload_bytes, doorkeeper) as body:
        # What, allowed, do: an upload's signer is known only now that the parameters are.
        if caller and body.fields.get("signature"):
            raise ApiError(MULTIPLE_CLAIMS, "a signature beside HTTP Basic")
        proven = caller or _prove(call, found, cloud, body)
        if proven.signed:
            body.shelf.proven()
        said = body if caller else _covered(body)
        document = await _DOING[found.action](Desk(call, cloud, proven), found, said)
    await call.exchange.send(render(document, call.context, *(allowance.headers if allowance else ())))


def _known(call: Call, cloud: Cloud, fields: Mapping[str, str]) -> bool:
    """Tell whether an upload is signed by what stands before its file, as the SDKs send it.

    Raises ApiError for what no later field can mend: an unknown key, a stale timestamp. A signature that does not fit
    yet may cover fields that follow.
    """
    if not fields.get("signature") or not fields.get("timestamp") or not fields.get("api_key"):
        return False
    try:
        check_signature(call, fields, cloud)
    except ApiError as error:
        if error.kind is not SIGNATURE_DOES_NOT_MATCH:
            raise
        return False
    return True


def _prove(call: Call, found: Route, cloud: Cloud, body: Received) -> Caller:
    if body.fields.get("signature"):
        return by_signature(call, body.fields, cloud)
    if found.action is Action.UPLOAD and not body.fields.get("api_key"):
        return by_preset(call, body.fields, cloud)
    message = "Missing required parameter - signature"
    raise ApiError(UNSUPPORTED_AUTHORIZATION, "no signature", message=message)


def _covered(body: Received) -> Received:
    """Leave out the empty parameters: the vendor signs none, so that anybody could have put them in."""
    return replace(body, fields={name: text for name, text in body.fields.items() if text})


async def _admitted(call: Call, found: Route, cloud: Cloud, caller: Caller) -> Allowance | None:
    """Count a call of the admin API, which alone is limited. Raises ALLOWANCE_SPENT."""
    if found.action in UPLOAD_API:
        return None
    name = f"{cloud.name}:{caller.credential.access_key_id}:admin"
    limit = cloud.settings.admin_calls_per_hour
    return await spend(call.services.ledger, name, limit, HOUR_S, call.services.clock(), "api operations")
