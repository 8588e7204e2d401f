"""New settings without a restart: what can change does, in every process; what cannot is named; nothing half."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
from contextlib import closing
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest

from gateway.live_gateway import follow_settings
from gateway.live_settings import Change, LiveSettings, change, is_live
from gateway.settings import Settings, SettingsError, load
from gateway.supervisor import SettingsWatch
from tests.fake_store import FakeStore
from tests.harness import running_gateway
from tests.proc import eventually
from tests.served import Served, serving
from tests.threaded_store import threaded_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAIN = {"main": {"endpoint": "http://store"}}


def settings(**tables: Any) -> Settings:
    return load(None, {}, {"upstream": MAIN, **tables})


def test_what_can_change_is_taken_and_what_cannot_is_named() -> None:
    old = settings(buckets={"a": {}, "gone": {}}, server={"workers": 2})
    new = settings(
        upstream={
            "main": {"endpoint": "http://other", "secret": "s", "access_key": "k"},
            "more": {"endpoint": "http://m"},
        },
        buckets={"a": {"aliases": ["b"]}, "new": {}},
        server={"workers": 3, "public_hosts": ["x"]},
        limits={"max_pixels": 5},
        dialects={"oss": {"hosts": ["oss.x"]}, "cloudinary": {"enabled": False}},
    )
    found = change(old, new)
    assert sorted(found.taken) == [
        *("buckets.a.aliases", "buckets.gone", "buckets.new", "dialects.oss.hosts", "limits.max_pixels"),
        "server.public_hosts",
    ]
    assert sorted(found.left) == [
        *("dialects.cloudinary.enabled", "server.workers", "upstream.main.access_key", "upstream.main.endpoint"),
        *("upstream.main.secret", "upstream.more"),
    ]
    assert found.settings.upstream == old.upstream
    assert found.settings.server == replace(old.server, public_hosts=("x",))
    assert found.settings.buckets == new.buckets
    assert (found.settings.limits, found.settings.dialects.cloudinary.enabled) == (new.limits, True)


def test_the_same_settings_change_nothing() -> None:
    old = settings(buckets={"a": {"styles": {"x": "image/score"}}})
    assert change(old, settings(buckets={"a": {"styles": {"x": "image/score"}}})) == Change(old)


def test_what_would_need_something_that_cannot_change_is_a_mistake() -> None:
    new = settings(upstream={**MAIN, "more": {"endpoint": "http://m"}}, buckets={"b": {"upstream": "more"}})
    with pytest.raises(SettingsError, match=r"buckets\.b\.upstream: there is no \[upstream\.more\]"):
        change(settings(), new)


def test_the_first_cloud_needs_somebody_who_works_on_its_tasks() -> None:
    cloud = {"bucket": "a"}
    assert change(settings(), settings(clouds={"c": cloud})).left == ("clouds.c",)
    found = change(settings(clouds={"c": cloud}), settings(clouds={"c": {"bucket": "b"}, "d": cloud}))
    assert (found.taken, found.left) == (("clouds.c.bucket", "clouds.d"), ())


@pytest.mark.parametrize("table", [item.name for item in fields(Settings)])
def test_every_table_is_live_or_not_or_has_both(table: str) -> None:
    assert not is_live("")
    whole = is_live(table)
    assert whole == (table in ("buckets", "clouds", "dialects", "fetch", "limits", "multipart", "quotas"))


def test_broken_settings_leave_the_old_ones_and_others_hear_nothing() -> None:
    def broken() -> Settings:
        raise SettingsError("one\ntwo")

    live = LiveSettings(old := settings(), broken)
    with pytest.raises(SettingsError):
        live.reload()
    assert (live.current, live.is_behind) == (old, False)


def test_an_error_that_nobody_foresaw_is_logged_with_its_trace_and_the_old_settings_stay(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> Settings:
        raise ZeroDivisionError

    watch = SettingsWatch(LiveSettings(old := settings(), broken))
    watch.reload()
    (record,) = caplog.records
    assert record.getMessage().startswith("the old settings stay in force")
    assert record.exc_info is not None
    assert (watch.settings.current, watch.settings.is_behind, watch.reloads) == (old, False, {"failed": 1})


def test_a_process_that_was_forked_before_an_announcement_is_behind_and_one_forked_later_is_not() -> None:
    new = settings(limits={"max_pixels": 7})
    live = LiveSettings(settings(), lambda: new)

    def forked() -> int:
        """Tell in a child whether it is behind, before and after it has read."""
        child = os.fork()
        if not child:
            os.read(reader, 1)
            before = live.is_behind
            live.reload()
            os._exit(10 * before + live.is_behind + 100 * (live.current == new))
        return child

    reader, writer = os.pipe()
    early = forked()
    live.reload()
    live.announce()
    late = forked()
    os.write(writer, b"..")
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in (early, late)] == [110, 100]
    assert not live.is_behind


async def test_a_request_goes_its_whole_way_by_the_settings_it_began_with(store: FakeStore) -> None:
    store.objects["/demo/a"] = bytes(300_000)
    async with running_gateway(store.endpoint, buckets={"demo": {"aliases": ["old"]}}) as gateway:
        store.open_gate.clear()
        store.entered.clear()
        running = asyncio.create_task(gateway.get(gateway.s3_url("/old/a")))
        await store.entered.wait()
        now = gateway.live.current.services.settings
        (row,) = now.buckets.values()
        gateway.live.take(replace(now, buckets={"demo": replace(row, aliases=("new",))}))
        store.open_gate.set()
        status, _, body = await running
        assert (status, len(body)) == (200, 300_000)
        assert (await gateway.get(gateway.s3_url("/new/a")))[0] == 200
        assert (await gateway.get(gateway.s3_url("/old/a")))[0] == 404


async def test_what_an_identity_has_used_stays_used(store: FakeStore) -> None:
    store.objects["/demo/a"] = b"hello"
    async with running_gateway(store.endpoint, quotas={"requests_per_second": 0.001, "burst": 3}) as gateway:
        assert [(await gateway.get(gateway.s3_url("/demo/a")))[0] for _ in range(3)] == [200] * 3
        now = gateway.live.current.services.settings
        gateway.live.take(replace(now, quotas=replace(now.quotas, burst=2.0)))
        assert (await gateway.get(gateway.s3_url("/demo/a")))[0] == 503
        gateway.live.take(replace(now, quotas=replace(now.quotas, requests_per_second=0.0)))
        assert (await gateway.get(gateway.s3_url("/demo/a")))[0] == 200


async def test_new_limits_hold_for_the_next_picture(store: FakeStore, scorer_address: str) -> None:
    from tests.journeys.test_analyse import photo  # noqa: PLC0415 # it draws

    store.objects["/demo/a.jpg"] = photo()
    async with running_gateway(store.endpoint, scorer_address) as gateway:

        async def score() -> int:
            return (await gateway.get(gateway.s3_url("/demo/a.jpg", "x-oss-process=image/score")))[0]

        assert await score() == 200
        now = gateway.live.current.services.settings
        gateway.live.take(replace(now, limits=replace(now.limits, max_pixels=1000)))
        assert await score() == 400
        gateway.live.take(now)
        assert await score() == 200
        assert gateway.telemetry.scorer_jobs() == (0, 0)


@pytest.mark.parametrize(
    ("error", "told"),
    [(SettingsError("one\ntwo"), "keeps its old settings: one; two"), (ZeroDivisionError(), "ZeroDivisionError")],
)
async def test_a_process_that_cannot_read_what_was_announced_keeps_what_it_has_and_says_so(
    store: FakeStore, caplog: pytest.LogCaptureFixture, error: Exception, told: str
) -> None:
    def broken() -> Settings:
        raise error

    async with running_gateway(store.endpoint) as gateway:
        before = gateway.live.current
        live = LiveSettings(before.services.settings, broken)
        live.announce()
        live._taken = 0  # as in a process that was forked before
        following = asyncio.create_task(follow_settings(live, gateway.live))
        async with asyncio.timeout(5):
            while told not in caplog.text:  # noqa: ASYNC110 # a log tells nobody
                await asyncio.sleep(0.01)
        assert not live.is_behind, "it is not tried again and again"
        following.cancel()
        assert gateway.live.current is before


# --- the whole thing --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with threaded_store(FakeStore(objects={"/demo/a": b"hello"})) as running:
        yield running


def statuses(gateway: Served, path: str) -> set[int]:
    """Ask over a dozen connections, which the kernel spreads over the processes."""
    return {gateway.place.request("GET", path)[0] for _ in range(12)}


def admin(gateway: Served, path: str) -> str:
    with closing(http.client.HTTPConnection(gateway.admin, timeout=10)) as connection:
        connection.request("GET", path)
        return connection.getresponse().read().decode()


def test_every_process_takes_new_settings_and_keeps_old_ones_when_they_are_broken(
    endpoint: str, tmp_path: Path
) -> None:
    log, file = tmp_path / "serve.log", tmp_path / "gateway.toml"
    with serving(tmp_path, endpoint, server="workers = 2") as gateway:
        first, pids = file.read_text(), gateway.gateway_pids()
        assert (len(pids), statuses(gateway, "/photos/a")) == (2, {404})

        def hang_up(text: str, words: str) -> None:
            before = log.read_text().count(words)
            file.write_text(text)
            os.kill(gateway.pid, signal.SIGHUP)
            eventually(lambda: log.read_text().count(words) > before)

        more = first.replace("workers = 2", "workers = 3") + '[buckets.demo]\naliases = ["photos"]\n'
        hang_up(more, "read the settings again, changed: buckets.demo\n")
        eventually(lambda: statuses(gateway, "/photos/a") == {200})
        assert "not changed, only a restart can: server.workers\n" in log.read_text()
        shown = json.loads(admin(gateway, "/debug/config"))
        assert (shown["buckets"]["demo"]["aliases"], shown["server"]["workers"]) == (["photos"], 2)

        hang_up(more + "[limits]\nmax_pixels = -1\nnonsense = 2\n", "the old settings stay in force")
        assert "limits.nonsense: unknown setting; limits.max_pixels: must be" in log.read_text()
        assert statuses(gateway, "/photos/a") == {200}

        os.kill(min(pids), signal.SIGKILL)  # while the file is broken: the next one inherits what is in force
        eventually(lambda: len(gateway.gateway_pids() - {min(pids)}) == 2 and statuses(gateway, "/photos/a") == {200})

        hang_up(first + '[telemetry]\nlog_format = "json"\n', "changed: buckets.demo, telemetry.log_format")
        eventually(lambda: statuses(gateway, "/photos/a") == {404})
        assert '"level": "info", "logger": "gateway.access"' in log.read_text()
        figures = admin(gateway, "/metrics")
    assert 'gateway_settings_reloads_total{result="failed"} 1' in figures
    assert 'gateway_settings_reloads_total{result="ok"} 2' in figures
    assert "Traceback" not in log.read_text()
