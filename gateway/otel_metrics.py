"""The figures of /metrics in the words of OpenTelemetry: sums, gauges, and histograms with the same bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from gateway.metrics import BOUNDS_S, METRICS, combined, histograms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.sdk.resources import Resource

    from gateway.metrics import Figures
    from gateway.scoreboard import Counts

_SCOPE = InstrumentationScope("s3-score-gateway")
_UNITS = {"seconds": "s", "bytes": "By"}  # by the word that a metric's name ends with, "total" aside


def metrics_data(processes: Iterable[Counts], resource: Resource, since_ns: int, now_ns: int) -> MetricsData:
    """Return the figures of several processes as one message; times are nanoseconds since 1970."""
    found = [_metric(name, figures, since_ns, now_ns) for name, figures in combined(processes).items()]
    return MetricsData([ResourceMetrics(resource, [ScopeMetrics(_SCOPE, found, "")], "")])


def _metric(name: str, figures: Figures, since_ns: int, now_ns: int) -> Metric:
    row = METRICS[name]
    data: Sum | Gauge | Histogram
    if row.kind == "histogram":
        points = [
            _histogram(dict(zip(row.labels, labels, strict=True)), counts, total, since_ns, now_ns)
            for labels, counts, total in histograms(figures)
        ]
        data = Histogram(points, AggregationTemporality.CUMULATIVE)
    else:
        numbers = [
            NumberDataPoint(dict(zip(row.labels, labels, strict=True)), since_ns, now_ns, figure)
            for labels, figure in figures.items()
        ]
        data = Gauge(numbers) if row.kind == "gauge" else Sum(numbers, AggregationTemporality.CUMULATIVE, True)  # noqa: FBT003 # is_monotonic
    return Metric(name, row.meaning, _UNITS.get(name.removesuffix("_total").rpartition("_")[2], "1"), data)


def _histogram(
    labels: Mapping[str, str], counts: list[int], total: float, since_ns: int, now_ns: int
) -> HistogramDataPoint:
    return HistogramDataPoint(
        attributes=dict(labels),
        start_time_unix_nano=since_ns,
        time_unix_nano=now_ns,
        count=sum(counts),
        sum=total,
        bucket_counts=counts,
        explicit_bounds=BOUNDS_S,
        min=None,  # type: ignore[arg-type] # the protocol lets them be absent
        max=None,  # type: ignore[arg-type] # the same
    )
