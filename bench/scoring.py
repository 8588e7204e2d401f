"""Scoring a 12 megapixel JPEG beside a bare libvips decode of the same file, in CPU time, one thread each."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING

from bench.tools import Row, interleaved

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 11
ONE_THREAD = dict.fromkeys(("VIPS_CONCURRENCY", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def rows() -> list[Row]:
    """Measure in a process of its own, since the number of threads is set by its environment."""
    code = "from bench.scoring import measure; print(*measure())"
    output = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | ONE_THREAD, capture_output=True, text=True, check=True
    ).stdout
    score, decode = map(float, output.split())
    subject, beside = f"score {score * 1000:.0f} ms CPU", f"decode {decode * 1000:.0f} ms CPU"
    return [Row("score a 12 MP JPEG / bare decode", subject, beside, score / decode)]


def measure() -> tuple[float, float]:
    """Return (scoring, bare decode) in seconds of CPU time."""
    import pyvips  # noqa: PLC0415 # after the environment has said how many threads

    from gateway.imaging.assess import assess  # noqa: PLC0415 # the same
    from gateway.imaging.probe import Probe  # noqa: PLC0415 # the same

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "12mp.jpg"
        path.write_bytes(large_jpeg())
        data = path.read_bytes()
        facts = Probe().feed(data)
        assert facts is not None

        def score() -> None:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                assess(descriptor, facts, max_pixels=100_000_000)
            finally:
                os.close(descriptor)

        def decode() -> None:
            pyvips.Image.new_from_buffer(data, "", access="sequential").copy_memory()

        found = interleaved({"score": lambda: cpu(score), "decode": lambda: cpu(decode)}, ROUNDS)
    return found["score"], found["decode"]


def cpu(function: Callable[[], None]) -> float:
    started = process_time()
    function()
    return process_time() - started


def large_jpeg() -> bytes:
    """The demo's landscape at 4000 x 3000 pixels, with a fresh grain so that it is not smooth."""
    import io  # noqa: PLC0415 # beside its only user

    import numpy as np  # noqa: PLC0415 # the same
    from PIL import Image  # noqa: PLC0415 # the same

    from gateway.commands.pictures import draw_landscape  # noqa: PLC0415 # the same

    large = np.asarray(draw_landscape().resize((4000, 3000), Image.Resampling.LANCZOS), dtype=np.float32)
    grain = np.random.default_rng(1).normal(0, 2, large.shape)
    target = io.BytesIO()
    Image.fromarray(np.clip(large + grain, 0, 255).astype(np.uint8)).save(target, "JPEG", quality=88)
    return target.getvalue()
