"""The key that the gateway itself signs with towards a store: from the settings, or from the AWS provider chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from gateway.credentials import Secret
from gateway.errors import UPSTREAM_UNREACHABLE, ApiError

if TYPE_CHECKING:
    from gateway.stores.upstream_settings import UpstreamSettings


@dataclass(frozen=True, slots=True)
class UpstreamKey:
    """An access key of the store, with a token when it is a temporary one."""

    access_key_id: str
    secret: Secret
    token: Secret | None = None


class KeySource(Protocol):
    """Gives the key that is valid now."""

    async def current(self) -> UpstreamKey:
        """Return the key. Raises ApiError when there is none at the moment."""
        ...


class StaticKey:
    """The one key that the settings name."""

    def __init__(self, key: UpstreamKey) -> None:
        self._key = key

    async def current(self) -> UpstreamKey:
        """Return the key."""
        return self._key


class ProviderChain:
    """aiobotocore's chain: environment, profile, web identity, container, instance role; refreshed as it needs.

    A failed look-up is not remembered: the next request tries again.
    """

    def __init__(self) -> None:
        self._credentials: Any = None

    async def current(self) -> UpstreamKey:
        """Return the chain's key. Raises UPSTREAM_UNREACHABLE when the chain has none."""
        from aiobotocore.session import get_session  # noqa: PLC0415 # 30 MB that configured keys do not need
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 # the same

        try:
            if self._credentials is None:
                self._credentials = await get_session().get_credentials()
            if self._credentials is None:
                raise ApiError(UPSTREAM_UNREACHABLE, "the AWS provider chain has no credentials for the store")
            frozen = await self._credentials.get_frozen_credentials()
        except (BotoCoreError, ClientError, OSError) as error:
            raise ApiError(UPSTREAM_UNREACHABLE, f"the AWS provider chain failed: {type(error).__name__}") from error
        token = Secret(frozen.token) if frozen.token else None
        return UpstreamKey(frozen.access_key, Secret(frozen.secret_key), token)


def key_source(settings: UpstreamSettings) -> KeySource:
    """Choose the source that the settings ask for."""
    if settings.access_key:
        return StaticKey(UpstreamKey(settings.access_key, settings.secret))
    return ProviderChain()
