"""Where a request to Cloudinary's upload and admin API points: cloud, action, asset. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from gateway.errors import INVALID_URI, NO_SUCH_RESOURCE, ApiError
from gateway.request import percent_decode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.request import RequestHead

RESOURCE_TYPES = ("image", "video", "raw")
TYPES = ("upload", "private", "authenticated")
_ASSET_ID = re.compile(r"[0-9a-f]{32}")


class Action(Enum):
    """What can be asked for."""

    UPLOAD = auto()
    EXPLICIT = auto()
    DESTROY = auto()
    RENAME = auto()
    PING = auto()
    LIST = auto()
    SHOW = auto()
    UPDATE = auto()
    DELETE = auto()
    SEARCH = auto()


UPLOAD_API = frozenset({Action.UPLOAD, Action.EXPLICIT, Action.DESTROY, Action.RENAME})
_UPLOAD_ACTIONS: Mapping[str, Action] = {
    "upload": Action.UPLOAD,
    "explicit": Action.EXPLICIT,
    "destroy": Action.DESTROY,
    "rename": Action.RENAME,
}
_ONE_ASSET: Mapping[str, Action] = {"GET": Action.SHOW, "POST": Action.UPDATE, "PUT": Action.UPDATE}


@dataclass(frozen=True, slots=True)
class Route:
    """What a path and a method say. `resource_type` may be `auto` in an upload, and is `""` where none is said.

    Of `public_id` and `asset_id` at most one is said.
    """

    cloud: str
    action: Action
    resource_type: str = ""
    type: str = ""
    public_id: str = ""
    asset_id: str = ""


def route(head: RequestHead) -> Route:
    """Read the path `/v1_1/CLOUD/...`. Raises NO_SUCH_RESOURCE for one that leads nowhere, INVALID_URI."""
    # Decoded first: npm's SDK writes `resources%2Fsearch`.
    _, _, cloud, *rest = percent_decode(head.raw_path).split("/")
    if not "".join((cloud, *rest)).isprintable():
        raise ApiError(INVALID_URI, "not printable UTF-8")
    return _found(cloud, "GET" if head.method == "HEAD" else head.method, rest)


def _found(cloud: str, method: str, rest: list[str]) -> Route:  # noqa: PLR0911 # a table
    match method, rest:
        case "POST", [resource_type, action] if action in _UPLOAD_ACTIONS and _is_upload(resource_type, action):
            return Route(cloud, _UPLOAD_ACTIONS[action], resource_type)
        case "GET", ["ping"]:
            return Route(cloud, Action.PING)
        case (("GET" | "POST"), ["resources", "search"]):
            return Route(cloud, Action.SEARCH)
        case "GET", ["resources", *place] if len(place) <= 2 and not _is_asset_id(place):
            return _with_place(Route(cloud, Action.LIST), place)
        case "DELETE", ["resources", _, _] as parts:
            return _with_place(Route(cloud, Action.DELETE), parts[1:])
        case (("GET" | "POST" | "PUT"), ["resources", asset_id]) if _ASSET_ID.fullmatch(asset_id):
            return Route(cloud, _ONE_ASSET[method], asset_id=asset_id)
        case (("GET" | "POST" | "PUT"), ["resources", resource_type, kind, *name]) if any(name):
            found = _with_place(Route(cloud, _ONE_ASSET[method], public_id="/".join(name)), [resource_type, kind])
            if found.resource_type and found.type:
                return found
    raise ApiError(NO_SUCH_RESOURCE, "no such path", message="Resource not found: there is no such path in this API")


def _is_upload(resource_type: str, action: str) -> bool:
    return resource_type in RESOURCE_TYPES or (resource_type == "auto" and action == "upload")


def _is_asset_id(place: list[str]) -> bool:
    return len(place) == 1 and _ASSET_ID.fullmatch(place[0]) is not None


def _with_place(found: Route, place: list[str]) -> Route:
    resource_type, kind = (*place, "", "")[:2]
    if resource_type not in ("", *RESOURCE_TYPES) or kind not in ("", *TYPES):
        message = f"Resource not found: {resource_type}/{kind} is no resource type and type that is stored here"
        raise ApiError(NO_SUCH_RESOURCE, message=message)
    return Route(found.cloud, found.action, resource_type, kind, found.public_id, found.asset_id)
