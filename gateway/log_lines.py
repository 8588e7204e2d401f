"""Every line of the log as one JSON object or as key=value, for whoever reads logs with a machine."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gateway.access_log import line

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXT = "%(asctime)s %(name)s %(message)s"


class AccessRecord(logging.LogRecord):
    """One request's line, written when a handler wants it as text; those that write their own form take `told`.

    Has all that records have, without finding out for each what is the same for all of them; nothing of where it is
    written, as no line tells that.
    """

    _ALIKE = vars(logging.LogRecord("gateway.access", logging.INFO, "", 0, "", None, None))

    def __init__(self, level: int, created: float, told: Mapping[str, str | int], log_format: str) -> None:
        """Take when it was `created` (seconds since 1970)."""
        self.__dict__.update(self._ALIKE)
        self.levelno, self.levelname = level, logging.getLevelName(level)
        self.relativeCreated += (created - self.created) * 1000
        self.created, self.msecs = created, created % 1 * 1000
        self.told = told
        self._log_format = log_format

    def getMessage(self) -> str:  # noqa: N802 # logging's name
        """Return the line."""
        return line(self.told, self._log_format)


class TextFormatter(logging.Formatter):
    """Writes lines for people; the time of day is written out once a second."""

    def __init__(self) -> None:
        super().__init__(TEXT)
        self._second, self._text = -1, ""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and a trace behind it."""
        if record.exc_info or record.exc_text or record.stack_info:
            return super().format(record)
        return f"{self.formatTime(record)} {record.name} {record.getMessage()}"

    def formatTime(self, record: logging.LogRecord, _: str | None = None) -> str:  # noqa: N802 # logging's name
        """Return the local time."""
        second = int(record.created)
        if second != self._second:
            self._second, self._text = second, super().formatTime(record, self.default_time_format)
        return f"{self._text},{int(record.msecs):03}"


class LineFormatter(logging.Formatter):
    """Writes time, level and logger, then a request's fields or the message; a trace stays on its line."""

    def __init__(self, log_format: str) -> None:
        super().__init__()
        self._log_format = log_format

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, of printable ASCII."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        told: dict[str, str | int] = {"time": time, "level": record.levelname.lower(), "logger": record.name}
        told |= getattr(record, "told", None) or {"message": record.getMessage()}
        if record.exc_info:
            told["trace"] = self.formatException(record.exc_info)
        return line(told, self._log_format)


def write_as(log_format: str) -> None:
    """Write all lines of this process in one format (`text`, `json`, `logfmt`) from now on."""
    formatter = TextFormatter() if log_format == "text" else LineFormatter(log_format)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(formatter)
