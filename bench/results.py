"""bench/results.json: what each part has measured last, kept until that part is measured again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.tools import Row

if TYPE_CHECKING:
    from collections.abc import Mapping

RESULTS = Path(__file__).with_name("results.json")


@dataclass(frozen=True)
class Section:
    """What one part has found: on which day, in how many seconds, with which Python."""

    measured: str
    took_s: float
    rows: tuple[Row, ...]
    python: str = ""


def read(path: Path = RESULTS) -> dict[str, Section]:
    """Return the sections by their parts' names; none where nothing was measured yet."""
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return {name: Section(**{**each, "rows": _rows(each["rows"])}) for name, each in found.items()}


def keep(name: str, section: Section, path: Path = RESULTS) -> None:
    """Replace that part's section, and leave the others as they are."""
    _write({**read(path), name: section}, path)


def _rows(found: list[dict[str, Any]]) -> tuple[Row, ...]:
    return tuple(Row(**each) for each in found)


def _write(sections: Mapping[str, Section], path: Path) -> None:
    path.write_text(json.dumps({name: asdict(each) for name, each in sections.items()}, indent=1) + "\n")
