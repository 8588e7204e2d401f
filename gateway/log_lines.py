"""Every line of the log as one JSON object or as key=value, for whoever reads logs with a machine."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from gateway.access_log import line

TEXT = "%(asctime)s %(name)s %(message)s"


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
    formatter = logging.Formatter(TEXT) if log_format == "text" else LineFormatter(log_format)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(formatter)
