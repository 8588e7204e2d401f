"""The tables of `docs/operations.md` against the code and the chart."""

from __future__ import annotations

import re
from dataclasses import fields

from gateway.credentials import Secret
from gateway.metrics import METRICS
from gateway.telemetry import RequestRecord
from gateway.telemetry_settings import TelemetrySettings
from tests.conftest import ROOT
from tests.faults import test_faults_of_processes, test_faults_of_requests
from tests.faults.table import DOCUMENT, MADE_TO_HAPPEN, TABLE, rows_of, spans

CHART_RULES = (ROOT / "helm" / "templates" / "prometheusrule.yaml").read_text()


def test_every_metric_is_documented_with_its_labels_and_no_other() -> None:
    told = {spans(name)[0]: (tuple(spans(labels)), meaning) for name, labels, meaning in rows_of("Metrics")}
    assert told == {name: (row.labels, f"{row.kind}: {row.meaning}") for name, row in METRICS.items()}


def test_every_alert_of_the_chart_has_meaning_cause_and_cure() -> None:
    rows = {spans(row[0])[0]: row[1:] for row in rows_of("Alerts")}
    assert set(rows) == set(re.findall(r"- alert: (\w+)", CHART_RULES))
    assert all(len(row) == 3 and all(row) for row in rows.values())


def test_every_fault_of_the_table_is_made_to_happen() -> None:
    assert test_faults_of_processes.PICTURE == test_faults_of_requests.PICTURE  # both have told what they do
    assert set(TABLE) == MADE_TO_HAPPEN


def test_every_setting_of_logs_and_checks_is_shown_with_its_default() -> None:
    block = DOCUMENT.partition("[telemetry]\n")[2].partition("```")[0]
    shown = dict(re.findall(r'^(\w+) = "?([^"#\s]*)"?', block, re.MULTILINE))
    defaults = {row.name: getattr(TelemetrySettings(), row.name) for row in fields(TelemetrySettings)}
    plain = {name: value.reveal() if isinstance(value, Secret) else value for name, value in defaults.items()}
    assert shown == {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in plain.items()
    }


def test_the_fields_of_the_access_line_that_need_words_are_there() -> None:
    told = {name for row in rows_of("The log") for name in spans(row[0])}
    assert told <= {row.name for row in fields(RequestRecord)}
