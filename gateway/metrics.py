"""The metrics by name: what each means, its labels, and how figures of several processes become one page. Pure."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gateway.scoreboard import KEY_RELOADS, PROCESS_STARTS, SCORERS_RUNNING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from gateway.scoreboard import Counts

REQUESTS = "gateway_requests_total"
REQUEST_SECONDS = "gateway_request_seconds"
RECEIVED_BYTES, SENT_BYTES = "gateway_received_bytes_total", "gateway_sent_bytes_total"
REFUSALS = "gateway_refusals_total"
REFUSED_CLAIMS = "gateway_refused_claims_total"
UNCOVERED = "gateway_uncovered_process_total"
USAGE_ANALYSES, USAGE_BYTES = "gateway_usage_analyses_total", "gateway_usage_bytes_total"
STORE_REQUESTS = "gateway_store_requests_total"
STORE_SECONDS = "gateway_store_first_byte_seconds"
STORE_REACHABLE = "gateway_store_reachable"
RESULTS = "gateway_results_total"
STAGE_SECONDS = "gateway_scoring_seconds"
WAITING, RUNNING = "gateway_scorer_jobs_waiting", "gateway_scorer_jobs_running"
OLDEST_WAIT = "gateway_scorer_oldest_wait_seconds"
CONNECTIONS = "gateway_connections_open"
OPEN_FILES, OPEN_FILES_LIMIT = "gateway_file_descriptors_open", "gateway_file_descriptors_limit"
CERTIFICATE_RELOADS = "gateway_certificate_reloads_total"
CERTIFICATE_EXPIRY = "gateway_certificate_expiry_timestamp_seconds"

_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_NAMES = (*(f"{bound:g}" for bound in _BOUNDS_S), "+Inf")
_SUM = "sum"  # stands where the name of a bucket stands
_UNSAFE = re.compile(r'[\\"\n]')


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its meaning, what Prometheus calls its kind, its labels, and what several processes' figures make."""

    meaning: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...] = ()
    combine: Callable[[Iterable[float]], float] = sum


METRICS: Mapping[str, Metric] = {
    REQUESTS: Metric("Requests that have ended.", "counter", ("dialect", "action", "status")),
    REQUEST_SECONDS: Metric("From a request's head to the end of its answer.", "histogram", ("dialect",)),
    RECEIVED_BYTES: Metric("Bytes of requests' bodies.", "counter", ("dialect",)),
    SENT_BYTES: Metric("Bytes of answers' bodies.", "counter", ("dialect",)),
    REFUSALS: Metric("Requests that the gateway itself answered with an error.", "counter", ("kind",)),
    REFUSED_CLAIMS: Metric("Requests refused for who asks or how that is proved.", "counter", ("reason",)),
    UNCOVERED: Metric("COS process parameters accepted although the signature does not cover them.", "counter"),
    USAGE_ANALYSES: Metric(
        "Scores and other analyses of pictures that succeeded.", "counter", ("identity", "bucket", "dialect")
    ),
    USAGE_BYTES: Metric("Bytes of bodies sent and received.", "counter", ("identity", "bucket", "dialect")),
    STORE_REQUESTS: Metric("Requests to a store by status, or by what failed.", "counter", ("store", "outcome")),
    STORE_SECONDS: Metric("From a request without a body to the store's status line.", "histogram", ("store",)),
    STORE_REACHABLE: Metric("Whether the store answered when it was last asked.", "gauge", ("store",), min),
    RESULTS: Metric("Questions about objects by where the answer came from.", "counter", ("event",)),
    STAGE_SECONDS: Metric("Stages of scoring: header, wait, score.", "histogram", ("stage",)),
    WAITING: Metric("Pictures that wait for a scorer.", "gauge"),
    RUNNING: Metric("Pictures that a scorer has.", "gauge"),
    OLDEST_WAIT: Metric("How long the first of the waiting pictures has waited.", "gauge", combine=max),
    CONNECTIONS: Metric("Open connections of clients.", "gauge"),
    OPEN_FILES: Metric("Open file descriptors of the gateway process that has the most.", "gauge", combine=max),
    OPEN_FILES_LIMIT: Metric("How many a gateway process may have.", "gauge", combine=min),
    CERTIFICATE_RELOADS: Metric("Readings of a changed certificate.", "counter", ("result",)),
    CERTIFICATE_EXPIRY: Metric("When the certificate in force expires.", "gauge", combine=min),
    KEY_RELOADS: Metric("Readings of a changed key file.", "counter", ("result",)),
    PROCESS_STARTS: Metric("Processes started; more than at first are restarts.", "counter", ("process",)),
    SCORERS_RUNNING: Metric("Scorer processes that live.", "gauge"),
}


def observe(counts: Counts, name: str, seconds: float, *labels: str) -> None:
    """Add one duration to a histogram among the counts."""
    counts[name, *labels, _NAMES[bisect_left(_BOUNDS_S, seconds)]] += 1
    counts[name, *labels, _SUM] += seconds  # type: ignore[assignment] # a Counter adds up any numbers


def lasting(counts: Counts) -> Counts:
    """Return what a process hands on to its successor: what it counted, not what it measured."""
    return type(counts)({name: count for name, count in counts.items() if METRICS[name[0]].kind != "gauge"})


def exposition(processes: Iterable[Counts]) -> str:
    """Return the figures of several processes as one page in the Prometheus text format."""
    found: dict[str, dict[tuple[str, ...], list[float]]] = {}
    for counts in processes:
        for (name, *labels), count in counts.items():
            found.setdefault(name, {}).setdefault(tuple(labels), []).append(count)
    lines: list[str] = []
    for name, row in METRICS.items():
        if name in found:
            combined = {labels: row.combine(figures) for labels, figures in found[name].items()}
            lines += [f"# HELP {name} {row.meaning}", f"# TYPE {name} {row.kind}"]
            lines += _histogram(name, row, combined) if row.kind == "histogram" else _samples(name, row, combined)
    return "\n".join(lines) + "\n"


def _samples(name: str, row: Metric, figures: Mapping[tuple[str, ...], float]) -> Iterator[str]:
    for labels in sorted(figures):
        yield _sample(name, zip(row.labels, labels, strict=True), figures[labels])


def _histogram(name: str, row: Metric, figures: Mapping[tuple[str, ...], float]) -> Iterator[str]:
    for labels in sorted({labels[:-1] for labels in figures}):
        told = list(zip(row.labels, labels, strict=True))
        so_far = 0.0
        for bound in _NAMES:
            so_far += figures.get((*labels, bound), 0)
            yield _sample(f"{name}_bucket", [*told, ("le", bound)], so_far)
        yield _sample(f"{name}_sum", told, figures.get((*labels, _SUM), 0.0))
        yield _sample(f"{name}_count", told, so_far)


def _sample(name: str, labels: Iterable[tuple[str, str]], figure: float) -> str:
    told = ",".join(f'{label}="{_UNSAFE.sub(_escaped, value)}"' for label, value in labels)
    number = int(figure) if figure == int(figure) else round(figure, 6)
    return f"{name}{{{told}}} {number}" if told else f"{name} {number}"


def _escaped(match: re.Match[str]) -> str:
    return "\\n" if match[0] == "\n" else f"\\{match[0]}"
