"""What operators may say about logs and checks. Knows nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """How much is written down of requests, and how often the stores are asked whether they are there."""

    log_format: Literal["text", "json", "logfmt"] = "text"  # of all lines; a request's own is JSON in "text" too
    sample: float = 1.0  # share of the requests that get an access line; a 5xx, a cut and a slow one always do
    slow_s: float = 0.0  # a request that takes so long is logged as a warning, with "slow"; 0: none is
    new_traces: bool = False  # a request without a W3C traceparent gets one on its way to the store
    store_check_s: float = 5.0  # between two looks whether the stores answer, for /readyz; 0: it does not ask them


def telemetry_contradictions(settings: TelemetrySettings) -> Iterator[str]:
    """Yield a line for each value that cannot be."""
    if not 0 <= settings.sample <= 1:
        yield "telemetry.sample: must be between 0 and 1"
    if settings.slow_s < 0 or settings.store_check_s < 0:
        yield "telemetry.slow_s, store_check_s: must not be negative"
