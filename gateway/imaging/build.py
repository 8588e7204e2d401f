"""Which decoder the scorers run, as a text: another build may give scores that differ by 0.01. Loads no libvips."""

from __future__ import annotations

import platform
from ctypes.util import find_library
from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def build() -> str:
    """Return the version of libvips (the wheel's, else the name of the system's library), numpy's and the processor."""
    try:
        libvips = version("pyvips-binary")
    except PackageNotFoundError:
        libvips = find_library("vips") or "none"
    return f"libvips {libvips}, numpy {version('numpy')}, {platform.machine()}"
