"""What the demo prints is pasted, line by line, as a newcomer would."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.dialects.xml import XmlLimits, parse

if TYPE_CHECKING:
    from tests.conftest import Demo

pytestmark = pytest.mark.store
needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")


def pasted(line: str, folder: Path) -> bytes:
    """Run a line in a shell, with this environment's programs (aws) first."""
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    done = subprocess.run(["bash", "-c", line], cwd=folder, env={"PATH": path}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def printed(demo: Demo, start: str) -> list[str]:
    return [line.strip() for line in demo.lines.splitlines() if line.strip().startswith(start)]


@needs_curl
def test_the_curl_lines_answer_json_and_xml(demo: Demo, tmp_path: Path) -> None:
    as_oss, as_cos = printed(demo, "curl")
    assert json.loads(pasted(as_oss, tmp_path))["ImageScore"]["OverallQualityScore"] > 0.5
    assert int(parse(pasted(as_cos, tmp_path), XmlLimits()).child_text("ClarityScore")) > 50


def test_the_aws_line_fetches_the_bytes(demo: Demo, tmp_path: Path) -> None:
    (line,) = printed(demo, "AWS_ACCESS_KEY_ID")
    pasted(line, tmp_path)
    assert (tmp_path / "sharp.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_the_snippet_of_five_lines_prints_a_score(demo: Demo, tmp_path: Path) -> None:
    start = demo.lines.index("import oss2")
    snippet = demo.lines[start:].strip()
    assert snippet.count("\n") == 4
    done = subprocess.run([sys.executable, "-c", snippet], capture_output=True, check=True, cwd=tmp_path)
    assert json.loads(done.stdout)["ImageScore"]["OverallQualityScore"] > 0.5
