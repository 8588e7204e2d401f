"""Every shell and Python snippet of the README runs, as a newcomer would paste it, against the demo."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.conftest import ROOT
from tests.docs.markdown import Block, blocks
from tests.ports import free_port
from tools import readme_picture

if TYPE_CHECKING:
    from tests.conftest import Demo

pytestmark = pytest.mark.store

_README = (ROOT / "README.md").read_text()
_BLOCKS = blocks(_README)
# What differs from one run to the next, or with the model: figures, and ids in hexadecimal.
_VARYING = re.compile(r"[0-9A-F]{24}|\d+(?:\.\d+)?")


def of(*languages: str) -> list[pytest.ParameterSet]:
    return [
        pytest.param(block, id=f"{block.language}-{block.line}") for block in _BLOCKS if block.language in languages
    ]


@pytest.fixture(scope="module")
def photo(demo: Demo) -> bytes:
    """One of the demo's pictures, as a photo of one's own."""
    url = shell(f"gateway presign --endpoint {demo.endpoint} demo sharp.jpg", demo.data).strip()
    return fetched(url)


@pytest.fixture
def folder(tmp_path: Path, photo: bytes) -> Path:
    """Where the snippets run: a photo, and the samples of the configuration."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "photo.jpg").write_bytes(photo)
    return tmp_path


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 # http, to our own port
        return bytes(answer.read())


def environment() -> dict[str, str]:
    """A shell's, with this environment's programs (gateway, aws) first and no setting of ours."""
    kept = {name: os.environ[name] for name in ("PYTHONPATH", "HOME") if name in os.environ}
    return {**kept, "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


def shell(line: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], cwd=folder, env=environment(), capture_output=True, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stderr.decode()}"
    return done.stdout.decode()


def moved(text: str, demo: Demo) -> str:
    """A snippet, sent to where this demo listens instead of to port 9000."""
    return re.sub(r"\b9000\b", str(demo.port), text)


def run_line(line: str, folder: Path, demo: Demo) -> str:
    if line.startswith("make "):  # would build an environment: what it would do is looked at instead
        return shell(f"make --dry-run {line.removeprefix('make ')}", ROOT)
    if line.startswith("gateway serve"):  # ends when it is told to
        return served(line, folder)
    line = line.replace("gateway presign", f"gateway presign --endpoint http://{host_of(line)}:{demo.port}")
    return shell(moved(line, demo), folder)


def host_of(line: str) -> str:
    """The address for which `gateway presign` signs when it is told none."""
    dialect = re.search(r"--dialect (oss|cos)", line)
    return f"{dialect[1]}.localhost" if dialect else "127.0.0.1"


def served(line: str, folder: Path) -> str:
    """Start a gateway, wait until it is ready, end it as an operator would."""
    port, admin_port = free_port(), free_port()
    addresses = {"GATEWAY_LISTEN": f"127.0.0.1:{port}", "GATEWAY_ADMIN_LISTEN": f"127.0.0.1:{admin_port}"}
    gateway = subprocess.Popen(line.split(), cwd=folder, env=environment() | addresses, start_new_session=True)
    try:
        for _ in range(300):
            if gateway.poll() is not None or is_live(admin_port):
                break
            time.sleep(0.1)
        assert is_live(admin_port)
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(60) == 0
    finally:
        gateway.kill()
        gateway.wait()
    return ""


def is_live(admin_port: int) -> bool:
    try:
        return fetched(f"http://127.0.0.1:{admin_port}/livez") == b"ok\n"
    except OSError:
        return False


def told_and_expected(console: str) -> list[tuple[str, str]]:
    """The commands of a block of `console`, each with what stands below it."""
    return [
        (part.partition("\n")[0], part.partition("\n")[2])
        for part in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]
    ]


@pytest.mark.parametrize("block", of("sh"))
def test_every_line_for_the_shell_runs(block: Block, folder: Path, demo: Demo) -> None:
    lines = block.text.splitlines()
    assert lines
    for line in lines:
        run_line(line, folder, demo)


@pytest.mark.parametrize("block", of("console"))
def test_every_command_with_its_output_prints_that_output(block: Block, folder: Path, demo: Demo) -> None:
    parts = told_and_expected(block.text)
    assert parts
    for line, expected in parts:
        printed = run_line(line, folder, demo)
        assert alike(printed) == alike(expected), printed


def alike(text: str) -> str:
    """A text without what varies, nor the width of columns."""
    return re.sub(r"\s+", " ", _VARYING.sub("#", text)).strip()


@pytest.mark.parametrize("block", of("python"))
def test_every_snippet_of_python_tells_what_it_promises(block: Block, folder: Path, demo: Demo) -> None:
    done = subprocess.run(
        [sys.executable, "-c", moved(block.text, demo)], cwd=folder, env=environment(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert re.search(r"OverallQualityScore|ClarityScore|focus|'quality': {'score'", done.stdout.decode())


def test_there_is_a_snippet_for_each_vendor_and_no_block_that_nobody_runs() -> None:
    assert {block.language for block in _BLOCKS} == {"sh", "console", "python"}
    told = "".join(block.text for block in _BLOCKS)
    for package in ("boto3", "oss2", "qcloud_cos", "cloudinary", "sightengine"):
        assert f"import {package}" in told or f"from {package}" in told, package


def test_the_first_picture_shows_scores_of_the_model_that_is_used() -> None:
    with Image.open(readme_picture.PICTURE) as picture:
        assert picture.getexif()[readme_picture.DESCRIPTION] == readme_picture.made_by(), (
            "python -m tools.readme_picture"
        )


def test_the_newcomers_command_starts_the_demo_and_no_picture_is_large() -> None:
    assert "gateway demo" in shell("make --dry-run run", ROOT)
    assert "docs/pictures/contact-sheet.webp" in _README
    assert all(picture.stat().st_size < 150_000 for picture in (ROOT / "docs" / "pictures").iterdir())
