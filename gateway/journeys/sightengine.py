"""The journey of a request to Sightengine's API: a picture by URL, or sent along, and its score."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from gateway.auth import api_key
from gateway.body.form import FormRules
from gateway.dialects import sightengine
from gateway.journeys.cloud_body import Doorkeeper, received
from gateway.journeys.sources import report_of, rights_for, source_of
from gateway.request import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.credentials import Identity
    from gateway.journeys.cloud_body import File
    from gateway.journeys.vendor_call import Call
    from gateway.report import QualityReport

_RULES = FormRules(anywhere=True, file_field=sightengine.MEDIA)


async def answer(call: Call) -> None:
    """Answer one request."""
    sightengine.check_path(call.head)
    call.services.quotas.admit(call.head.peer, monotonic())  # a body is read on its account before anybody is known
    doorkeeper = Doorkeeper(call.services.rooms[sightengine.NAME], partial(_known, call))
    async with received(call, call.settings.limits.max_bytes, doorkeeper, _RULES) as got:
        identity = _identify(call, got.fields)
        got.shelf.proven()
        other_models = call.settings.dialects.sightengine.other_models
        check = sightengine.read_fields(got.fields, has_media=got.file is not None, other_models=other_models)
        if got.file is not None:
            report, uri = await _of_file(call, identity, got.file), got.file.filename
        else:
            report, uri = await _of_url(call, identity, check.url or ""), check.url or ""
    with call.services.scorers[sightengine.NAME].stage("render"):
        rendered = sightengine.render_result(report, uri, call.context)
    await call.exchange.send(rendered)


def _identify(call: Call, fields: Mapping[str, str]) -> Identity:
    """Return who asks. Raises ApiError for a wrong key or secret, and SLOW_DOWN."""
    claim = api_key.KeyClaim(fields.get("api_user", ""), fields.get("api_secret", ""))
    with call.record.verifying():
        identity = api_key.verify(claim, call.keyring, call.services.clock()).identity
    call.record.identity, call.record.scheme = identity.name, api_key.NAME
    call.services.quotas.admit(identity.name, monotonic())
    return identity


def _known(call: Call, fields: Mapping[str, str]) -> bool:
    """Tell whether key and secret stand before the file, as the SDKs send them. Raises ApiError for wrong ones."""
    claim = api_key.KeyClaim(fields.get("api_user", ""), fields.get("api_secret", ""))
    if not claim.access_key_id or not claim.secret:
        return False
    api_key.verify(claim, call.keyring, call.services.clock())
    return True


async def _of_file(call: Call, identity: Identity, file: File) -> QualityReport:
    call.authorise(identity, ((sightengine.ACTION, ObjectRef(sightengine.NAME, file.filename)),))
    with call.services.quotas.scoring(identity.name):
        scorer = call.services.scorers[sightengine.NAME]
        return await scorer.score(file.chunks(), declared_bytes=file.length)


async def _of_url(call: Call, identity: Identity, url: str) -> QualityReport:
    source = source_of(url)
    call.authorise(identity, rights_for(call.services, source, sightengine.ACTION, sightengine.NAME))
    return await report_of(call.services, identity, source, call.services.scorers[sightengine.NAME])
