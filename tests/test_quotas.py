from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import quotas
from gateway.errors import ACCESS_DENIED, INVALID_ACCESS_KEY_ID, SIGNATURE_DOES_NOT_MATCH, SLOW_DOWN, ApiError
from gateway.quotas import Quotas, QuotaSettings


def admitted(quota: Quotas, identity: str, times: list[float]) -> int:
    return sum(passes(quota, identity, now) for now in times)


def passes(quota: Quotas, identity: str, now: float) -> bool:
    try:
        quota.admit(identity, now)
    except ApiError as error:
        return error.kind is not SLOW_DOWN
    return True


def test_without_a_limit_everything_is_admitted() -> None:
    assert admitted(Quotas(), "a", [0.0] * 1000) == 1000


def test_a_burst_passes_and_then_the_rate() -> None:
    quota = Quotas(QuotaSettings(requests_per_second=10, burst=5))
    assert admitted(quota, "a", [0.0] * 20) == 5
    assert admitted(quota, "a", [1.0] * 20) == 5, "a second refills no more than the burst"
    assert admitted(quota, "a", [1.0 + n / 20 for n in range(1, 41)]) == 20
    assert admitted(quota, "b", [0.0] * 20) == 5, "another identity has a bucket of its own"


@given(st.lists(st.floats(0, 100), max_size=200), st.floats(0.1, 20), st.floats(1, 50))
def test_never_more_than_the_burst_and_the_rate_together(times: list[float], rate: float, burst: float) -> None:
    quota = Quotas(QuotaSettings(requests_per_second=rate, burst=burst))
    span = max(times, default=0) - min(times, default=0)
    assert admitted(quota, "a", sorted(times)) <= burst + rate * span + 1e-6


def test_the_number_of_buckets_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "_MAX_BUCKETS", 3)
    quota = Quotas(QuotaSettings(requests_per_second=1, burst=1))
    for name in "abcd":
        quota.admit(name, 0.0)
    assert admitted(quota, "d", [0.0]) == 0
    assert admitted(quota, "a", [0.0]) == 1, "the longest silent one was forgotten"


def test_scores_at_a_time_are_bounded_and_given_back() -> None:
    quota = Quotas(QuotaSettings(concurrent_scores=2))
    with quota.scoring("a"), quota.scoring("a"), quota.scoring("b"):
        with pytest.raises(ApiError) as caught, quota.scoring("a"):
            pass
        assert caught.value.kind is SLOW_DOWN
    with pytest.raises(ZeroDivisionError), quota.scoring("a"):
        _ = 1 / 0
    with quota.scoring("a"), quota.scoring("a"):
        pass


def test_requests_at_a_time_are_bounded_and_given_back() -> None:
    quota = Quotas(QuotaSettings(concurrent_requests=2))
    with quota.request():
        quota.admit("a", 0.0)
        quota.admit("a", 0.0)  # the same request on the same account: it is one
        with quota.request():
            quota.admit("a", 0.0)
            with quota.request(), pytest.raises(ApiError) as caught:
                quota.admit("a", 0.0)
            assert caught.value.kind is SLOW_DOWN
            with quota.request():
                quota.admit("b", 0.0)
        with quota.request():
            quota.admit("a", 0.0)
    assert quota == Quotas(quota.settings), "nobody is held for ever"


def test_a_claim_that_proved_wrong_costs_its_address_a_token_and_no_other_refusal_does() -> None:
    quota = Quotas(QuotaSettings(requests_per_second=0.001, burst=2))
    wrong, denied = ApiError(SIGNATURE_DOES_NOT_MATCH), ApiError(ACCESS_DENIED)
    assert [quota.charged(denied, "1.2.3.4", 0.0) for _ in range(9)] == [denied] * 9
    assert [quota.charged(wrong, "1.2.3.4", 0.0) for _ in range(2)] == [wrong] * 2
    assert quota.charged(ApiError(INVALID_ACCESS_KEY_ID), "1.2.3.4", 0.0).kind is SLOW_DOWN
    assert quota.charged(wrong, "1.2.3.5", 0.0) is wrong
    assert quota.charged(wrong, "", 0.0) is wrong, "no request, no address"
