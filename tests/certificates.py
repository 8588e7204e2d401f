"""Certificates for tests: an authority of one's own, and what it signs."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.serialization import KeySerializationEncryption

_DAY = timedelta(days=1)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _private_pem(key: ec.EllipticCurvePrivateKey, lock: KeySerializationEncryption | None = None) -> bytes:
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(pem, form, lock or serialization.NoEncryption())


@dataclass
class Authority:
    """Signs certificates for 127.0.0.1."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def write(self, path: Path) -> Path:
        """Write the authority's own certificate."""
        path.write_bytes(self._sign(_name("authority"), self.key.public_key(), _DAY, ca=True))
        return path

    def issue(self, path: Path, name: str = "server", life: timedelta = _DAY, passphrase: bytes = b"") -> Path:
        """Write a certificate and its private key into one file."""
        key = ec.generate_private_key(ec.SECP256R1())
        lock = serialization.BestAvailableEncryption(passphrase) if passphrase else None
        fresh = path.with_suffix(".fresh")
        fresh.write_bytes(self._sign(_name(name), key.public_key(), life, ca=False) + _private_pem(key, lock))
        fresh.replace(path)
        return path

    def _sign(self, subject: x509.Name, public: ec.EllipticCurvePublicKey, life: timedelta, *, ca: bool) -> bytes:
        now = datetime.now(UTC)
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = (
            x509.CertificateBuilder(_name("authority"), subject, public, x509.random_serial_number())
            .not_valid_before(now - 2 * _DAY)
            .not_valid_after(now + life)
            .add_extension(names, critical=False)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
