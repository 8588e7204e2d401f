"""The journey of a request to Sightengine's API: a picture by URL, or sent along, and its score."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from gateway.auth import api_key
from gateway.body.form import FormRules
from gateway.dialects import sightengine
from gateway.journeys.cloud_body import received
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
    async with received(call, call.settings.limits.max_bytes, _RULES) as got:
        identity = _identify(call, got.fields)
        other_models = call.settings.dialects.sightengine.other_models
        check = sightengine.read_fields(got.fields, has_media=got.file is not None, other_models=other_models)
        if got.file is not None:
            report, uri = await _of_file(call, identity, got.file), got.file.filename
        else:
            report, uri = await _of_url(call, identity, check.url or ""), check.url or ""
    await call.exchange.send(sightengine.render_result(report, uri, call.context))


def _identify(call: Call, fields: Mapping[str, str]) -> Identity:
    """Return who asks. Raises ApiError for a wrong key or secret, and SLOW_DOWN."""
    claim = api_key.KeyClaim(fields.get("api_user", ""), fields.get("api_secret", ""))
    identity = api_key.verify(claim, call.keyring, call.services.clock()).identity
    call.record.identity, call.record.scheme = identity.name, api_key.NAME
    call.services.quotas.admit(identity.name, monotonic())
    return identity


async def _of_file(call: Call, identity: Identity, file: File) -> QualityReport:
    call.authorise(identity, ((sightengine.ACTION, ObjectRef(sightengine.NAME, file.filename)),))
    with call.services.quotas.scoring(identity.name):
        scorer = call.services.scorers[sightengine.NAME]
        return await scorer.score(file.chunks(), declared_bytes=file.length)


async def _of_url(call: Call, identity: Identity, url: str) -> QualityReport:
    source = source_of(url)
    call.authorise(identity, rights_for(call.services, source, sightengine.ACTION, sightengine.NAME))
    return await report_of(call.services, identity, source, call.services.scorers[sightengine.NAME])
