"""A vendor's plain object call as the same call on S3. Knows which queries have a counterpart; no vendor's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.dialects.base import Forward, StoreRequest
from gateway.dialects.extensions import refuse_extensions
from gateway.dialects.headers import to_store
from gateway.dialects.rights import RESPONSE_OVERRIDE, action, header_actions
from gateway.errors import NOT_IMPLEMENTED, ApiError

if TYPE_CHECKING:
    from gateway.dialects.headers import HeaderMap
    from gateway.request import ObjectRef, Parameter, RequestHead, Target

_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_READING = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a vendor's object calls may say. `read_subresources` make reading something else than the object's bytes.

    Other parameters are ignored when an object is read, as the vendors do, but refused when something is written:
    taken for nothing, an unknown sub-resource would turn its own configuration into the object. `ignored` are the
    ones known to be harmless there too.
    """

    vendor: str
    headers: HeaderMap
    read_subresources: frozenset[str]
    ignored: frozenset[str]


def forward(head: RequestHead, target: Target, words: Vocabulary) -> Forward:
    """Translate an object's GET, HEAD, PUT and DELETE and a bucket's HEAD, PUT and DELETE; the body stays as it is.

    Raises NOT_IMPLEMENTED for all other calls and for what `to_store` cannot translate.
    """
    ref = target.ref
    if head.method not in _METHODS or not ref.bucket or (head.method == "GET" and not ref.key):
        raise _unsupported(words, f"{head.method} on {_level(ref)}{_subresources(head)}")
    kept = tuple(parameter for parameter in head.parameters if _is_kept(parameter, head.method, ref, words))
    names = [parameter.name for parameter in kept]
    headers = to_store(words.headers, head.headers, _suffix(head, target))
    refuse_extensions(headers, names)
    return Forward(
        action=action(head.method, ref, names),
        store=StoreRequest(head.method, target.raw_key, "&".join(parameter.raw for parameter in kept), headers),
        translated=True,
        also=header_actions(head.method, ref, headers),
    )


def _is_kept(parameter: Parameter, method: str, ref: ObjectRef, words: Vocabulary) -> bool:
    """Tell whether S3 gets to see the parameter. Raises NOT_IMPLEMENTED when leaving it out would change the call."""
    name, reads_object = parameter.name, bool(ref.key) and method in _READING
    if ref.key and name == "versionId":
        return bool(parameter.value)
    if reads_object and name.startswith(RESPONSE_OVERRIDE):
        return bool(parameter.value)
    if name in words.read_subresources or not (reads_object or name in words.ignored):
        raise _unsupported(words, f"{method} on {_level(ref)} with {name}")
    return False


def _suffix(head: RequestHead, target: Target) -> str:
    """Return what follows the bucket in the request's host, `""` where the host does not name it."""
    return head.host.removeprefix(f"{target.ref.bucket}.") if target.addressed == "host" else ""


def _unsupported(words: Vocabulary, what: str) -> ApiError:
    return ApiError(NOT_IMPLEMENTED, what, message=f"This gateway does not translate {what} from {words.vendor} to S3.")


def _level(ref: ObjectRef) -> str:
    if not ref.bucket:
        return "the service"
    return "an object" if ref.key else "a bucket"


def _subresources(head: RequestHead) -> str:
    names = [parameter.name for parameter in head.parameters if not parameter.value]
    return f" with {names[0]}" if names else ""
