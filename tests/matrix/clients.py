"""What a client of the matrix is: a name, a dialect, and a table of the calls that it offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    # The calls by the names that `operations.py` uses; what a client has no call for is not in it.
    Calls = dict[str, Callable[..., Any]]

EXPIRES_S = 600
PART_BYTES = 5 * 1024 * 1024  # the least that S3 takes for a part that is not the last
WRONG_SECRET = "not-the-secret"


@dataclass(frozen=True)
class Endpoint:
    """Where a client is pointed at, and its key there."""

    authority: str
    key_id: str
    secret: str

    @property
    def url(self) -> str:
        return f"http://{self.authority}"

    @property
    def port(self) -> int:
        return int(self.authority.rpartition(":")[2])


class RefusedError(Exception):
    """A client in another process ended a call with an error of its own; the text is the error's code."""


@dataclass(frozen=True)
class Client:
    """One client. `code` names an error that the client raises for an answer; None is somebody else's error."""

    name: str
    dialect: str  # "s3", "oss" or "cos": only the first can talk to a store directly
    version: Callable[[], str]
    connect: Callable[[Endpoint], AbstractContextManager[Calls]]
    code: Callable[[Exception], str | None]
