"""The parts of a request as a trace tells them. Knows no tracing system, no clock: whoever records hands both in.

As long as nobody records, all of this is a look at one variable.
"""

from __future__ import annotations

from contextlib import nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from gateway.request import Headers


Record_contra = TypeVar("Record_contra", contravariant=True)


class StoreCall(Protocol):
    """A request to a store on its way."""

    def answered(self, status: int) -> None:
        """Note the answer's status."""


class Spans(Protocol):
    """What records the parts of one request."""

    def part(self, name: str) -> AbstractContextManager[object]:
        """Record what is done until leaving."""

    def past(self, name: str, began: float, ended: float) -> None:
        """Record what has been done, by the times of time.monotonic."""

    def calling(self, method: str, endpoint: str) -> AbstractContextManager[StoreCall]:
        """Record a request to a store at `endpoint` (a URL); inside, TRACEPARENT is what that store is told."""


class Tracer(Protocol[Record_contra]):
    """What decides which requests are recorded."""

    def begin(self, method: str, traceparent: str) -> str:
        """Begin a request; return its trace id, `""` when it is not recorded."""

    def ended(self, record: Record_contra) -> None:
        """End the request that is being answered with what its access line says."""


class _Unrecorded:
    def answered(self, status: int) -> None:
        """Tell nobody."""


# Of the request that is being answered; None when its parts are not recorded.
RECORDED: ContextVar[Spans | None] = ContextVar("recorded", default=None)
_NOTHING = nullcontext(_Unrecorded())


def part(name: str) -> AbstractContextManager[object]:
    """Record what is done until leaving as a part of the request."""
    spans = RECORDED.get()
    return _NOTHING if spans is None else spans.part(name)


def past(name: str, began: float, ended: float) -> None:
    """Record a part of the request that is over."""
    if spans := RECORDED.get():
        spans.past(name, began, ended)


def calling(method: str, endpoint: str) -> AbstractContextManager[StoreCall]:
    """Record a request to a store, up to the head of its answer."""
    spans = RECORDED.get()
    return _NOTHING if spans is None else spans.calling(method, endpoint)


def passed_on(headers: Headers) -> Headers:
    """Return a client's headers for the store: without its traceparent where the request's own spans are recorded."""
    if RECORDED.get() is None:
        return headers
    return tuple(pair for pair in headers if pair[0] != "traceparent")
