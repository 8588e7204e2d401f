"""What a promised analysis of Cloudinary's Analyze API is: where its source lies, its outcome, whom it is told to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.auth import api_key, cloudinary
from gateway.dialects import cloudinary_analyze as analyze
from gateway.dialects.cloudinary_analyze import Limit
from gateway.dialects.cloudinary_delivery import delivery
from gateway.errors import INVALID_ACCESS_KEY_ID, NO_SUCH_CLOUD, NO_SUCH_RESOURCE, ApiError
from gateway.journeys.cloud_delivery import asset_at
from gateway.journeys.sources import report_of, source_of
from gateway.journeys.tasks import TaskRunner, TaskWork
from gateway.journeys.vendor_allowance import DAY_S, spend
from gateway.request import ObjectRef, RequestHead, split_port
from gateway.stores.fetch_rules import parse_url

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.credentials import Credential
    from gateway.dialects.cloudinary_analyze import Source as Named
    from gateway.journeys.sources import Source
    from gateway.journeys.vendor_call import Services
    from gateway.tasks import Task
    from gateway.vendors import CloudSettings


async def located(services: Services, cloud: str, settings: CloudSettings, named: Named) -> Source:
    """Return what a request's source means: an object, or a URL.

    A URL that the cloud itself delivers under is its asset, whether fetching is permitted or not. Raises
    NO_SUCH_RESOURCE for an unknown asset.
    """
    kind, value = named
    if kind == "asset_id":
        asset = await services.ledger.asset_by_id(value)
    elif delivers(settings, value):
        path = parse_url(value).target.partition("?")[0]  # behind it the SDKs put what is for statistics alone
        asset = await asset_at(services.ledger, delivery(RequestHead("GET", path, "", "", ())))
    else:
        return source_of(value)
    if asset is None or asset.cloud != cloud:
        raise ApiError(NO_SUCH_RESOURCE, "asset", message=f"Resource not found - {value[:100]}")
    return ObjectRef(settings.bucket, asset.key)


def delivers(settings: CloudSettings, url: str) -> bool:
    """Tell whether a URL leads to the host on which the cloud delivers its own assets."""
    if not settings.delivery_host or not url.lower().startswith(("http://", "https://")):
        return False
    return parse_url(url).host == split_port(settings.delivery_host)[0].lower()


async def limits_of(services: Services, cloud: str, settings: CloudSettings, key_id: str, used: int) -> Sequence[Limit]:
    """Take `used` scores (0: only look) of a key's allowance; empty where it is unlimited. Raises ALLOWANCE_SPENT."""
    name, limit = f"{cloud}:{key_id}:scores", settings.scores_per_day  # shared with the upload API
    allowance = await spend(services.ledger, name, limit, DAY_S, services.clock(), "scores", used)
    if allowance is None:
        return ()
    return (Limit(used, allowance.remaining, allowance.limit, allowance.resets_at),)


def task_runner(latest: Callable[[], Services]) -> TaskRunner:
    """Return what works on the tasks of this gateway process, each by the settings in force when it is taken up."""
    services = latest()

    async def perform(task: Task) -> str:
        return await _perform(latest(), task)

    async def deliver(task: Task) -> bool:
        return await _deliver(latest(), task)

    return TaskRunner(
        services.tasks,
        services.settings.tasks,
        TaskWork(perform, _failed, deliver),
        services.bell,
        lambda: services.clock().timestamp(),
    )


async def _perform(services: Services, task: Task) -> str:
    """Analyse a task's source on the account of who asked for it; return the notification."""
    cloud = services.settings.clouds.get(task.cloud)
    if cloud is None:
        raise ApiError(NO_SUCH_CLOUD, task.cloud)
    credential = _credential(services, task)
    source = await located(services, task.cloud, cloud, task.source)
    report = await report_of(services, credential.identity, source, services.scorers["cloudinary"])
    limits = [*await limits_of(services, task.cloud, cloud, task.access_key_id, used=0)]
    return analyze.notification(task, analyze.analysis_data(task.source[1], report), limits)


def _failed(task: Task, error: ApiError) -> str:
    return analyze.notification(task, None, (), error)


async def _deliver(services: Services, task: Task) -> bool:
    """Bring a task's outcome to its notification URL, signed now; tell whether the receiver took it."""
    timestamp = int(services.clock().timestamp())
    cloud = services.settings.clouds.get(task.cloud)
    algorithm = cloud.signature_algorithm if cloud else "sha1"
    signature = cloudinary.sign_notification(task.outcome, timestamp, _credential(services, task).secret, algorithm)
    headers = (
        ("Content-Type", "application/json"),
        ("X-Cld-Timestamp", str(timestamp)),
        ("X-Cld-Signature", signature),
    )
    status = await services.fetcher.post(
        task.notification_url, task.outcome.encode("utf-8"), headers, trusted=task.trusted
    )
    return 200 <= status < 300


def _credential(services: Services, task: Task) -> Credential:
    """Return the key that asked for the task, which may be gone by now. Raises INVALID_ACCESS_KEY_ID."""
    credential = api_key.find(services.keys.current, task.access_key_id)
    if credential is api_key.NOBODY:
        raise ApiError(INVALID_ACCESS_KEY_ID, "the key is gone", message="The key of this task is gone.")
    return credential
