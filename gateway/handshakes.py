"""TLS handshakes that fail, counted by what went wrong. Knows Python's ssl; must not know connections or metrics."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import Counter

# What OpenSSL calls it, and what the metrics call it.
_REASONS = {
    "UNSUPPORTED_PROTOCOL": "version",
    "VERSION_TOO_LOW": "version",
    "NO_SHARED_CIPHER": "cipher",
    "HTTP_REQUEST": "not_tls",
    "HTTPS_PROXY_REQUEST": "not_tls",
    "WRONG_VERSION_NUMBER": "not_tls",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "no_client_certificate",
    "CERTIFICATE_VERIFY_FAILED": "client_certificate",
    "UNEXPECTED_EOF_WHILE_READING": "unfinished",
}


def counting(failures: Counter[str]) -> type[ssl.SSLObject]:
    """Return a kind of connection for `SSLContext.sslobject_class` that counts each failed handshake once, by reason.

    Whoever leaves, or says nothing until the handshake's time is up, is `unfinished`; a client that does not like the
    server's certificate is `refused_by_client`.
    """

    class CountedHandshake(ssl.SSLObject):
        _is_open = True

        def do_handshake(self) -> None:
            """Go one step on. Raises SSLError."""
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as error:
                self._end(_reason(error))
                raise
            self._is_open = False

        def __del__(self) -> None:
            if self._is_open:  # asyncio tells of a connection that was lost, or timed out, to nobody
                self._end("unfinished")

        def _end(self, reason: str) -> None:
            self._is_open = False
            failures[reason] += 1

    return CountedHandshake


def _reason(error: ssl.SSLError) -> str:
    name = error.reason or ""
    return "refused_by_client" if "_ALERT_" in name else _REASONS.get(name, "other")
