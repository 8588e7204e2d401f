"""docs/performance.md and its charts, written from bench/results.json and from nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench import charts, passthrough
from bench.charts import Panel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.results import Section
    from bench.tools import Row

    Columns = Mapping[str, Mapping[str, float]]

DOCS = Path(__file__).parents[1] / "docs"
_INTRODUCTION = """\
Written by `make bench` (`make bench ARGS=page` writes it anew from `bench/results.json`); do not edit. Everything is
measured beside others in the same run, in rounds in which all take turns, on one machine with 2 cores; shown are
medians. Figures of one machine say little, so the ratios come first."""
_SUMMARY = """\
## What is wanted, and what was reached

A `!` marks what misses its bar."""
_RATIOS = """\
Requests a second of the gateway divided by the peer's; above 1 the gateway is faster. The CPU column is the gateway's
CPU time for one request divided by the peer's; below 1 the gateway takes less."""
_PASSED = {
    "one core": "One worker on one core: the proxy under test is pinned to it; the origin (nginx serving files) and "
    "the load (wrk) share the other. nginx checks no signature here and signs nothing: it is the floor, not a peer.",
    "two workers": "Two workers in front of the same nginx: origin, load and proxies share both cores.",
    "RGW": "Two workers in front of Ceph RGW: store, load and proxies share both cores. `rclone serve s3` and the "
    "gateway check the client's signature and sign anew for the store; the aiobotocore proxy signs and checks nothing; "
    "nginx does neither. The relay is no proxy: it moves what comes from one socket to another by the gateway's own "
    "means and reads nothing of it, the bound of what Python can do here.",
    passthrough.IN_TURN: "The same with 4,096 signed URLs of the object in turn. The gateway remembers 1,024 URLs that "
    "it has proven, from the second time on, so here it proves most of them; above it proves its one URL twice.",
}
_GROWTH = """\
One worker on one core, origin and load on the other. The figure of a point is what it reached divided by what lies
between its two neighbours (on powers, both ways; the last one is divided by the one before it): a cliff would be a
point far below 1."""
_SATURATED = """\
A constant rate of GETs, a fifth of what two workers can do, while the scorers have more large pictures (JPEG, 12
megapixels, always new ones) than they can score; beside it the same with as many busy loops, as nice as scorers and
of their scheduling class (SCHED_IDLE), instead. A wait counts from when a request was due, not from when it could be
sent. Busy loops fetch no pictures: how much of the difference these make, on their way from the store through a gateway
on the same cores, is told as well; and what busy loops cost that are as nice, but of no such class."""
_MEMORY = """\
One worker, whose resident memory is read every second. Each of the readers takes 64 KB/s of an object of 1 GB; the
idle clients keep their connections, and ask for 10 KB every 50 s. `tests/bench/test_clients.py` watches a smaller
crowd."""
_CACHED = """\
A score that is known, of a picture that has not changed, beside a plain GET of 10 KB, both over 16 connections; the
origin's own log says what it was asked. That 200 who ask at once for a new object's score cost one download and one
decode is also a test: `tests/journeys/test_examine.py`."""
_SCORING = """\
CPU time of scoring one picture divided by that of libvips only decoding the same file at full size, one thread each;
then the memory that it takes; then who else judges pictures, each decoding in its own way."""
_ACCURACY = "How well scores follow people's, beside others: rank correlation with opinion scores."
_VERIFICATION = "CPU time of proving who sent one request, beside botocore's signing of the same."


def write(sections: Mapping[str, Section], docs: Path = DOCS) -> None:
    """Write the page and the charts."""
    for name, text in files(sections).items():
        (docs / name).write_text(text)


def files(sections: Mapping[str, Section]) -> dict[str, str]:
    """Return the page and the charts by their names; a part that was not measured says so, and has no chart."""
    drawn = {_chart_of(name): _CHARTS[name](each.rows) for name, each in sections.items() if name in _CHARTS}
    parts = ["# Performance", _INTRODUCTION, _SUMMARY, summary(sections)]
    for name, (title, text) in _SECTIONS.items():
        parts.append(f"## {title}")
        if name in sections:
            parts += [_when(name, sections[name]), text]
            parts += [f"![{title}]({_chart_of(name)})"] if name in _CHARTS else []
            parts += _passed(sections[name].rows) if name == "passthrough" else [table(sections[name].rows)]
        else:
            parts.append(f"Not measured yet: `make bench ARGS={name}` does it.")
    return {"performance.md": "\n\n".join(parts) + "\n", **drawn}


def summary(sections: Mapping[str, Section]) -> str:
    """One line a bar, in the order of the parts; one for each part that was not measured."""
    lines = ["| | reached | wanted | |", "|---|---:|---:|---|"]
    for name, (title, _) in _SECTIONS.items():
        link = f"[{title.lower()}](#{title.lower().replace(' ', '-')})"
        if name not in sections:
            lines.append(f"| not measured yet |  |  | {link} |")
            continue
        above = ""
        for row in sections[name].rows:
            above = above if row.what.startswith(" ") else row.what
            what = f"{above}: {row.what.strip()}" if row.what.startswith(" ") else above
            if row.has_bar:
                lines.append(f"| {what} | {row.told} | {_words(row.bar)} | {link} |")
    return "\n".join(lines)


def table(rows: Sequence[Row]) -> str:
    lines = ["| | figure | wanted | of | beside |", "|---|---:|---:|---|---|"]
    for row in rows:
        what = f"- {row.what.strip()}" if row.what.startswith(" ") else row.what
        lines.append(f"| {what} | {row.told} | {_words(row.bar)} | {row.subject} | {row.beside} |")
    return "\n".join(lines)


def _passed(rows: Sequence[Row]) -> list[str]:
    """The ratios, then a table for each comparison of who was loaded with objects of one size."""
    lines = ["| | requests/s | CPU | wanted |", "|---|---:|---:|---:|"]
    found: dict[tuple[str, str], dict[str, Mapping[str, float]]] = {}
    for row in compared(rows):
        own, peer = row.columns.values()
        cpu = f"{own['cpu_s'] / peer['cpu_s']:.2f}" if peer["cpu_s"] else ""
        lines.append(f"| {row.what} | {row.figure:.2f} | {cpu} | {_words(row.bar)} |")
        size, where = row.what.partition(" / ")[0].split(" GET, ")
        found.setdefault((where, size), {}).update(row.columns)
    parts = [_RATIOS, "\n".join(lines)]
    for where, text in _PASSED.items():
        tables = [f"{size} objects:\n\n{loads(each)}" for (there, size), each in found.items() if there == where]
        parts += [text, *tables] if tables else []
    return parts + [f"{row.what}." for row in rows if row.figure is None]


def loads(found: Columns) -> str:
    """One line for each server: what it could do, and what it took."""
    lines = [
        "| | requests/s | MB/s | CPU s per 1,000 | CPU s per GB | p50 ms | p99 ms | memory MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, each in found.items():
        object_gb = each["mb_per_s"] / each["requests_per_s"] / 1000
        cost = f"{each['cpu_s']:.2f} | {each['cpu_s'] / 1000 / object_gb:.2f}" if each["cpu_s"] else " | "
        memory = f"{each['memory_mb']:.0f}" if each["memory_mb"] else ""
        digits = 0 if each["requests_per_s"] >= 100 else 1
        # Empty where no object of the size was whole before the time was up.
        waited = f"{each['p50_ms']:.1f} | {each['p99_ms']:.1f}" if each["p50_ms"] else " | "
        speed = f"{each['requests_per_s']:.{digits}f} | {each['mb_per_s']:.0f}"
        lines.append(f"| {name} | {speed} | {cost} | {waited} | {memory} |")
    return "\n".join(lines)


def compared(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if " GET, " in row.what and row.columns]


def _ratios_chart(rows: Sequence[Row]) -> str:
    return charts.bars([(row.what, row.figure or 0) for row in compared(rows)])


def _growth_chart(rows: Sequence[Row]) -> str:
    points = [(row.what.partition(" over ")[0], row.columns["gateway"]) for row in rows if row.columns]
    by_count = [each for _, each in points if "connections" in each]
    by_size = [(name, each) for name, each in points if "bytes" in each]
    labels = [f"{each['connections']:g}" for each in by_count]
    return charts.lines(
        [
            Panel(
                "Requests a second by connections, 10 KB",
                [(each["connections"], each["requests_per_s"]) for each in by_count],
                labels,
            ),
            Panel(
                "MB a second by the object's size",
                [(each["bytes"], each["mb_per_s"]) for _, each in by_size],
                [name for name, _ in by_size],
            ),
        ]
    )


def _memory_chart(rows: Sequence[Row]) -> str:
    points = [(float(second), mb) for second, mb in rows[0].columns["worker"].items()]
    apart = max(len(points) // 10, 1)
    labels = [f"{second:g} s" if (number + 1) % apart == 0 else "" for number, (second, _) in enumerate(points)]
    return charts.lines([Panel("Resident memory, MB", points, labels, by_powers=False)])


def _chart_of(name: str) -> str:
    return "performance.svg" if name == "passthrough" else f"performance-{name}.svg"


def _when(name: str, section: Section) -> str:
    python = f", {section.python}" if section.python else ""
    return f"`make bench ARGS={name}`, on {section.measured}, took {section.took_s / 60:.1f} minutes{python}."


def _words(bar: str) -> str:
    return bar.replace("<=", "≤").replace(">=", "≥")


_SECTIONS = {
    "passthrough": ("Pass-through", "GETs with signed URLs through the gateway, and through others."),
    "growth": ("Growth", _GROWTH),
    "saturated": ("Saturated scorers", _SATURATED),
    "memory-clients": ("Memory", _MEMORY),
    "cached": ("Known scores", _CACHED),
    "scoring": ("Scoring", _SCORING),
    "accuracy": ("Accuracy", _ACCURACY),
    "verification": ("Verification", _VERIFICATION),
}
_CHARTS: dict[str, Callable[[Sequence[Row]], str]] = {
    "passthrough": _ratios_chart,
    "growth": _growth_chart,
    "memory-clients": _memory_chart,
}
