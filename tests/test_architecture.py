"""Who may import whom, the sizes of files and functions, and what a gateway process must not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "gateway"

# What the pure core may never touch: it gets the clock, the files and the environment as arguments.
IMPURE = frozenset(
    {"asyncio", "time", "os", "pathlib", "logging", "socket", "subprocess", "random", "secrets", "numpy", "pyvips"}
    | {"aiohttp", "yarl", "multidict", "aiobotocore", "botocore", "PIL", "threading", "select", "signal"}
)
CORE = ("gateway.errors", "gateway.request", "gateway.credentials", "gateway.report", "gateway.assets")
AUTH = ("gateway.auth.",)
HEADER = ("gateway.errors", "gateway.imaging.limits", "gateway.imaging.probe", "gateway.imaging.header_")
FACTS = ("gateway.imaging.facts", "gateway.imaging.exif", "gateway.imaging.exif_names", "gateway.imaging.reading")
PURE_IMAGING = (*HEADER, *FACTS, "gateway.imaging.vendor_limits")
STORES = (
    "gateway.stores.answer",
    "gateway.stores.upstream",
    "gateway.stores.keys",
    "gateway.stores.spool",
    "gateway.stores.cache",
)
KEPT_IN = ("gateway.stores.sqlite_file", "gateway.stores.redis_link")
UPLOADS = ("gateway.stores.documents", "gateway.stores.listing", "gateway.stores.parts", "gateway.stores.uploads")
JOURNEYS = (
    *(*CORE, "gateway.auth.base", "gateway.body.", "gateway.dialects.", "gateway.journeys.", *STORES, *UPLOADS),
    *("gateway.imaging.pool", "gateway.imaging.registry", "gateway.wire", "gateway.authorise"),
    *("gateway.imaging.messages", "gateway.imaging.small", "gateway.spans"),
    *("gateway.auth.identify", "gateway.auth.post_policy"),
)
# The vendors' own APIs go whole journeys of their own: they prove, ask the settings, and remember.
VENDOR = (
    *(*JOURNEYS, "gateway.auth.api_key", "gateway.auth.cloudinary", "gateway.settings", "gateway.vendors"),
    *("gateway.key_file", "gateway.quotas", "gateway.proxies", "gateway.telemetry", "gateway.stores.ledger"),
    *("gateway.stores.fetch", "gateway.stores.fetch_rules", "gateway.stores.task_ledger", "gateway.tasks"),
)
"""One row a module, or a folder ending in a dot (the longest match counts): which of our modules it may import."""
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "gateway.errors": (),
    "gateway.request": ("gateway.errors",),
    "gateway.credentials": ("gateway.errors", "gateway.request"),
    "gateway.sealing": ("gateway.credentials",),
    "gateway.key_file": ("gateway.credentials", "gateway.sealing"),
    "gateway.authorise": (*CORE, "gateway.dialects.base", "gateway.dialects.rights", "gateway.settings"),
    "gateway.report": (),
    "gateway.assets": (),
    "gateway.vendors": ("gateway.credentials", "gateway.stores.redis_url"),
    "gateway.stores.redis_url": (),
    "gateway.proxies": ("gateway.request",),
    "gateway.auth.": (*CORE, *AUTH),
    "gateway.auth.cloudfront": (*CORE, *AUTH, "gateway.proxies"),
    "gateway.body.": ("gateway.errors", "gateway.request", "gateway.auth.base", "gateway.body."),
    "gateway.dialects.": (*CORE, "gateway.auth.base", "gateway.dialects."),
    "gateway.dialects.cloudinary_analyze": (*CORE, "gateway.dialects.", "gateway.tasks"),
    "gateway.imaging.": ("gateway.errors", "gateway.report", "gateway.imaging."),
    "gateway.imaging.pool": ("gateway.errors", "gateway.report", "gateway.splice", "gateway.imaging."),
    "gateway.imaging.registry": (),
    "gateway.imaging.limits": PURE_IMAGING,
    "gateway.imaging.probe": PURE_IMAGING,
    "gateway.imaging.worker": ("gateway.errors", "gateway.report", "gateway.processes", "gateway.imaging."),
    "gateway.tables": ("gateway.credentials",),
    "gateway.settings": (
        *("gateway.auth.candidates", "gateway.credentials", "gateway.errors", "gateway.proxies", "gateway.request"),
        *("gateway.imaging.limits", "gateway.imaging.vendor_limits", "gateway.quotas", "gateway.tables"),
        *("gateway.dialects.hidden", "gateway.vendors", "gateway.stores.fetch_rules", "gateway.stores.cache_settings"),
        *("gateway.tls", "gateway.telemetry_settings", "gateway.stores.upstream_settings"),
    ),
    "gateway.tls": ("gateway.handshakes",),
    "gateway.handshakes": (),
    "gateway.processes": (),
    "gateway.connection": (),
    "gateway.splice": (),
    "gateway.wire": (
        *("gateway.connection", "gateway.errors", "gateway.request", "gateway.dialects.base", "gateway.splice"),
    ),
    "gateway.scoreboard": (),
    "gateway.metrics": ("gateway.scoreboard",),
    "gateway.telemetry_settings": ("gateway.credentials",),
    "gateway.access_log": ("gateway.telemetry_settings",),
    "gateway.log_lines": ("gateway.access_log",),
    "gateway.tracing": (),
    "gateway.telemetry": (
        *("gateway.errors", "gateway.scoreboard", "gateway.metrics", "gateway.access_log", "gateway.tracing"),
        *("gateway.telemetry_settings", "gateway.spans", "gateway.log_lines"),
    ),
    "gateway.spans": ("gateway.request",),
    "gateway.otel": ("gateway.otel_", "gateway.scoreboard", "gateway.telemetry", "gateway.telemetry_settings"),
    "gateway.otel_traces": ("gateway.errors", "gateway.spans", "gateway.telemetry", "gateway.tracing"),
    "gateway.otel_metrics": ("gateway.metrics", "gateway.scoreboard"),
    "gateway.admin": ("gateway.scoreboard", "gateway.telemetry"),
    "gateway.store_watch": ("gateway.stores.upstream",),
    "gateway.listener": ("gateway.connection", "gateway.dialects.base", "gateway.errors", "gateway.wire"),
    "gateway.journeys.cors": (
        *("gateway.auth.identify", "gateway.dialects.base", "gateway.errors", "gateway.journeys.forward"),
        *("gateway.request", "gateway.settings", "gateway.stores.upstream", "gateway.wire"),
    ),
    "gateway.journeys.who": (
        *(*CORE, "gateway.auth.", "gateway.dialects.registry", "gateway.dialects.rights"),
        *("gateway.journeys.vendor_call", "gateway.telemetry"),
    ),
    "gateway.quotas": ("gateway.errors",),
    "gateway.stores.keys": ("gateway.credentials", "gateway.errors", "gateway.stores.upstream_settings"),
    "gateway.stores.upstream": (
        *CORE,
        "gateway.auth.aws_v4",
        "gateway.dialects.base",
        *("gateway.stores.upstream_settings", "gateway.stores.tries", "gateway.stores.breaker", "gateway.stores.flow"),
        *STORES,
        *("gateway.tls", "gateway.tracing", "gateway.stores.endpoints", "gateway.stores.exchange", "gateway.splice"),
        *("gateway.spans", "gateway.stores.connection"),
    ),
    "gateway.stores.upstream_settings": ("gateway.credentials",),
    "gateway.stores.breaker": (),
    "gateway.stores.flow": (),
    "gateway.stores.tries": ("gateway.errors", "gateway.stores.breaker", "gateway.stores.endpoints"),
    "gateway.stores.exchange": ("gateway.request", "gateway.stores.connection", "gateway.stores.patience"),
    "gateway.stores.connection": ("gateway.stores.patience",),
    "gateway.stores.patience": (),
    "gateway.stores.answer": ("gateway.errors", "gateway.request", "gateway.splice", "gateway.stores.connection"),
    "gateway.stores.spool": ("gateway.errors",),
    "gateway.stores.endpoints": ("gateway.stores.breaker",),
    "gateway.tasks": (),
    "gateway.stores.sqlite_file": ("gateway.errors",),
    "gateway.stores.redis_link": ("gateway.errors",),
    "gateway.stores.task_": ("gateway.tasks", "gateway.stores.task_", *KEPT_IN),
    "gateway.stores.fetch_rules": CORE,
    "gateway.stores.fetch": (*CORE, "gateway.stores.fetch_rules", "gateway.spans"),
    "gateway.stores.cache": ("gateway.errors", "gateway.stores.cache_settings"),
    "gateway.stores.cache_settings": ("gateway.credentials", "gateway.stores.redis_url"),
    "gateway.stores.listing": (*CORE, "gateway.dialects.base", "gateway.dialects.xml", *STORES),
    "gateway.stores.documents": (*CORE, "gateway.dialects.base", "gateway.dialects.xml", *STORES),
    "gateway.stores.uploads": (
        *CORE,
        "gateway.stores.documents",
        "gateway.dialects.base",
        "gateway.dialects.xml",
        *STORES,
    ),
    "gateway.stores.parts": (
        *(*CORE, "gateway.dialects.base", "gateway.dialects.hidden", "gateway.dialects.xml", *STORES, *UPLOADS),
    ),
    "gateway.stores.ledger": ("gateway.assets", "gateway.errors", "gateway.stores.ledger_"),
    "gateway.stores.ledger_": ("gateway.assets", "gateway.stores.ledger", *KEPT_IN),
    "gateway.stores.embedded": ("gateway.auth.aws_v4", "gateway.credentials", "gateway.stores.embedded_"),
    "gateway.stores.embedded_": ("gateway.processes", "gateway.stores.embedded_"),
    "gateway.journeys.": JOURNEYS,
    "gateway.journeys.vendor_": VENDOR,
    "gateway.journeys.cloud_": VENDOR,
    "gateway.journeys.sources": VENDOR,
    "gateway.journeys.sightengine": VENDOR,
    "gateway.journeys.tasks": ("gateway.errors", "gateway.stores.task_ledger", "gateway.tasks", "gateway.vendors"),
    "gateway.journeys.ingest": VENDOR,
    "gateway.handler": (
        *(*CORE, "gateway.auth.", "gateway.dialects.", "gateway.journeys.", "gateway.stores.upstream"),
        *("gateway.settings", "gateway.telemetry", "gateway.wire", "gateway.imaging.pool", "gateway.proxies"),
        "gateway.quotas",
        *("gateway.authorise", "gateway.key_file", "gateway.connection"),
    ),
    "gateway.app": (
        *("gateway.credentials", "gateway.handler", "gateway.imaging.pool", "gateway.settings", "gateway.telemetry"),
        *("gateway.listener", "gateway.quotas", "gateway.imaging.vendor_limits", "gateway.scoreboard"),
        *("gateway.key_file", "gateway.stores.ledger", "gateway.journeys.vendor_call", *STORES),
        *("gateway.stores.fetch", "gateway.stores.fetch_rules", "gateway.stores.task_ledger", "gateway.journeys.who"),
        *("gateway.journeys.cloud_tasks", "gateway.journeys.tasks", "gateway.admin", "gateway.store_watch"),
        *("gateway.tls", "gateway.store_events", "gateway.live_gateway", "gateway.live_settings", "gateway.otel"),
    ),
    "gateway.live_settings": ("gateway.settings",),
    "gateway.live_gateway": (
        *("gateway.dialects.base", "gateway.errors", "gateway.handler", "gateway.live_settings", "gateway.log_lines"),
        *("gateway.imaging.pool", "gateway.imaging.vendor_limits", "gateway.settings", "gateway.telemetry"),
        *("gateway.stores.fetch", "gateway.stores.fetch_rules", "gateway.connection", "gateway.journeys.who"),
    ),
    "gateway.store_events": ("gateway.metrics", "gateway.scoreboard", "gateway.stores.breaker"),
    "gateway.supervisor": (
        *("gateway.app", "gateway.credentials", "gateway.imaging.pool", "gateway.imaging.launch", "gateway.processes"),
        *("gateway.settings", "gateway.key_file", "gateway.tls", "gateway.scoreboard"),
        *("gateway.live_settings", "gateway.log_lines"),
    ),
    "gateway.commands.": ("gateway.",),
    "gateway.__main__": ("gateway.commands.", "gateway.log_lines", "gateway.processes", "gateway.settings"),
}
PURE = (
    "gateway.errors",
    "gateway.request",
    "gateway.credentials",
    "gateway.sealing",
    "gateway.authorise",
    "gateway.report",
    "gateway.assets",
    "gateway.vendors",
    "gateway.tasks",
    "gateway.access_log",
    "gateway.tracing",
    "gateway.auth.",
    "gateway.body.",
    "gateway.proxies",
)
PURE_TOO = (
    *("gateway.dialects.", "gateway.imaging.registry", *PURE_IMAGING),
    *("gateway.imaging.messages", "gateway.imaging.info"),
    *("gateway.imaging.score", "gateway.imaging.curves", "gateway.imaging.reasons"),
    *("gateway.stores.fetch_rules", "gateway.stores.breaker"),
)
WITH_AIOHTTP = (
    "gateway.connection",
    "gateway.listener",
    "gateway.app",
    "gateway.admin",
    "gateway.live_gateway",
    "gateway.stores.answer",
    "gateway.stores.upstream",
    "gateway.stores.connection",
    "gateway.stores.exchange",
    "gateway.stores.fetch",
)


@cache
def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in modules() else node.module for name in whole}
    return names


def matches(name: str, rows: tuple[str, ...]) -> bool:
    return any(name == row or (row.endswith((".", "_")) and name.startswith(row)) for row in rows)


@pytest.mark.parametrize("name", sorted(name for name, path in modules().items() if path.stat().st_size))
def test_a_module_imports_only_what_its_row_allows(name: str) -> None:
    rows = [row for row in MAY_IMPORT if matches(name, (row,))]
    assert rows, f"{name} has no row in MAY_IMPORT"
    allowed = MAY_IMPORT[max(rows, key=len)]
    ours = {module for module in imports(modules()[name]) if module.split(".")[0] == "gateway"}
    assert {module for module in ours if not matches(module, (*allowed, name))} == set()


@pytest.mark.parametrize("name", sorted(name for name in modules() if matches(name, (*PURE, *PURE_TOO))))
def test_a_pure_module_touches_no_outside_world(name: str) -> None:
    assert {module.split(".")[0] for module in imports(modules()[name])} & IMPURE == set()


def test_aiohttp_appears_only_in_the_shell() -> None:
    users = {name for name, path in modules().items() if "aiohttp" in {m.split(".")[0] for m in imports(path)}}
    assert users <= set(WITH_AIOHTTP)


@pytest.mark.parametrize("path", sorted([*PACKAGE.rglob("*.py"), *(ROOT / "tests").rglob("*.py")]), ids=str)
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") < 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, f"{node.name} is too long"


def test_the_journey_fits_on_two_screens() -> None:
    assert (PACKAGE / "handler.py").read_text().count("\n") <= 200


@pytest.mark.parametrize(
    "module", ["gateway.app", "gateway.supervisor", "gateway.commands.serve", "gateway.imaging.info"]
)
def test_a_gateway_process_loads_neither_numpy_nor_pyvips_nor_an_extra_that_nobody_configured(module: str) -> None:
    code = (
        f"import sys, {module}; print(sorted({{'numpy', 'pyvips', 'PIL', 'cffi', 'opentelemetry'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_every_init_file_is_empty() -> None:
    assert [path for path in PACKAGE.rglob("__init__.py") if path.stat().st_size] == []
