"""W3C trace context: what a client's `traceparent` says, and which one goes to the store. Sends no spans itself."""

from __future__ import annotations

import re
from contextvars import ContextVar

# Of the request that is being answered; "" when it has none. The gateway makes no span of its own, so a client's
# value goes on as it came (W3C Trace Context, section "Processing Model": pass through).
TRACEPARENT: ContextVar[str] = ContextVar("traceparent", default="")
_FORM = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


def trace_id(traceparent: str) -> str:
    """Return the trace id, 32 hexadecimal digits; `""` for a header that is not valid."""
    match = _FORM.fullmatch(traceparent)
    return match["trace"] if match else ""


def new_traceparent(request_id: str) -> str:
    """Begin a trace whose id holds the request id (24 hexadecimal digits), not sampled: nothing records spans here."""
    digits = request_id.lower()
    return f"00-{digits:0<32}-{digits[-16:]}-00"
