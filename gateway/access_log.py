"""The access line: which requests get one, and how it is written. Pure."""

from __future__ import annotations

import re
from json.encoder import encode_basestring_ascii as quoted
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.telemetry_settings import TelemetrySettings

_PLAIN = re.compile(r"[!#-<>-\[\]-~]+")  # printable ASCII without blank, quote, equals sign and backslash


def is_slow(elapsed_s: float, settings: TelemetrySettings) -> bool:
    """Tell whether a request took so long that it is worth a warning."""
    return 0 < settings.slow_s <= elapsed_s


def is_chosen(request_id: str, status: int, settings: TelemetrySettings) -> bool:
    """Tell whether a request that was not slow gets its line: the store's and our failures always, others by share.

    The choice follows from the request id, which is random: all lines of one request are chosen, or none.
    """
    return status == 0 or status >= 500 or int(request_id[:8], 16) < settings.sample * 2**32


def line(told: Mapping[str, str | int], log_format: str) -> str:
    """Return one line of printable ASCII: key=value with JSON's quotes where they are needed, else a JSON object."""
    if log_format == "logfmt":
        return " ".join(f"{name}={_value(value)}" for name, value in told.items())
    fields = [
        f'"{name}": {quoted(value) if isinstance(value, str) else _number(value)}' for name, value in told.items()
    ]
    return f"{{{', '.join(fields)}}}"


def _value(value: str | int) -> str:
    text = value if isinstance(value, str) else _number(value)
    return text if _PLAIN.fullmatch(text) else quoted(text)


def _number(value: int) -> str:
    return str(value).lower()  # of True and False as well
