"""All settings: defaults, then the TOML file, then the environment; every mistake at once. Opens no sockets."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping  # noqa: TC003 # get_type_hints reads the fields' types when settings are loaded
from dataclasses import dataclass, field, fields, is_dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gateway.auth.candidates import PublicFace
from gateway.credentials import Secret
from gateway.dialects.hidden import MultipartSettings
from gateway.errors import NO_SUCH_BUCKET, ApiError
from gateway.imaging.limits import Limits
from gateway.imaging.vendor_limits import impossible
from gateway.quotas import QuotaSettings
from gateway.request import HostMap
from gateway.stores.cache_settings import CacheSettings, cache_contradictions
from gateway.stores.fetch_rules import FetchSettings, unreadable
from gateway.stores.upstream_settings import UpstreamSettings, upstream_contradictions
from gateway.tables import convert
from gateway.telemetry_settings import TelemetrySettings, telemetry_contradictions
from gateway.tls import TlsSettings, tls_contradictions
from gateway.vendors import (
    CloudinarySettings,
    CloudSettings,
    SightengineSettings,
    TaskSettings,
    cloud_contradictions,
    delivery_hosts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.proxies import Network


class SettingsError(ValueError):
    """The settings are not usable; one line for each mistake."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where the gateway listens, and how many processes it is."""

    listen: str = "127.0.0.1:9000"  # the public port, for clients
    admin_listen: str = "127.0.0.1:9001"  # /livez, /readyz, /metrics; for operators alone
    data_dir: str = "data"  # what the gateway itself keeps (assets, tasks); made when it is first needed
    public_hosts: tuple[str, ...] = ()  # host[:port]s that clients sign for and a proxy replaces
    path_prefix: str = ""  # what a proxy takes off the path that clients sign, e.g. "/s3"
    accept_encodings: tuple[str, ...] = ()  # values that clients sign and a CDN rewrites, e.g. "identity", "gzip"
    trusted_proxies: tuple[str, ...] = ()  # networks whose X-Forwarded-For, -Host and -Proto are believed
    workers: int = 1  # gateway processes
    scorers: int = 0  # scorer processes; 0 = one a core
    heavy_scorers: int = 0  # how many of them also take large pictures that must be held whole; 0 = one in four
    scorer_queue: int = 32  # pictures that may wait for a scorer, all gateway processes together
    scorer_max_jobs: int = 1000  # a scorer is replaced after so many pictures
    explain_refusals: bool = False  # a 403 for a wrong signature says how it was read and what would have matched
    spool_bytes: int = 67_108_864  # of a body without a Content-Length, kept aside; more goes to the store in parts
    silence_s: float = 90.0  # a connection on which no request gets anywhere for so long is closed; at least 0.1
    drain_pause_s: float = 0.0  # after SIGTERM: /readyz says no for so long before the port closes
    drain_s: float = 20.0  # how long running requests may go on after SIGTERM


@dataclass(frozen=True, slots=True)
class Keys:
    """Where the clients' keys are, and what opens their secrets."""

    max_url_life_s: float = 0.0  # a signed URL that is valid for longer is refused; 0: as long as its scheme allows
    file: str = ""  # relative to the settings file that names it
    master_key: Secret = field(default_factory=lambda: Secret(""))  # opens sealed secrets; several: the newest first


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """What one bucket is called at the store, under which names clients know it, and what they may do unsigned."""

    upstream: str = ""  # empty: the only upstream there is
    store_name: str = ""  # empty: the same name
    aliases: tuple[str, ...] = ()  # further names, for example COS's with the AppId
    hosts: tuple[str, ...] = ()  # host names that mean this bucket and no other (CNAME)
    anonymous: Literal["deny", "configured", "store"] = "deny"  # "store": sent on unsigned, the store decides
    anonymous_prefixes: tuple[str, ...] = ()  # with "configured": readable by everybody; "" is the whole bucket
    scoring: bool = True  # and the other processors
    styles: Mapping[str, str] = field(default_factory=dict)  # x-oss-process=style/NAME stands for this process


@dataclass(frozen=True, slots=True)
class DialectSettings:
    """Under which host suffixes a dialect is spoken."""

    hosts: tuple[str, ...] = ()  # "oss.example.com" means BUCKET.oss.example.com, too
    default_for_anonymous: bool = False  # requests that show no other sign are answered in this dialect
    unsigned_process: Literal["accept", "refuse"] = "accept"  # COS only: ADR 5
    strict_limits: bool = False  # pictures that the vendor's own service would refuse are refused here too


@dataclass(frozen=True, slots=True)
class Dialects:
    """One table a dialect."""

    s3: DialectSettings = DialectSettings()
    oss: DialectSettings = DialectSettings()
    cos: DialectSettings = DialectSettings()
    cloudinary: CloudinarySettings = field(default_factory=CloudinarySettings)
    sightengine: SightengineSettings = field(default_factory=SightengineSettings)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything an operator can say."""

    upstream: Mapping[str, UpstreamSettings]
    server: Server = Server()
    keys: Keys = Keys()
    buckets: Mapping[str, BucketSettings] = field(default_factory=dict)
    dialects: Dialects = Dialects()
    limits: Limits = field(default_factory=Limits)
    quotas: QuotaSettings = field(default_factory=QuotaSettings)
    multipart: MultipartSettings = field(default_factory=MultipartSettings)
    tls: TlsSettings = field(default_factory=TlsSettings)
    clouds: Mapping[str, CloudSettings] = field(default_factory=dict)
    tasks: TaskSettings = field(default_factory=TaskSettings)
    fetch: FetchSettings = field(default_factory=FetchSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)


@dataclass(frozen=True, slots=True)
class BucketRoute:
    """What a client's bucket name means: the configured name, the store's name, and where the store is."""

    name: str
    store_name: str
    upstream: str
    settings: BucketSettings = BucketSettings()

    def open_to_everybody(self, key: str) -> bool:
        """Tell whether anonymous clients may read the object."""
        configured = self.settings.anonymous == "configured"
        return configured and bool(key) and key.startswith(self.settings.anonymous_prefixes)


def route(settings: Settings, bucket: str) -> BucketRoute:
    """Resolve a bucket name or alias; a bucket that is not configured is itself, at the default upstream.

    Raises NO_SUCH_BUCKET for the store's own name of a bucket that clients know by another one: its rules would not
    be found under that name.
    """
    default = default_upstream(settings)
    for name, row in settings.buckets.items():
        if bucket == name or bucket in row.aliases:
            return BucketRoute(name, row.store_name or name, row.upstream or default, row)
    for row in settings.buckets.values():
        if bucket and row.store_name == bucket and (row.upstream or default) == default:
            raise ApiError(NO_SUCH_BUCKET, "a store's own name of a configured bucket")
    return BucketRoute(bucket, bucket, default)


def default_upstream(settings: Settings) -> str:
    """Return the name of the upstream for buckets that name none: `default`, else the first."""
    return "default" if "default" in settings.upstream else next(iter(settings.upstream))


def host_map(settings: Settings) -> HostMap:
    """Collect the host suffixes (longest first) and the hosts bound to one bucket."""
    suffixes = [
        (host.lower(), name) for name in ("s3", "oss", "cos") for host in getattr(settings.dialects, name).hosts
    ]
    suffixes.sort(key=lambda row: -len(row[0]))
    return HostMap(
        tuple(suffixes), {host.lower(): name for name, row in settings.buckets.items() for host in row.hosts}
    )


def reserved_hosts(settings: Settings) -> Mapping[str, tuple[str, ...]]:
    """Return, for each vendor's own API that is answered, the host names that alone are meant (none: any)."""
    apis = {name: getattr(settings.dialects, name) for name in ("cloudinary", "sightengine")}
    rules = {name: tuple(host.lower() for host in row.hosts) for name, row in apis.items() if row.enabled}
    if "cloudinary" not in rules:
        return rules
    delivering = delivery_hosts(settings.clouds)
    analysing = {"cloudinary-analyze": rules["cloudinary"]}
    return {**rules, **analysing, **({"cloudinary-delivery": delivering} if delivering else {})}


def public_face(settings: Settings) -> PublicFace:
    """Collect how clients see the gateway from beyond its proxies."""
    server = settings.server
    return PublicFace(server.public_hosts, server.path_prefix.rstrip("/"), server.accept_encodings)


def trusted_networks(settings: Settings) -> tuple[Network, ...]:
    """Return the networks of trusted proxies. Raises ValueError for text that is none."""
    return tuple(ip_network(text) for text in settings.server.trusted_proxies)


def has_strict_limits(settings: Settings, dialect: str) -> bool:
    """Tell whether a dialect refuses what its vendor would refuse; those that state no limits of their own do not."""
    row = getattr(settings.dialects, dialect)
    return isinstance(row, DialectSettings) and row.strict_limits


def default_dialect(settings: Settings) -> str:
    """Return the dialect for requests that show no other sign of one."""
    names = ("s3", "oss", "cos")
    return next((name for name in names if getattr(settings.dialects, name).default_for_anonymous), "s3")


# --- reading ---------------------------------------------------------------------------------------------------

_MAX_PUBLIC_HOSTS = 8
_MAX_ENCODINGS = 4
_MIN_SILENCE_S = 0.1  # each connection is looked at twice in that time
_MAX_QUEUE = 65_535  # the kernel lets none be longer
_PORT = re.compile("[0-9]{1,5}")
_STYLE_NAME = re.compile("[A-Za-z0-9_.-]{1,63}")
_SHORT = {
    "GATEWAY_LISTEN": ("server", "listen"),
    "GATEWAY_ADMIN_LISTEN": ("server", "admin_listen"),
    "GATEWAY_DATA_DIR": ("server", "data_dir"),
    "GATEWAY_WORKERS": ("server", "workers"),
    "GATEWAY_SCORERS": ("server", "scorers"),
}
# Read by the command line, not by the settings.
_NOT_SETTINGS = frozenset({"GATEWAY_CONFIG", "GATEWAY_SECRET"})


def load(path: Path | None, environ: Mapping[str, str], base: dict[str, Any] | None = None) -> Settings:
    """Read the settings from a TOML file (or from `base`, a table like it) and the environment on top of it.

    Raises SettingsError with all mistakes.
    """
    mistakes: list[str] = []
    table = _read_file(path, mistakes) if path else base or {}
    for place, value in _from_environment(environ, mistakes):
        _put(table, place, value)
    return _finish(table, mistakes)


def _finish(table: dict[str, Any], mistakes: list[str]) -> Settings:
    if not table.get("upstream"):
        mistakes.append("no store: [upstream.NAME] with an endpoint is needed (GATEWAY_UPSTREAM__NAME__ENDPOINT)")
    settings = convert(Settings, {"upstream": {}, **table}, "", mistakes)
    if not mistakes:
        mistakes.extend(contradictions(settings))
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return settings  # type: ignore[no-any-return] # convert builds what its first argument names


def _read_file(path: Path, mistakes: list[str]) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text())
    except OSError as error:
        mistakes.append(f"cannot read {path}: {error.strerror}")
    except (ValueError, RecursionError) as error:  # bad bytes, too many digits, too many brackets
        mistakes.append(f"{path} is not valid TOML: {error}")
    else:
        _anchor_files(table, path.parent)
        return table
    return {}


def _anchor_files(table: dict[str, Any], folder: Path) -> None:
    """Let relative names of files start where the settings file is, wherever the gateway is started."""
    stores = table.get("upstream")
    rows = [(row, "ca") for row in stores.values()] if isinstance(stores, dict) else []
    rows += [(table.get("tls"), name) for name in ("certificate", "key", "client_ca")]
    for row, name in [*rows, (table.get("keys"), "file")]:
        if isinstance(row, dict) and isinstance(row.get(name), str) and row[name]:
            row[name] = str(folder / row[name])


def _from_environment(environ: Mapping[str, str], mistakes: list[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    for variable in sorted(environ):
        if not variable.startswith("GATEWAY_") or variable in _NOT_SETTINGS:
            continue
        place = _SHORT.get(variable) or tuple(variable.removeprefix("GATEWAY_").lower().split("__"))
        if len(place) == 1:
            mistakes.append(f"{variable}: no such setting (GATEWAY_SECTION__FIELD is the form)")
        elif place[-1].endswith("_file") and place[0] in ("upstream", "keys", "tasks", "cache", "telemetry"):
            yield (*place[:-1], place[-1].removesuffix("_file")), _secret_file(variable, environ[variable], mistakes)
        else:
            yield place, environ[variable]


def _secret_file(variable: str, path: str, mistakes: list[str]) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except OSError as error:
        mistakes.append(f"{variable}: cannot read {path}: {error.strerror}")
    except UnicodeDecodeError:
        mistakes.append(f"{variable}: {path} is not UTF-8 text")
    return ""


def _put(table: dict[str, Any], place: tuple[str, ...], value: str) -> None:
    """Put a value where it belongs; what stands in the way of a table gives way to it."""
    for name in place[:-1]:
        if not isinstance(table.get(name), dict):
            table[name] = {}
        table = table[name]
    table[place[-1]] = value


def contradictions(settings: Settings) -> Iterator[str]:
    """Yield what no gateway can do, with the settings' names."""
    yield from upstream_contradictions(settings.upstream)
    yield from tls_contradictions(settings.tls, settings.upstream)
    yield from _bucket_contradictions(settings)
    for where in ("listen", "admin_listen"):
        if not split_listen(getattr(settings.server, where)):
            yield f"server.{where}: must be HOST:PORT"
    if len(settings.server.public_hosts) > _MAX_PUBLIC_HOSTS or len(settings.server.accept_encodings) > _MAX_ENCODINGS:
        yield "server.public_hosts, accept_encodings: at most 8 and 4, since each may cost a verification"
    if settings.server.path_prefix and not settings.server.path_prefix.startswith("/"):
        yield "server.path_prefix: must start with /"
    try:
        trusted_networks(settings)
    except ValueError as error:
        yield f"server.trusted_proxies: {error}"
    yield from unreadable(settings.fetch)
    narrowed = [item.name for item in fields(Dialects) if has_strict_limits(settings, item.name)]
    yield from impossible(settings.limits, narrowed)
    hosts = host_map(settings)
    yield from cloud_contradictions(
        settings.clouds, settings.tasks, {*hosts.bound, *(row[0] for row in hosts.suffixes)}
    )
    yield from cache_contradictions(settings.cache)
    yield from telemetry_contradictions(settings.telemetry)
    if settings.server.workers < 1:
        yield "server.workers: must be at least 1"
    if settings.server.silence_s < _MIN_SILENCE_S:
        yield f"server.silence_s: must be at least {_MIN_SILENCE_S}"
    if settings.server.scorer_queue > _MAX_QUEUE:
        yield f"server.scorer_queue: must not be more than {_MAX_QUEUE}"


def _bucket_contradictions(settings: Settings) -> Iterator[str]:
    names: dict[str, str] = {}
    at_store: dict[tuple[str, str], str] = {}
    for bucket, row in settings.buckets.items():
        place = (row.upstream or default_upstream(settings), row.store_name or bucket)
        if place in at_store:
            yield f"buckets.{bucket}: is the same bucket of the store as buckets.{at_store[place]}"
        at_store[place] = bucket
        if row.upstream and row.upstream not in settings.upstream:
            yield f"buckets.{bucket}.upstream: there is no [upstream.{row.upstream}]"
        if row.anonymous == "configured" and not row.anonymous_prefixes:
            yield f'buckets.{bucket}.anonymous_prefixes: is needed with anonymous = "configured"'
        yield from _style_contradictions(bucket, row.styles)
        for alias in (bucket, *row.aliases, *(f"host {host.lower()}" for host in row.hosts)):
            if alias in names:
                yield f"buckets.{bucket}: {alias} already belongs to bucket {names[alias]}"
            names[alias] = bucket


def _style_contradictions(bucket: str, styles: Mapping[str, str]) -> Iterator[str]:
    for name, process in styles.items():
        if not _STYLE_NAME.fullmatch(name):
            yield f"buckets.{bucket}.styles: {name!r} must be 1 to 63 letters, digits, '_', '-' and '.'"
        if process.startswith("style/"):
            yield f"buckets.{bucket}.styles.{name}: a style cannot stand for another style"


def split_listen(text: str) -> tuple[str, int] | None:
    """Split `HOST:PORT` (or `[v6]:PORT`); None when it is not that."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not _PORT.fullmatch(port) or int(port) > 65_535:
        return None
    return host.strip("[]"), int(port)


def masked(value: Any) -> Any:
    """Return the settings as plain tables for showing, secrets hidden."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: masked(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, dict):
        return {name: masked(row) for name, row in value.items()}
    if isinstance(value, Secret):
        return "***" if value.reveal() else ""
    return list(value) if isinstance(value, tuple) else value
