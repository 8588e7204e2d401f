"""What operators say about the vendors' own APIs: clouds, presets, allowances. Pure data; knows no requests."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 # get_type_hints reads the fields' types when settings are loaded
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from gateway.credentials import Secret
from gateway.stores.redis_url import redis_url_contradictions

if TYPE_CHECKING:
    from collections.abc import Container, Iterator


@dataclass(frozen=True, slots=True)
class PresetSettings:
    """Parameters of an upload that stand under a name; a signed upload's own parameters win over them."""

    unsigned: bool = False  # uploads without a signature may use it, and get nothing but what it says
    quality_analysis: bool = False  # as the parameter; so are those that follow
    detection: str = ""  # "iqa"
    folder: str = ""  # before the public id
    tags: tuple[str, ...] = ()
    use_filename: bool = False  # the public id is made of the file's name
    unique_filename: bool = True  # and of random characters behind it
    overwrite: bool = True  # never for an upload without a signature
    notification_url: str = ""  # told of results unless a request names another one

    @property
    def fields(self) -> Mapping[str, str]:
        """The preset as parameters of an upload; what it leaves open is not among them, nor is whom it tells."""
        flags = {"quality_analysis": self.quality_analysis, "use_filename": self.use_filename}
        texts = {"detection": self.detection, "folder": self.folder}
        off = {"unique_filename": not self.unique_filename, "overwrite": not self.overwrite}
        return {
            **{name: "true" for name, on in flags.items() if on},
            **{name: "false" for name, is_off in off.items() if is_off},
            **{name: text for name, text in texts.items() if text},
            **({"tags": ",".join(self.tags)} if self.tags else {}),
        }


@dataclass(frozen=True, slots=True)
class CloudSettings:
    """One Cloudinary cloud: the bucket that holds its assets, and what its API does."""

    bucket: str  # as in [buckets.NAME]; an asset's key is its public_id
    identity: str = ""  # the identity (of the key file) that uploads without a signature act as; "" refuses them
    presets: Mapping[str, PresetSettings] = field(default_factory=dict)
    notification_url: str = ""  # told of results unless a request names another one
    extended_analysis: bool = False  # quality_analysis gives all sub-scores and quality_score, not only focus
    analyse_on_update: bool = False  # each `update` analyses: the Python and Node SDKs cannot send the parameter
    delivery_host: str = ""  # host[:port] on which GET /CLOUD/image/upload/... is answered; "" is none
    signature_versions: tuple[str, ...] = ("1", "2")  # those that are accepted
    admin_calls_per_hour: int = 0  # of one key; 0: any number
    scores_per_day: int = 0  # of one key; 0: any number
    # what `file=s3://` of a signed upload may name, which no signature covers: objects of the cloud's own bucket, any
    # that the key may read, or none; a key in clear (HTTP Basic) may name any in each case
    s3_sources: Literal["own", "any", "none"] = "own"
    signature_algorithm: Literal["sha1", "sha256"] = "sha1"  # of notifications, and of replies to unsigned requests


@dataclass(frozen=True, slots=True)
class CloudinarySettings:
    """Where Cloudinary's API is answered."""

    enabled: bool = True  # false: such requests are S3's, like any other
    hosts: tuple[str, ...] = ()  # host names that alone are meant; empty: any
    max_upload_bytes: int = 100 * 1024 * 1024  # one asset, all its parts together
    # of all bodies together whose sender has not been proven yet, in each gateway process
    max_unproven_bytes: int = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SightengineSettings:
    """Where Sightengine's API is answered."""

    enabled: bool = True  # false: such requests are S3's, like any other
    hosts: tuple[str, ...] = ()  # host names that alone are meant; empty: any
    other_models: Literal["ignore", "error"] = "ignore"  # what becomes of models that are asked for beside quality
    # of all bodies together whose sender has not been proven yet, in each gateway process
    max_unproven_bytes: int = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """Where assets, tasks and counters are kept, and how promised analyses are worked on."""

    # redis://[user:secret@]host[:port][/number] (Redis, Valkey), shared by all gateways; "": files in the data folder
    url: Secret = field(default_factory=lambda: Secret(""))
    concurrent: int = 4  # tasks that one gateway process works on at a time
    max_open: int = 10_000  # tasks with something left to do; beyond that, new ones are refused
    max_open_of_key: int = 2_500  # the same of one access key, so that nobody takes all places; 0: any number
    poll_s: float = 1.0  # between two looks for work while there is none
    lease_s: float = 60.0  # after so long without a sign of life a task is somebody else's
    attempts: int = 5  # to analyse, while it fails for a reason that may pass
    deliveries: int = 12  # of a result, while its receiver does not take it
    first_wait_s: float = 1.0  # before the second try of either; doubled each time
    longest_wait_s: float = 600.0  # between two tries of either
    keep_s: float = 7 * 86_400.0  # how long a task is known after its end


def delivery_hosts(clouds: Mapping[str, CloudSettings]) -> tuple[str, ...]:
    """Return the host names on which assets are delivered, lower-case and without ports."""
    return tuple(row.delivery_host.lower().partition(":")[0] for row in clouds.values() if row.delivery_host)


def cloud_contradictions(
    clouds: Mapping[str, CloudSettings], tasks: TaskSettings, taken: Container[str]
) -> Iterator[str]:
    """Say what no configuration can mean; `taken` are host names that already mean a bucket or a dialect."""
    for name, row in clouds.items():
        if not row.bucket or "/" in name:
            yield f"clouds.{name}: a name without '/', and a bucket, are needed"
        unsigned = [preset for preset, each in row.presets.items() if each.unsigned]
        if unsigned and not row.identity:
            yield f"clouds.{name}.identity: is needed by the unsigned preset {unsigned[0]}"
        if not row.signature_versions or not {*row.signature_versions} <= {"1", "2"}:
            yield f"clouds.{name}.signature_versions: one or both of '1' and '2'"
        yield from (
            f"clouds.{name}.presets.{preset}.detection: must be 'iqa' or empty"
            for preset, each in row.presets.items()
            if each.detection not in ("", "iqa")
        )
    for host in delivery_hosts(clouds):
        if host in taken:
            yield f"clouds: the delivery host {host} already means something else"
    if not tasks.concurrent or not tasks.attempts or not tasks.deliveries or not tasks.poll_s or tasks.lease_s < 0.1:
        yield "tasks: concurrent, attempts, deliveries and poll_s must not be 0, nor lease_s less than 0.1"
    yield from redis_url_contradictions("tasks.url", tasks.url.reveal())
