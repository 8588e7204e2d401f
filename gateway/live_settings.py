"""Which settings can change while the gateway runs, and the ones now in force. Must not know requests or processes."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from struct import Struct
from typing import TYPE_CHECKING, Any

from gateway.settings import Settings, SettingsError, contradictions

if TYPE_CHECKING:
    from collections.abc import Callable

# What is asked for anew by each request. All else was built into sockets, processes and connections at start.
_LIVE = frozenset(
    {
        *("buckets", "clouds", "dialects", "fetch", "limits", "multipart", "quotas"),
        *("keys.max_url_life_s", "tasks.max_open", "tasks.max_open_of_key"),
        *("server.accept_encodings", "server.explain_refusals", "server.path_prefix", "server.public_hosts"),
        *("server.spool_bytes", "server.trusted_proxies"),
        *("telemetry.log_format", "telemetry.new_traces", "telemetry.sample", "telemetry.slow_s"),
        "telemetry.unready_without_store",
    }
)
_FIXED = frozenset(
    {
        "dialects.cloudinary.enabled",  # whether anybody works on tasks is decided at start
        *("dialects.cloudinary.max_unproven_bytes", "dialects.sightengine.max_unproven_bytes"),  # rooms in use
    }
)
_NUMBER = Struct("<Q")


def is_live(name: str, fixed: frozenset[str] = _FIXED) -> bool:
    """Tell whether a setting, by its dotted name, can change while the gateway runs."""
    parts = name.split(".")
    above = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
    return not above & fixed and bool(above & _LIVE)


@dataclass(frozen=True, slots=True)
class Change:
    """What new settings come to: those in force from now on, and the names of what has changed and of what cannot."""

    settings: Settings
    taken: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def change(old: Settings, new: Settings) -> Change:
    """Take from new settings what can change. Raises SettingsError when that does not fit what cannot."""
    works_on_tasks = bool(old.clouds) and old.dialects.cloudinary.enabled
    fixed = _FIXED if works_on_tasks else _FIXED | {"clouds"}
    taken: list[str] = []
    left: list[str] = []

    def merged(name: str, before: Any, after: Any) -> Any:
        if before == after:
            return before
        if is_dataclass(after) and not isinstance(after, type) and type(before) is type(after):
            names = [item.name for item in fields(after)]
            return replace(after, **{each: merged(_at(name, each), *_both(before, after, each)) for each in names})
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            rows = {each: merged(_at(name, each), before.get(each), after.get(each)) for each in {**before, **after}}
            return {each: row for each, row in rows.items() if row is not None}
        (taken if is_live(name, fixed) else left).append(name)
        return after if is_live(name, fixed) else before

    settings = merged("", old, new)
    if mistakes := list(contradictions(settings)):
        raise SettingsError(
            "\n".join(f"{each} (without what cannot change now)" if left else each for each in mistakes)
        )
    return Change(settings, tuple(taken), tuple(left))


def _at(above: str, name: str) -> str:
    return f"{above}.{name}" if above else name


def _both(before: Any, after: Any, name: str) -> tuple[Any, Any]:
    return getattr(before, name), getattr(after, name)


class LiveSettings:
    """The settings in force, in each process that has been forked from the one that made this.

    One process reads them, finds them good and announces that; the others look whether they are behind, and read too.
    """

    __slots__ = ("_announced", "_read", "_taken", "current")

    def __init__(self, settings: Settings, read: Callable[[], Settings] | None = None) -> None:
        """Hold settings; without a way to `read` them again (raises SettingsError) they stay for ever."""
        self.current = settings
        self._read = read
        self._announced = mmap.mmap(-1, _NUMBER.size)  # shared with every process that is forked from here on
        self._taken = 0

    @property
    def reloadable(self) -> bool:
        """Tell whether there is anything to read again."""
        return self._read is not None

    def reload(self) -> Change:
        """Read the settings again and take what can change. Raises SettingsError, and then all stays as it is."""
        self._taken = self._number()
        if self._read is None:
            return Change(self.current)
        found = change(self.current, self._read())
        self.current = found.settings
        return found

    def announce(self) -> None:
        """Tell the other processes that there are new settings, and that they are good."""
        self._taken = self._number() + 1
        self._announced[:] = _NUMBER.pack(self._taken)

    @property
    def is_behind(self) -> bool:
        """Tell whether there has been an announcement since this process, or what it was forked from, read them."""
        return self._number() != self._taken

    def _number(self) -> int:
        return int(_NUMBER.unpack(self._announced[:])[0])
