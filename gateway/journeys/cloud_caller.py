"""Who asks Cloudinary's API: a key by its signature or in clear, or nobody, by a preset that the cloud lends to all."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from gateway.auth import api_key, cloudinary
from gateway.errors import (
    INVALID_ACCESS_KEY_ID,
    INVALID_ARGUMENT,
    NO_SUCH_CLOUD,
    SIGNATURE_DOES_NOT_MATCH,
    UNSUPPORTED_AUTHORIZATION,
    ApiError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.auth.cloudinary import Algorithm
    from gateway.credentials import Credential, Identity
    from gateway.journeys.vendor_call import Call
    from gateway.settings import BucketRoute
    from gateway.stores.upstream import StoreBucket
    from gateway.vendors import CloudSettings


@dataclass(frozen=True, slots=True)
class Cloud:
    """A cloud that is configured, and its bucket."""

    name: str
    settings: CloudSettings
    bucket: BucketRoute


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the key whose identity acts, and whose secret signs the answer. `signed` is False for a preset's.

    `in_clear`: the key came by HTTP Basic, so whoever sends the request holds its secret, and all of it is his word.
    """

    credential: Credential
    algorithm: Algorithm
    signed: bool
    in_clear: bool = False

    @property
    def identity(self) -> Identity:
        """Whose rights count."""
        return self.credential.identity


def cloud_of(call: Call, name: str) -> Cloud:
    """Return the cloud of this name. Raises NO_SUCH_CLOUD."""
    settings = call.settings.clouds.get(name)
    if settings is None:
        raise ApiError(NO_SUCH_CLOUD, f"cloud {name}", message=f"Invalid cloud_name {name[:100]}")
    bucket = call.place(settings.bucket)
    call.record.bucket = bucket.name
    return Cloud(name, settings, bucket)


def by_key(call: Call, algorithm: Algorithm = "sha1") -> Caller | None:
    """Return the caller that HTTP Basic tells; None when the request has no Authorization. Raises ApiError.

    What is signed for it is signed by `algorithm`.
    """
    claim = api_key.parse_basic(call.head)
    if claim is None and call.head.one_header("authorization"):
        raise ApiError(UNSUPPORTED_AUTHORIZATION, message="Only api_key:api_secret (HTTP Basic) is understood here.")
    if claim is None:
        return None
    try:
        with call.record.verifying():
            credential = api_key.verify(claim, call.keyring, call.services.clock())
    except ApiError as error:
        known = {INVALID_ACCESS_KEY_ID: "unknown api_key", SIGNATURE_DOES_NOT_MATCH: "api_secret mismatch"}
        raise ApiError(error.kind, error.detail, message=known.get(error.kind, error.message)) from None
    return admitted(call, Caller(credential, algorithm, signed=True, in_clear=True), api_key.NAME)


def by_signature(call: Call, fields: Mapping[str, str], cloud: Cloud) -> Caller:
    """Return the caller whose signature is among the parameters. Raises ApiError."""
    versions = cloud.settings.signature_versions
    with call.record.verifying():
        credential = cloudinary.verify(fields, call.keyring, call.services.clock(), versions)
    caller = Caller(credential, cloudinary.algorithm_of(fields["signature"]), signed=True)
    return admitted(call, caller, cloudinary.NAME)


def check_signature(call: Call, fields: Mapping[str, str], cloud: Cloud) -> None:
    """Raise ApiError unless these parameters carry a key's signature; nobody is admitted by that yet."""
    cloudinary.verify(fields, call.keyring, call.services.clock(), cloud.settings.signature_versions)


def by_preset(call: Call, fields: Mapping[str, str], cloud: Cloud) -> Caller:
    """Return the caller that an upload without a signature acts as. Raises INVALID_ARGUMENT, INVALID_ACCESS_KEY_ID."""
    name = fields.get("upload_preset", "")
    if not name:
        message = "Upload preset must be specified when using unsigned upload"
        raise ApiError(INVALID_ARGUMENT, "neither signature nor preset", message=message)
    preset = cloud.settings.presets.get(name)
    if preset is None:
        raise ApiError(INVALID_ARGUMENT, f"preset {name}", message="Upload preset not found")
    if not preset.unsigned:
        message = "Upload preset must be whitelisted for unsigned uploads"
        raise ApiError(INVALID_ARGUMENT, f"preset {name}", message=message)
    wanted, now = cloud.settings.identity, call.services.clock()
    for credential in call.keyring.values():
        if credential.identity.name == wanted and api_key.is_usable(credential, now):
            return admitted(call, Caller(credential, cloud.settings.signature_algorithm, signed=False), "preset")
    message = "The identity of unsigned uploads has no key."
    raise ApiError(INVALID_ACCESS_KEY_ID, f"clouds.{cloud.name}.identity", message=message)


def admitted(call: Call, caller: Caller, scheme: str) -> Caller:
    """Note who asks, and count a signed request on the identity's account. Raises SLOW_DOWN."""
    call.record.identity, call.record.scheme = caller.identity.name, scheme
    if caller.signed:
        call.services.quotas.admit(caller.identity.name, monotonic())
    return caller


def bucket_of(call: Call, caller: Caller, cloud: Cloud) -> StoreBucket:
    """Return the cloud's bucket at its store."""
    return call.store_for(caller.identity, cloud.bucket)
