"""W3C trace context: what a client's `traceparent` says, and which one goes to the store. Sends no spans itself."""

from __future__ import annotations

import re
from contextvars import ContextVar

# What the store is told of the request that is being answered; "" when it has no trace. Where no span of its own is
# recorded, a client's value goes on as it came (W3C Trace Context, section "Processing Model": pass through).
TRACEPARENT: ContextVar[str] = ContextVar("traceparent", default="")
_FORM = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(-.*)?"
)


def trace_id(traceparent: str) -> str:
    """Return the trace id, 32 hexadecimal digits; `""` for a header that is not valid."""
    told = fields(traceparent)
    return told[0] if told else ""


def fields(traceparent: str) -> tuple[str, str, str] | None:
    """Return trace id, span id and flags in hexadecimal digits; None for a header that is not valid."""
    match = _FORM.fullmatch(traceparent)
    return (match["trace"], match["span"], match["flags"]) if match else None


def new_traceparent(request_id: str) -> str:
    """Begin a trace whose id holds the request id (24 hexadecimal digits), not sampled: nothing records spans here."""
    digits = request_id.lower()
    return f"00-{digits:0<32}-{digits[-16:]}-00"
