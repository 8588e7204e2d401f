"""Parquet for `gateway score`: the columns of the CSV form with their types. Knows pyarrow; must not know scoring."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from gateway.commands.score_output import FLAGS, SUB_SCORES

if TYPE_CHECKING:
    from pathlib import Path

_ROWS = 10_000  # in memory at a time, and in a row group

SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("score", pa.float64()),
        ("model_version", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("format", pa.string()),
        *((name, pa.float64()) for name in SUB_SCORES),
        *((name, pa.bool_()) for name in FLAGS),
        ("clarity", pa.int32()),
        ("aesthetic", pa.int32()),
        ("content", pa.int32()),
        ("confidence", pa.float64()),
        ("reasons", pa.list_(pa.string())),
        ("error_code", pa.string()),
        ("error_message", pa.string()),
    ]
)


def convert(lines: Path, target: Path) -> None:
    """Write a Parquet file of a file of JSON Lines, as `json_lines` makes them; what is missing is null."""
    fresh = target.with_name(f"{target.name}.new")
    with lines.open(encoding="utf-8") as file, pq.ParquetWriter(fresh, SCHEMA) as writer:
        while rows := [_row(json.loads(line)) for line in islice(file, _ROWS)]:
            writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
    fresh.replace(target)


def _row(document: dict[str, Any]) -> dict[str, Any]:
    error = document.get("error", {})
    told = {"error_code": error.get("code"), "error_message": error.get("message")}
    path = document["path"].encode("utf-8", "backslashreplace").decode()
    return {**document, **document.get("sub_scores", {}), **document.get("flags", {}), **told, "path": path}
