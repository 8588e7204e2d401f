"""What can be computed about a picture, and by which module. Pure; must not know how, nor who asks.

A new processor is one file of this folder and one line here (ADR 12).
"""

from __future__ import annotations

from dataclasses import dataclass

# Part of every score and of its ETag: changes whenever the same bytes may get another score.
MODEL_VERSION = "4"


@dataclass(frozen=True, slots=True)
class Processor:
    """One processor. Its module has a function `process`.

    In a scorer it is called with the decoded picture and its facts, and works in steps. A processor of headers alone is
    called in the gateway's own process with the facts, the first bytes of the file and its declared length; no pixel is
    decoded and nothing behind the header is downloaded. `version` changes whenever the same bytes may get another
    result.
    """

    name: str
    module: str
    version: str
    header_only: bool = False

    @property
    def variant(self) -> str:
        """What tells this result of an object from its others, in ETags."""
        return f"{self.name}-{self.version}"


PROCESSORS: tuple[Processor, ...] = (
    Processor("score", "gateway.imaging.assess", MODEL_VERSION),
    Processor("average", "gateway.imaging.average", "1"),
    Processor("info", "gateway.imaging.info", "1", header_only=True),
)

_BY_NAME = {row.name: row for row in PROCESSORS}


def processor(name: str) -> Processor:
    """Return the processor of this name. Raises KeyError."""
    return _BY_NAME[name]
