"""TLS: the public port's certificate, replaced while it serves, and whom the gateway trusts at its stores.

Knows certificate files; must not know requests.
"""

from __future__ import annotations

import ssl
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from gateway.handshakes import counting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

# For each file, what differs when its content does; None when there is no such file.
_Stamps = dict[str, tuple[int, ...] | None]

HANDSHAKE_TIMEOUT_S = 15.0  # a client that opens a connection and says nothing is let go
SHUTDOWN_TIMEOUT_S = 5.0
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """TLS on the public port. With a certificate that port speaks nothing else; the admin port never speaks TLS."""

    certificate: str = ""  # PEM file: the server's certificate, then its intermediates
    key: str = ""  # PEM file: its private key without a passphrase; empty: it is in the certificate's file
    client_ca: str = ""  # PEM file: only clients with a certificate of these authorities get in; signatures stay needed
    minimum_version: Literal["1.2", "1.3"] = "1.2"  # of TLS


class TlsError(Exception):
    """A certificate, key or authority file is not usable; the text names the setting and says why."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A certificate as the handshakes use it, and when it expires."""

    context: ssl.SSLContext
    expires_at: datetime


def read_chain(settings: TlsSettings) -> Chain:
    """Read the public port's certificate, key and client authorities. Raises TlsError."""
    context = _server_context(settings)
    try:
        context.load_cert_chain(settings.certificate, settings.key or None, password=lambda: "")
    except (OSError, ValueError) as error:
        raise TlsError(f"tls.certificate, tls.key: {_reason(error)}") from None
    if settings.client_ca:
        _load_authorities(context, settings.client_ca, "tls.client_ca")
    return Chain(context, _expiry(settings.certificate))


def store_context(ca: str, *, verify: bool) -> ssl.SSLContext:
    """Return whom the gateway trusts at one store: the system's authorities, or anybody without `verify`.

    `ca` names a PEM file of authorities that are trusted instead. Raises TlsError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    elif ca:
        _load_authorities(context, ca, "ca")
    else:
        context.load_default_certs()
    return context


class LiveCertificate:
    """The certificate in force. `context` stays the same for ever; each handshake takes the chain of that moment.

    A fresh context is read and then put in place as a whole: loading into a context that is in use could leave it
    with a new certificate and the old key.
    """

    __slots__ = ("_candidate", "_chain", "_settings", "_stamps", "context", "failures")

    def __init__(self, settings: TlsSettings) -> None:
        """Read the files for the first time. Raises TlsError."""
        self._settings = settings
        self._stamps = self._candidate = self._look()
        self._chain = read_chain(settings)
        self.context = _server_context(settings)
        self.context.sni_callback = self._hand_over
        self.failures: Counter[str] = Counter()  # handshakes that failed in this process, by reason
        self.context.sslobject_class = counting(self.failures)

    @property
    def expires_at(self) -> datetime:
        """The end of the certificate's validity."""
        return self._chain.expires_at

    def has_changed(self) -> bool:
        """Tell whether the files differ from what was last read, and have been left alone between two such looks."""
        before, self._candidate = self._candidate, self._look()
        return self._candidate == before and self._candidate != self._stamps

    def reload(self, now: datetime) -> None:
        """Read the files again. Raises TlsError, once for each state of the files, and keeps the old chain."""
        self._stamps = self._candidate = self._look()
        chain = read_chain(self._settings)
        if chain.expires_at <= now:
            raise TlsError(f"tls.certificate: it has expired on {chain.expires_at:%Y-%m-%d}")
        self._chain = chain

    def _look(self) -> _Stamps:
        files = (self._settings.certificate, self._settings.key, self._settings.client_ca)
        return {name: _stamp(name) for name in files if name}

    def _hand_over(self, connection: ssl.SSLObject, _name: str | None, _front: ssl.SSLContext) -> None:
        """Give a handshake, once its first message is there, the chain of this moment: OpenSSL's own hook for it."""
        connection.context = self._chain.context


def opened(settings: TlsSettings) -> LiveCertificate | None:
    """Read the certificate of the public port; None when it speaks plain HTTP. Raises TlsError."""
    return LiveCertificate(settings) if settings.certificate else None


def _server_context(settings: TlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[settings.minimum_version]
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION
    if settings.client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.num_tickets = 0  # a resumed session would not be asked for its certificate again
        context.options |= ssl.OP_NO_TICKET
    return context


def _load_authorities(context: ssl.SSLContext, path: str, where: str) -> None:
    try:
        context.load_verify_locations(path)
    except (OSError, ValueError) as error:
        raise TlsError(f"{where}: {path}: {_reason(error)}") from None


def _expiry(path: str) -> datetime:
    """Return when the first certificate of a file that OpenSSL has just taken expires. Raises TlsError."""
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415 # only where there is a certificate

    try:
        return load_pem_x509_certificates(Path(path).read_bytes())[0].not_valid_after_utc
    except (OSError, ValueError) as error:
        raise TlsError(f"tls.certificate: {path}: {error}") from None


def _reason(error: OSError | ValueError) -> str:
    """Say what is wrong in OpenSSL's or the system's words."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return getattr(error, "strerror", None) or str(error)


def _stamp(path: str) -> tuple[int, ...] | None:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns


class StoreLink(Protocol):
    """What is said of the way to a store: its URL, and whom to trust there."""

    @property
    def endpoint(self) -> str: ...  # noqa: D102 # named like the setting
    @property
    def ca(self) -> str: ...  # noqa: D102 # the same
    @property
    def verify(self) -> bool: ...  # noqa: D102 # the same


def tls_contradictions(tls: TlsSettings, stores: Mapping[str, StoreLink]) -> Iterator[str]:
    """Yield each mistake, with its setting's name."""
    for name, store in stores.items():
        if store.ca and not (store.verify and store.endpoint.startswith("https://")):
            yield f"upstream.{name}.ca: counts only for an https:// endpoint that is verified"
        try:
            store_context(store.ca, verify=store.verify)
        except TlsError as error:
            yield f"upstream.{name}: {error}"
    if (tls.key or tls.client_ca) and not tls.certificate:
        yield "tls.key, tls.client_ca: need tls.certificate"
