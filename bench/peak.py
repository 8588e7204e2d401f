"""A fresh process as a scorer is, that does one thing and prints its peak memory in MB.

`python -m bench.peak score|copy DESCRIPTOR FACTS SHRINK`: scores the picture that the descriptor brings, or only
copies its decode at 1/SHRINK to memory. Loads what a scorer has loaded before its first job, and nothing else large.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyvips

import gateway.imaging.worker  # noqa: F401 # for what it loads
from gateway.imaging import facts as headers
from gateway.imaging.assess import assess

_MAX_JPEG_SHRINK = 8


def main(task: str, descriptor: int, facts: headers.Facts, shrink: int) -> None:
    if task == "score":
        assess(descriptor, facts, max_pixels=facts.pixels)
    else:
        copy_shrunken(descriptor, facts, shrink)
    lines = Path("/proc/self/status").read_text().splitlines()
    print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6)


def copy_shrunken(descriptor: int, facts: headers.Facts, shrink: int) -> Any:
    """Decode to memory at 1/shrink, and nothing else; JPEG shrinks while it decodes."""
    pyvips.cache_set_max(0)
    by_loader = min(shrink, _MAX_JPEG_SHRINK) if facts.format == "jpeg" else 1
    options = {"shrink": by_loader} if facts.format == "jpeg" else {}
    source = pyvips.Source.new_from_descriptor(descriptor)
    image = pyvips.Image.new_from_source(source, "", access="sequential", **options)
    if shrink > by_loader:
        image = image.shrink(shrink // by_loader, shrink // by_loader)
    return image.copy_memory()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), headers.from_json(json.loads(sys.argv[3])), int(sys.argv[4]))
