"""How much of its allowance a key has left: counted in the ledger, for all gateway processes together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING

from gateway.errors import ALLOWANCE_SPENT, ApiError

if TYPE_CHECKING:
    from gateway.request import Headers
    from gateway.stores.ledger import Ledger

HOUR_S, DAY_S = 3600, 24 * 3600


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a key may do until `resets_at` (UTC), `used` of it being done."""

    limit: int
    used: int
    resets_at: datetime

    @property
    def remaining(self) -> int:
        """How much is left."""
        return max(0, self.limit - self.used)

    @property
    def headers(self) -> Headers:
        """What Cloudinary's SDKs read."""
        return (
            ("X-FeatureRateLimit-Limit", str(self.limit)),
            ("X-FeatureRateLimit-Remaining", str(self.remaining)),
            ("X-FeatureRateLimit-Reset", format_datetime(self.resets_at, usegmt=True)),
        )


async def spend(
    ledger: Ledger, name: str, limit: int, window_s: int, now: datetime, what: str, amount: int = 1
) -> Allowance | None:
    """Take `amount` (0: only look) of what `name` may do in the running window of `window_s` seconds.

    None when it may do as much as it likes (`limit` 0): then nothing is counted. `what` is the vendor's word for it.
    Raises ALLOWANCE_SPENT, with the headers that tell when the next window begins.
    """
    if not limit:
        return None
    window = int(now.timestamp()) // window_s
    used = await ledger.count(f"{name}:{window_s}:{window}", amount, 2 * window_s)
    resets_at = datetime.fromtimestamp((window + 1) * window_s, UTC)
    allowance = Allowance(limit, min(used, limit), resets_at)
    if used > limit:
        when = resets_at.strftime("%Y-%m-%d %H:%M:%S UTC")
        message = f"Rate Limit Exceeded. Limit of {limit} {what} reached. Try again on {when}"
        raise ApiError(ALLOWANCE_SPENT, name, message=message, headers=allowance.headers)
    return allowance
