"""What the rows of the command lines share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.matrix.clients import RefusedError
from tests.stores_up.fixtures import BUCKET

if TYPE_CHECKING:
    from tests.stores_up.programs import ProgramError

HOME = f"s3://{BUCKET}"


def refused(error: ProgramError, pattern: str) -> Exception:
    """Return what a failed command means: the code that it names, or a fault of the test if it names none."""
    found = re.search(pattern, str(error))
    return RefusedError(next(group for group in found.groups() if group)) if found else error


class Files:
    """A folder for what command lines read and write."""

    def __init__(self, folder: str) -> None:
        self.path = Path(folder) / "file"

    def holding(self, data: bytes) -> str:
        self.path.write_bytes(data)
        return str(self.path)

    def read(self) -> bytes:
        return self.path.read_bytes()
