from __future__ import annotations

from bench.saturated import middle, told


def waits(p99_ms: float) -> dict[str, float]:
    return {"p50_ms": 1.0, "p99_ms": p99_ms, "late_ms": 0.1, "cores": 1.5}


def test_the_medians_of_the_rounds_are_compared_and_one_noisy_round_changes_nothing() -> None:
    rounds = [waits(p99) for p99 in (5.0, 6.0, 900.0)]
    assert middle(rounds) == waits(6.0)
    others = {"busy loops": waits(5.0), "busy loops and pictures": waits(6.0)}
    others |= {"busy loops, only nice": waits(7.5), "neither": waits(3.0)}
    rows = told(1000, {"scorers": middle(rounds), **others})
    assert (rows[0].figure, rows[0].bar) == (1.2, "<= 1.2")
    assert rows[0].what == "p99 of 200 GETs/s of 10 KB, scorers / busy loops"
    assert [row.figure for row in rows if "fetched" in row.what] == [1.2, 1.0]
    assert [row.figure for row in rows if "only nice" in row.what] == [0.8]
    assert told(1, {"scorers": waits(6.1), **others})[0].bar == "<= 1.2 !"
