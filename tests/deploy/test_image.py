"""The Dockerfile: linted, its steps run in a root of their own, the result started as nobody on a read-only root."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tomllib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.deploy.conftest import PICTURE, at
from tests.deploy.dockerfile import Image, Workshop, clean_root, read_stages
from tests.deploy.pod import Pod, environment, mount
from tests.deploy.tools import ROOT, of_kind
from tests.fake_store import FakeStore
from tests.ports import free_port
from tests.proc import children, eventually, family
from tests.stores_up.fixtures import timed
from tests.stores_up.programs import ProgramError, install_debian
from tests.stores_up.required import is_root_on_debian
from tests.threaded_store import threaded_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.deploy.tools import Tools

pytestmark = pytest.mark.timeout(1800)
DOCKERFILE = ROOT / "Dockerfile"
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
NAME = re.compile(r"[A-Za-z0-9._-]+")


def canonical(requirement: str) -> str:
    match = NAME.match(requirement)
    assert match
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def test_hadolint_has_nothing_to_say(tools: Tools) -> None:
    assert tools.run("hadolint", str(DOCKERFILE)) == b""


def test_hadolint_would_have_said_something(tools: Tools, tmp_path: Path) -> None:
    wrong = tmp_path / "Dockerfile"
    wrong.write_text(DOCKERFILE.read_text().replace("# hadolint ignore=DL3008", ""))
    with pytest.raises(ProgramError, match="DL3008"):
        tools.run("hadolint", str(wrong))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_line_of_a_lock_is_one_version_with_hashes(lock: Path) -> None:
    rows = [
        row for row in lock.read_text().replace("\\\n", " ").splitlines() if row and not row.lstrip().startswith("#")
    ]
    assert len(rows) > 10
    assert all(re.match(r"[a-z0-9._-]+(\[.*\])?==\S+ .*--hash=sha256:[0-9a-f]{64}", row) for row in rows)


def test_the_lock_has_every_dependency_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = {
        canonical(row) for row in (ROOT / "requirements" / "gateway.txt").read_text().splitlines() if row[:1].isalpha()
    }
    assert {canonical(row) for row in project["dependencies"]} <= locked
    for name in ("build", "gateway"):
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        for row in (ROOT / "requirements" / f"{name}.in").read_text().splitlines():
            assert row.startswith("#") or re.search(rf"^{canonical(row)}==", text, re.MULTILINE), row


def test_the_image_s_version_is_the_project_s_and_the_chart_s() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"ARG VERSION={version}\n" in DOCKERFILE.read_text()
    assert f'appVersion: "{version}"\n' in (ROOT / "helm" / "Chart.yaml").read_text()


def test_only_what_is_copied_gets_into_the_build() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [
        value.split() for stage in read_stages(DOCKERFILE.read_text()) for name, value in stage.steps if name == "COPY"
    ]
    assert {word.rstrip("/") for words in copied if not words[0].startswith("--") for word in words[:-1]} == let_in


# --- built and started ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Workshop]:
    """Where stages are built: over this machine's own Debian or, with IMAGE_ROOT=clean, over a bare one."""
    if not is_root_on_debian():
        pytest.skip("only root on Debian can mount a root file system of its own")
    base = Path("/")
    if os.environ.get("IMAGE_ROOT") == "clean":
        install_debian(("mmdebstrap",))
        with timed(pytestconfig, "image: bare Debian"):
            base = clean_root(tmp_path_factory.mktemp("debian") / "root")
    workshop = Workshop(base, ROOT)
    yield workshop
    workshop.close()


@pytest.fixture(scope="module")
def image(workshop: Workshop, pytestconfig: pytest.Config) -> Image:
    """The image, every RUN step of it executed."""
    with timed(pytestconfig, "image: build"):
        return workshop.build(read_stages(DOCKERFILE.read_text()))[""]


def in_image(workshop: Workshop, image: Image, *command: str) -> str:
    return workshop.run(*workshop.started(image, {}, image.environment, command), timeout_s=120).decode()


def test_the_image_has_what_it_needs_and_no_more(workshop: Workshop, image: Image) -> None:
    listed = in_image(workshop, image, "ls", "/opt/gateway/bin", "/")
    assert "gateway\n" in listed
    assert "pip" not in listed
    assert "src" not in listed.split()
    assert "/opt/gateway/" in in_image(workshop, image, "python", "-c", "import gateway; print(gateway.__path__)")
    megabytes = int(workshop.run("du", "-sm", str(image.upper / "opt")).split()[0])
    assert megabytes < 260, "numpy, libvips and botocore are most of it"
    assert image.labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert image.told["USER"] == "65532:65532"


def test_the_bill_of_materials_lists_what_is_installed(workshop: Workshop, image: Image) -> None:
    bill = json.loads(in_image(workshop, image, "cat", "/opt/gateway/share/sbom/gateway.cdx.json"))
    assert bill["bomFormat"] == "CycloneDX"
    listed = {(canonical(row["name"]), row["version"]) for row in bill["components"]}
    code = "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()))"
    installed = {
        (canonical(row), row.partition("==")[2]) for row in in_image(workshop, image, "python", "-c", code).split()
    }
    assert installed - listed <= {("s3-score-gateway", bill["metadata"]["component"]["version"])}
    locked = (ROOT / "requirements" / "gateway.txt").read_text()
    names = {canonical(row): row for row in locked.splitlines() if row[:1].isalpha()}
    assert {name for name, _ in installed} - {"s3-score-gateway"} <= set(names)


@contextmanager
def started(workshop: Workshop, image: Image, documents: list[dict[str, Any]], folder: Path) -> Iterator[Pod]:
    """Start the image as the chart's Deployment says: its mounts, its user, a read-only root, no capability."""
    (deployment,) = of_kind(documents, "Deployment")
    ports = {"http": free_port(), "admin": free_port()}
    mounts = mount(deployment, documents, folder, group=65_532)
    words = {**image.environment, **environment(deployment, ports)}
    command = workshop.inside(*workshop.started(image, mounts, words, image.command))
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    pod = Pod(deployment, ports, process, log)
    try:
        pod.starts()
        yield pod
        os.kill(supervisor(process.pid), signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()


def supervisor(pid: int) -> int:
    """The gateway's first process below the programs that prepare its root."""
    (found,) = [child for child, command in family(pid).items() if "gateway serve" in command and children(child)][:1]
    return found


def test_as_nobody_on_a_read_only_root_it_serves_a_score(
    workshop: Workshop, image: Image, releases: dict[str, Any], tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    with (
        threaded_store(FakeStore(objects={"/photos/cat.jpg": PICTURE})) as endpoint,
        started(workshop, image, at(releases["pod"]["documents"], endpoint), tmp_path) as pod,
    ):
        first = supervisor(pod.process.pid)
        eventually(lambda: len(children(first)) == 2)  # one gateway process, one scorer
        for pid in (first, *children(first)):
            status = Path(f"/proc/{pid}/status").read_text()
            assert re.search(r"^Uid:\s65532\s65532\s65532\s65532$", status, re.MULTILINE)
            assert re.search(r"^Gid:\s65532\s65532\s65532\s65532$", status, re.MULTILINE)
            assert re.search(r"^CapEff:\s0+$", status, re.MULTILINE)
            assert re.search(r"^NoNewPrivs:\s1$", status, re.MULTILINE)
            assert "libjemalloc" in Path(f"/proc/{pid}/maps").read_text()
        assert re.search(r"^NSpid:.*\s1$", Path(f"/proc/{first}/status").read_text(), re.MULTILINE), (
            "not the first process"
        )
        assert pod.get("/photos/cat.jpg", secret="pod-secret") == (200, PICTURE)
        status_code, body = pod.get("/photos/cat.jpg", "x-oss-process=image%2Fscore", secret="pod-secret")
        assert status_code == 200, body
        assert 0 < json.loads(body)["ImageScore"]["OverallQualityScore"] < 1
        assert health(image, pod, first) == 0
        with pytest.raises(OSError, match="Read-only"):
            Path(f"/proc/{first}/root/opt/gateway/written").touch()


def health(image: Image, pod: Pod, pid: int) -> int:
    """Run the image's HEALTHCHECK inside; Docker would ask the port that the image listens on by default."""
    words = json.loads(image.told["HEALTHCHECK"].partition("CMD ")[2])
    words = [word.replace(":9001/", f":{pod.ports['admin']}/") for word in words]
    inside = ["nsenter", f"--target={pid}", "--mount", "--pid", "--root", "--", "env", "-i"]
    inside += [f"{name}={value}" for name, value in image.environment.items()]
    return subprocess.run([*inside, *words], check=False, timeout=60).returncode
