"""How far clocks may differ, and when a URL ends, where every scheme has the same rule."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway import errors
from gateway.errors import ApiError
from tests.auth.samples import HEADER_SIGNERS, NOW, PRESIGNERS, head_of, identified, presigned


@pytest.mark.parametrize("name", [name for name in HEADER_SIGNERS if name != "cos"])  # its signatures tell their window
@pytest.mark.parametrize("offset", [-901, -900, 0, 900, 901])
def test_a_clock_may_be_fifteen_minutes_off(name: str, offset: int) -> None:
    head, now = HEADER_SIGNERS[name](head_of(), NOW, None), NOW + timedelta(seconds=offset)
    if abs(offset) <= 900:
        assert identified(head, now=now).claim is not None
        return
    with pytest.raises(ApiError) as refusal:
        identified(head, now=now)
    assert refusal.value.kind is errors.REQUEST_TIME_TOO_SKEWED


@pytest.mark.parametrize("name", PRESIGNERS)
def test_a_url_is_valid_to_its_last_second(name: str) -> None:
    head = presigned(name, expires_s=60)
    assert identified(head, now=NOW + timedelta(seconds=60)).claim is not None
    with pytest.raises(ApiError) as refusal:
        identified(head, now=NOW + timedelta(seconds=61))
    assert refusal.value.kind is errors.REQUEST_EXPIRED
