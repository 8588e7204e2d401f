"""Secrets at rest, sealed under a master key. Pure but for the library's random numbers; must not know files.

Sealed with Fernet (AES-128-CBC and HMAC-SHA256), the recipe of the `cryptography` package, and not with its AES-GCM:
there is no nonce to get wrong, the form has a version, and MultiFernet already means "seal with the newest key, open
with any". What AES-GCM could add is to bind a sealed secret to its access key id; but whoever can change the key file
can give himself any right, so that would protect nothing.
"""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from gateway.credentials import Secret


class SealingError(ValueError):
    """A master key or a sealed secret is not usable; the text says why and shows neither."""


class MasterKeys:
    """One master key, or several during a rotation: the first one seals, all of them open."""

    __slots__ = ("_fernet", "_newest")

    def __init__(self, text: Secret) -> None:
        """Take keys of 32 bytes in URL-safe base64, the newest first, apart by commas or white space.

        Raises SealingError when there is none, or one that is no such key.
        """
        keys = text.reveal().replace(",", " ").split()
        if not keys:
            raise SealingError("there is no master key")
        self._newest = Secret(keys[0])
        self._fernet = MultiFernet([_fernet(key, position) for position, key in enumerate(keys, start=1)])

    def newest(self) -> MasterKeys:
        """Return the newest key alone: it opens what needs no older one."""
        return MasterKeys(self._newest)

    def seal(self, secret: Secret) -> str:
        """Return the secret as ASCII text that only these master keys open; different at each call."""
        return self._fernet.encrypt(secret.reveal().encode("utf-8")).decode("ascii")

    def open(self, sealed: str) -> Secret:
        """Return what was sealed. Raises SealingError for a damaged text, and for another master key's."""
        try:
            return Secret(self._fernet.decrypt(sealed.encode("utf-8")).decode("utf-8"))
        except InvalidToken:
            raise SealingError("the sealed secret is damaged, or was sealed under another master key") from None


def new_master_key() -> Secret:
    """Return a fresh random master key."""
    return Secret(Fernet.generate_key().decode("ascii"))


def _fernet(key: str, position: int) -> Fernet:
    try:
        return Fernet(key.encode("utf-8"))
    except ValueError:
        raise SealingError(f"master key {position} is not 32 bytes in URL-safe base64") from None
