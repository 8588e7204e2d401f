"""A Dockerfile read into its stages, and run step by step without a container engine: overlays, chroot, real RUN steps.

Covers the instructions that ours uses and fails on any other.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.proc import eventually
from tests.stores_up.programs import run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_LEFT_OUT = re.compile(r"GATEWAY_|PYTHON|VIRTUAL_ENV|COV|HOME$|LD_PRELOAD|MALLOC")
STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Stage:
    """One FROM and what follows it."""

    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Image:
    """What a stage has become: the folder with what it changed in its base, and how to start it."""

    upper: Path
    environment: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)  # USER, WORKDIR, ENTRYPOINT, CMD, HEALTHCHECK ... as written

    @property
    def command(self) -> list[str]:
        """What a container runs."""
        return [*json.loads(self.told["ENTRYPOINT"]), *json.loads(self.told["CMD"])]


def read_stages(text: str) -> list[Stage]:
    """Split a Dockerfile into stages and steps; comment lines may stand inside a continued step."""
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for row in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        name, _, value = row.partition(" ")
        if name == "FROM":
            base, _, stage = _filled(value, arguments).partition(" AS ")
            stages.append(Stage(stage, base))
        elif stages:
            stages[-1].steps.append((name, value.strip()))
        else:
            assert name == "ARG", row
            arguments |= _pairs(value)
    return stages


def _pairs(text: str) -> dict[str, str]:
    return {name: quoted or plain for name, quoted, plain in re.findall(r'([\w.]+)=(?:"([^"]*)"|(\S+))', text)}


def _filled(text: str, variables: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: variables[match[1]], text)


class Workshop:
    """A mount namespace of its own in which stages are built and started; nothing of it is left behind."""

    def __init__(self, base: Path, context: Path) -> None:
        """`base` is the root file system that every FROM stands for; `context` the folder that COPY reads."""
        self.base, self.context = base, context
        holding = ("setpriv", "--pdeathsig=KILL", "sleep", "3600")
        self._holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", *holding])
        ours = Path("/proc/self/ns/mnt").readlink()
        eventually(lambda: Path(f"/proc/{self._holder.pid}/ns/mnt").readlink() != ours)
        self.folder = Path("/mnt")
        self.run("mount", "-t", "tmpfs", "-o", "size=4g,mode=755", "workshop", str(self.folder))

    def close(self) -> None:
        """Let the kernel take it all away."""
        self._holder.kill()
        self._holder.wait()

    def inside(self, *command: str) -> list[str]:
        """Return a command that runs in this namespace."""
        return ["nsenter", f"--target={self._holder.pid}", "--mount", "--", *command]

    def run(self, *command: str, timeout_s: float = 60) -> bytes:
        """Run a command in this namespace. Raises ProgramError."""
        return run(self.inside(*command), timeout_s)

    def build(self, stages: Sequence[Stage]) -> dict[str, Image]:
        """Build all stages and return them by name; the last one's is `""`."""
        built: dict[str, Image] = {}
        for stage in stages:
            built[stage.name] = self._stage(stage, built)
        return built

    def _stage(self, stage: Stage, built: Mapping[str, Image]) -> Image:
        image = Image(self.folder / (stage.name or "last"))
        with self.mounted(image) as root:
            for name, value in stage.steps:
                self._step(name, _filled(value, image.environment | image.arguments), image, root, built)
        return image

    @contextmanager
    def mounted(self, image: Image) -> Iterator[Path]:
        """Mount a stage over its base, with /proc and /dev, for as long as it is being built."""
        root = Path(f"{image.upper}.root")
        self.run("mkdir", "-p", str(root), str(image.upper), f"{image.upper}.work")
        layers = f"lowerdir={self.base},upperdir={image.upper},workdir={image.upper}.work"
        self.run("mount", "-t", "overlay", "-o", layers, "overlay", str(root))
        self.run("mount", "--rbind", "/dev", str(root / "dev"))
        self.run("mount", "-t", "proc", "proc", str(root / "proc"))
        try:
            yield root
        finally:
            self.run("umount", "--recursive", str(root))

    def _step(self, name: str, value: str, image: Image, root: Path, built: Mapping[str, Image]) -> None:
        match name:
            case "ENV":
                image.environment |= _pairs(value)
            case "ARG":
                image.arguments |= _pairs(value)
            case "LABEL":
                image.labels |= _pairs(value)
            case "COPY":
                self._copy(value.split(), image, root, built)
            case "RUN":
                self._run(value, image, root)
            case "WORKDIR" | "USER" | "VOLUME" | "EXPOSE" | "STOPSIGNAL" | "HEALTHCHECK" | "ENTRYPOINT" | "CMD":
                image.told[name] = value
                if name == "WORKDIR":
                    self.run("mkdir", "-p", f"{root}{value}")
            case _:
                raise AssertionError(f"{name} is not understood here")

    def _copy(self, words: list[str], image: Image, root: Path, built: Mapping[str, Image]) -> None:
        origin = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else ""
        source = built[origin].upper if origin else self.context
        *names, last = words
        target = root / Path(image.told.get("WORKDIR", "/"), last).relative_to("/")
        for name in names:  # of a folder its contents are copied, into the folder that is named last
            found = source / name.lstrip("/")
            is_folder = name.endswith("/") or bool(origin)
            self.run("mkdir", "-p", str(target if is_folder else target.parent))
            self.run("cp", "-a", "--no-preserve=ownership", f"{found}/." if is_folder else str(found), str(target))

    def _run(self, text: str, image: Image, root: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not _LEFT_OUT.match(name)}
        environment = kept | {"PATH": STANDARD_PATH, "HOME": "/root"} | image.environment
        script = f"set -e; cd {image.told.get('WORKDIR', '/')}; {text}"
        settings = [f"{name}={value}" for name, value in environment.items()]
        self.run("env", "-i", *settings, "chroot", str(root), "/bin/sh", "-c", script, timeout_s=500)

    def started(
        self, image: Image, mounts: Mapping[str, Path], environment: Mapping[str, str], command: Sequence[str]
    ) -> list[str]:
        """Return the command (for `inside`) that runs another as a container would.

        First process of its own namespace, the image's user, no capabilities, the image as a read-only root with the
        folders of `mounts` in it, a /tmp in memory unless one is mounted there, no other environment.
        """
        root = f"{image.upper}.run"
        lines = [
            "set -e",
            f"mkdir -p {root} {' '.join(f'{image.upper}{path}' for path in ('/tmp', *mounts))}",
            f"mount -t overlay -o ro,lowerdir={image.upper}:{self.base} overlay {root}",
            f"mount --bind /dev {root}/dev",
            f"mount -t proc proc {root}/proc",
            *([] if "/tmp" in mounts else [f"mount -t tmpfs -o size=256m,mode=1777 tmp {root}/tmp"]),
            *(f"mount --bind {folder} {root}{path}" for path, folder in mounts.items()),
        ]
        user, _, group = image.told["USER"].partition(":")
        rights = ("--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--clear-groups")
        nobody = ["setpriv", f"--reuid={user}", f"--regid={group}", *rights]
        settings = [f"{name}={value}" for name, value in environment.items()]
        inside = ["chroot", root, *nobody, "env", "-i", f"--chdir={image.told['WORKDIR']}", *settings, *command]
        script = "\n".join([*lines, f"exec {shlex.join(inside)}"])
        namespaces = ("--mount", "--propagation=private", "--pid", "--fork", "--kill-child=KILL")
        return ["unshare", *namespaces, "--", "sh", "-c", script]


def clean_root(folder: Path) -> Path:
    """Make the smallest Debian of the Dockerfile's release in a folder, as debootstrap does. Raises ProgramError."""
    run(("mmdebstrap", "--variant=minbase", "--mode=root", "trixie", str(folder)), 1000)
    authorities = Path("/usr/local/share/ca-certificates").glob("*.crt")
    for path in (Path("/etc/resolv.conf"), Path("/etc/pip.conf"), *authorities):  # how this machine reaches packages
        if path.exists():
            copy = folder / path.relative_to("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    return folder
