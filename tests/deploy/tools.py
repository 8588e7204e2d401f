"""Helm's engine, Kubernetes' and compose's schemas, hadolint: fetched once, kept in the project's cache."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.stores_up.programs import alone, run

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = ROOT / ".cache" / "deploy"


@dataclass(frozen=True)
class Tools:
    """An environment with the tools."""

    folder: Path

    def run(self, program: str, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run one of its programs in the project's root. Raises ProgramError with its last words."""
        return run((str(self.folder / "bin" / program), *arguments), 120, stdin)

    def look(self, **given: Any) -> dict[str, Any]:
        """Ask `engine.py` (see there) for what is given."""
        seen: dict[str, Any] = json.loads(self.run("python", str(HERE / "engine.py"), stdin=json.dumps(given).encode()))
        return seen


def prepare_tools() -> Tools:
    """Install the tools unless they are there. Raises ProgramError without a registry."""
    wanted = HERE / "tools.txt"
    folder = CACHE / hashlib.sha256(wanted.read_bytes()).hexdigest()[:12]
    with alone("deploy-tools"):
        if not (folder / "installed").exists():
            run((sys.executable, "-m", "venv", str(folder)), 120)
            pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
            run((*pip, "--no-deps", "--ignore-requires-python", "--no-compile", "-r", str(wanted)), 300)
            (folder / "installed").touch()
    return Tools(folder)


def container(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """Return the gateway's container of a Deployment."""
    (found,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(found)


def of_kind(documents: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return the documents of one kind."""
    return [document for document in documents if document["kind"] == kind]
