"""Scoring beside a bare libvips decode of the same file, and beside who else judges pictures: CPU time and memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench import memory
from bench.cost import ROUNDS
from bench.photos import source, write_pictures
from bench.tools import FailedError, Row, alone

_BARS: dict[str, float | None] = {  # the decode's multiple that scoring may cost; None: for information
    "12 MP JPEG": 1.0,
    "48 MP JPEG": 0.8,
    "2 MP JPEG": None,
    "0.25 MP JPEG": 10,
    "12 MP PNG": 1.2,
    "0.25 MP PNG": None,
    "12 MP WebP": 1.2,
    "0.25 MP WebP": None,
    "12 MP progressive JPEG": None,
}
_PEERS = {
    "laplacian": "OpenCV's variance of Laplacian",
    "cleanvision": "cleanvision's seven checks",
    "brisque": "PyPI brisque",
}
_PEERS_JUDGE = ("12 MP JPEG", "0.25 MP JPEG")
_MEMORY_OF = ("0.25 MP JPEG", "12 MP JPEG", "48 MP JPEG", "12 MP PNG")


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        pictures = write_pictures(Path(folder))
        print(f"scoring: the pictures are made of {source()}")
        cost = [row for name, bar in _BARS.items() for row in cost_rows(name, pictures[name], bar)]
        peak = memory.rows({name: pictures[name] for name in _MEMORY_OF})
        peers = [peer_row(peer, name, pictures[name]) for name in _PEERS_JUDGE for peer in _PEERS]
    return [*cost, *peak, *peers]


def cost_rows(name: str, path: Path, bar: float | None) -> list[Row]:
    """The whole of scoring, and its part that decodes."""
    figures = alone("bench.cost", str(path), "score", "load")
    score, load, decode = figures["score"], figures["load"], figures["decode"]
    what, beside = f"{name}, {megabytes(path)}", f"decode {milliseconds(decode)}"
    seconds = {name: {"cpu_s": figures[name]} for name in ("score", "decode")}
    ratio = score / decode
    return [
        Row(f"score {what} / decode", f"score {milliseconds(score)}", beside, ratio, at_most=bar, columns=seconds),
        Row("  of it shrunken decoding", f"load {milliseconds(load)}", beside, load / decode),
    ]


def peer_row(peer: str, name: str, path: Path) -> Row:
    """The same for another judge, whose own way of decoding is part of its figure."""
    what = f"{_PEERS[peer]}, {name} / decode"
    try:
        figures = alone("bench.cost", str(path), peer)
    except FailedError as error:
        return Row(what, "did not run", str(error), None)
    own, decode, rounds = figures[peer], figures["decode"], figures["rounds"]
    what += f", {rounds:.0f} rounds" if rounds < ROUNDS else ""
    return Row(what, f"{peer} {milliseconds(own)}", f"decode {milliseconds(decode)}", own / decode)


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.{0 if seconds >= 0.1 else 1}f} ms CPU"


def megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.2f} MB"
