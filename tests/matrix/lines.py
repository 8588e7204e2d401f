"""Calls to another process: one line of JSON each way, bytes as base64. Knows no project code: drivers use it too."""

from __future__ import annotations

import base64
import json
import sys
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def packed(value: object) -> str:
    """Write a value as one line."""
    return json.dumps(value, default=lambda data: {"base64": base64.b64encode(data).decode()}) + "\n"


def unpacked(line: str | bytes) -> Any:
    """Read a value from a line."""
    return json.loads(line, object_hook=lambda row: base64.b64decode(row["base64"]) if "base64" in row else row)


def serve(calls: Mapping[str, Callable[..., object]], code: Callable[[Exception], str | None]) -> None:
    """Tell which calls there are, then make those that standard input asks for until it ends.

    `code` names the error that the client itself raised; None is a fault of the driver.
    """
    sys.stdout.write(packed(sorted(calls)))
    sys.stdout.flush()
    for line in sys.stdin:
        name, arguments = unpacked(line)
        try:
            answer: dict[str, object] = {"result": calls[name](*arguments)}
        except Exception as error:  # noqa: BLE001 # the other side judges
            refused = code(error)
            answer = {"fault": traceback.format_exc()} if refused is None else {"refused": refused}
        sys.stdout.write(packed(answer))
        sys.stdout.flush()
