"""The journey of a request to Cloudinary's Analyze API: answered at once, or promised as a task; and how far it is."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from gateway.dialects import cloudinary_analyze as analyze
from gateway.errors import ENTITY_TOO_LARGE, INVALID_ACCESS_KEY_ID, SLOW_DOWN, ApiError
from gateway.journeys.cloud_caller import by_key, cloud_of
from gateway.journeys.cloud_tasks import limits_of, located
from gateway.journeys.sources import report_of, rights_for
from gateway.stores.spool import in_time
from gateway.tasks import Task

if TYPE_CHECKING:
    from gateway.dialects.base import Rendered
    from gateway.dialects.cloudinary_analyze import AnalyzeRequest
    from gateway.journeys.cloud_caller import Caller, Cloud
    from gateway.journeys.vendor_call import Call

_MAX_BODY_BYTES = 64 * 1024
_IDLE_S = 30.0


async def answer(call: Call) -> None:
    """Answer one request."""
    await call.exchange.send(await _answer(call))


async def _answer(call: Call) -> Rendered:
    asked = analyze.route(call.head)
    cloud = cloud_of(call, asked.cloud)
    caller = by_key(call)
    if caller is None:
        raise ApiError(INVALID_ACCESS_KEY_ID, "no key", message="api_key and api_secret are needed (HTTP Basic).")
    if asked.task_id is not None:
        return await _status(call, cloud, caller, asked.task_id)
    request = analyze.read_request(asked, await _body(call))
    services = call.services
    source = await located(services, cloud.name, cloud.settings, request.source)
    call.authorise(caller.identity, rights_for(services, source, analyze.ACTION, cloud.bucket.name))
    if isinstance(source, str):
        services.fetcher.check(source)
    if request.is_async:
        return await _promise(call, cloud, caller, request)
    limits = await limits_of(services, cloud.name, cloud.settings, caller.credential.access_key_id, used=1)
    scorer = services.scorers["cloudinary"]
    report = await report_of(services, caller.identity, source, scorer)
    with scorer.stage("render"):
        return analyze.render_result(analyze.analysis_data(request.source[1], report), limits, call.context)


async def _promise(call: Call, cloud: Cloud, caller: Caller, request: AnalyzeRequest) -> Rendered:
    """Keep a task for whoever is free. Raises SLOW_DOWN when too many are open."""
    services = call.services
    if request.notification_url:
        services.fetcher.check(request.notification_url)
    key_id = caller.credential.access_key_id
    await limits_of(services, cloud.name, cloud.settings, key_id, used=1)
    task = Task(
        task_id=secrets.token_hex(32),
        cloud=cloud.name,
        access_key_id=key_id,
        request_id=call.context.request_id.lower(),
        source=request.source,
        notification_url=request.notification_url or cloud.settings.notification_url,
        trusted=not request.notification_url,
        created_at=services.clock().timestamp(),
    )
    if not await services.tasks.add(task, task.created_at, services.settings.tasks):
        raise ApiError(SLOW_DOWN, "too many open tasks", message="Too many tasks are open. Please try again later.")
    services.bell.set()
    return analyze.render_accepted(task.task_id, call.context)


async def _status(call: Call, cloud: Cloud, caller: Caller, task_id: str) -> Rendered:
    """Tell how far a task is, to keys of the identity that asked for it."""
    task = await call.services.tasks.task(task_id)
    owner = call.keyring.get(task.access_key_id) if task and task.cloud == cloud.name else None
    if task is None or owner is None or owner.identity.name != caller.identity.name:
        raise analyze.no_such_task()
    return analyze.render_task(task_id, task.status, call.context)


async def _body(call: Call) -> bytes:
    body = bytearray()
    if call.exchange.has_body:
        async for chunk in in_time(call.exchange.body(), _IDLE_S):
            body += chunk
            if len(body) > _MAX_BODY_BYTES:
                raise ApiError(ENTITY_TOO_LARGE, message=f"The body is larger than {_MAX_BODY_BYTES} bytes.")
    return bytes(body)
