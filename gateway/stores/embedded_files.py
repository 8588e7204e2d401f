"""The embedded store's folder and its configuration as text. Knows Swift's options; must not know processes or HTTP."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ACCOUNT, USER = "gateway", "upstream"  # tempauth's form of an access key id is account:user
REGION = "us-east-1"
ACCESS_KEY_ID = f"{ACCOUNT}:{USER}"
DEVICE = "d1"
_LOG_HOOK = "gateway.stores.embedded_server.log_to_stderr"

# Metadata as large as S3 allows it (2 KB), and room for long keys and signed URLs. Swift's own limits are 256 and 8192.
_SWIFT_CONF = """\
[swift-hash]
swift_hash_path_suffix = {suffix}

[swift-constraints]
max_meta_value_length = 2048
max_header_size = 32768
max_request_line = 32768
"""

# There is one copy of everything and no replicator, updater or expirer: a node must never count as failed, and
# deletions must not be left to a daemon. Small segments are not slowed down.
_PROXY_CONF = """\
[DEFAULT]
swift_dir = conf
log_level = WARNING
log_custom_handlers = {log_hook}

[pipeline:main]
pipeline = catch_errors gatekeeper listing_formats s3api tempauth copy slo dlo versioned_writes symlink proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
conn_timeout = 10
node_timeout = 60
error_suppression_limit = 1000000

[filter:catch_errors]
use = egg:swift#catch_errors

[filter:gatekeeper]
use = egg:swift#gatekeeper

[filter:listing_formats]
use = egg:swift#listing_formats

[filter:s3api]
use = egg:swift#s3api
s3_acl = true
location = {region}
storage_domain = s3.localhost
max_upload_part_num = 10000

[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{user} = {secret} .admin

[filter:copy]
use = egg:swift#copy

[filter:slo]
use = egg:swift#slo
max_manifest_segments = 10000
rate_limit_under_size = 0
allow_async_delete = false

[filter:dlo]
use = egg:swift#dlo

[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true

[filter:symlink]
use = egg:swift#symlink
"""


def prepare(data_dir: Path) -> None:
    """Make the folder ready for a start. Raises OSError.

    The secret and the hash suffix, which decides where an object's file lies, are drawn at the first start only.
    """
    (data_dir / "srv" / DEVICE).mkdir(parents=True, exist_ok=True)
    (data_dir / "conf").mkdir(mode=0o700, exist_ok=True)
    _draw_once(data_dir / "secret")
    suffix = _draw_once(data_dir / "hash-suffix")
    _write_private(data_dir / "conf" / "swift.conf", _SWIFT_CONF.format(suffix=suffix))


def read_secret(data_dir: Path) -> str:
    """Return the secret of the store in a prepared folder. Raises OSError."""
    return (data_dir / "secret").read_text(encoding="ascii").strip()


def proxy_conf(secret: str) -> str:
    """Return the configuration of the S3 proxy; it holds the secret."""
    return _PROXY_CONF.format(log_hook=_LOG_HOOK, region=REGION, account=ACCOUNT, user=USER, secret=secret)


def backend_conf() -> dict[str, str]:
    """Return the options of the account, container and object servers; paths are relative to the data folder."""
    return {
        "devices": "srv",
        "swift_dir": "conf",
        "mount_check": "false",
        "log_level": "WARNING",
        "log_requests": "false",
        "log_custom_handlers": _LOG_HOOK,
        # No updater repairs a listing later, so the object server waits for the container server.
        "conn_timeout": "10",
        "node_timeout": "60",
        "container_update_timeout": "60",
        "fallocate_reserve": "0",
    }


def _draw_once(path: Path) -> str:
    if not path.exists():
        _write_private(path, secrets.token_hex(24))
    return path.read_text(encoding="ascii").strip()


def _write_private(path: Path, text: str) -> None:
    """Replace the file in one step, readable by its owner only: a crash leaves the old text or the new one."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
