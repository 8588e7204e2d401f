"""Runs programs to their end, installs Debian packages, and lets only one test run at a time do so."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

POLICY = Path("/usr/sbin/policy-rc.d")
APT = ("apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=120")


class ProgramError(Exception):
    """A program failed; the text ends with its last words."""


def run(command: Sequence[str], timeout_s: float, stdin: bytes = b"", **environment: str) -> bytes:
    """Run a program to its end and return its output. Raises ProgramError."""
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, check=False, timeout=timeout_s, env=os.environ | environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProgramError(str(error)) from None
    if done.returncode:
        said = (done.stderr + done.stdout).decode(errors="replace")
        raise ProgramError(f"{' '.join(command)[:200]} ended with {done.returncode}: {said[-2000:]}")
    return done.stdout


def install_debian(packages: Sequence[str]) -> None:
    """Install packages and start none of their services. Needs root. Raises ProgramError."""
    with no_services_started():
        run((*APT, "update"), 120)
        run((*APT, "install", "--no-install-recommends", *packages), 300, DEBIAN_FRONTEND="noninteractive")


@contextmanager
def no_services_started() -> Iterator[None]:
    """Forbid maintainer scripts to start services; a policy that is there already stays as it is."""
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            POLICY.unlink()


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Wait until no other test run on this machine holds the lock of this name."""
    with (Path(tempfile.gettempdir()) / f"s3-score-gateway-{name}-{os.geteuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
