from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.auth.base import Claim, check_time
from gateway.errors import REQUEST_EXPIRED, REQUEST_TIME_TOO_SKEWED, ApiError, ErrorKind
from tests.auth.samples import KEY_ID, NOW

SECOND, LONG_AGO = timedelta(seconds=1), NOW - timedelta(days=1)


@pytest.mark.parametrize(
    ("claim", "kind"),
    [
        (Claim("s", KEY_ID, "", in_query=True, signed_at=LONG_AGO, expires_at=NOW - SECOND), REQUEST_EXPIRED),
        (Claim("s", KEY_ID, "", in_query=False, signed_at=LONG_AGO), REQUEST_TIME_TOO_SKEWED),
    ],
)
def test_a_claim_is_held_to_its_window_or_else_to_the_moment_of_signing(claim: Claim, kind: ErrorKind) -> None:
    with pytest.raises(ApiError) as refusal:
        check_time(claim, NOW)
    assert refusal.value.kind is kind
    check_time(claim, LONG_AGO)


def test_a_claim_without_any_time_is_never_accepted() -> None:
    with pytest.raises(TypeError):
        check_time(Claim("s", KEY_ID, "", in_query=False), NOW)
