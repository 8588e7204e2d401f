"""The parts of a page that can be checked: fenced blocks, links and headings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line of the page on which it begins."""

    language: str
    text: str
    line: int


def blocks(page: str) -> list[Block]:
    return [Block(found[1], found[2], page[: found.start()].count("\n") + 1) for found in _FENCED.finditer(page)]


def links(page: str) -> list[str]:
    return _LINK.findall(_CODE.sub("", _FENCED.sub("", page)))


def anchors(page: str) -> set[str]:
    """What `#...` may name, as GitHub makes it of the headings."""
    headings = _HEADING.findall(_FENCED.sub("", page))
    return {_NOT_IN_ANCHORS.sub("", heading.lower()).replace(" ", "-") for heading in headings}


def pages(root: Path) -> list[Path]:
    """Every page that people read, the decisions included."""
    return [*sorted(root.glob("*.md")), *sorted((root / "docs").rglob("*.md")), root / "helm" / "README.md"]
