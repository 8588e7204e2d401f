from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from gateway.commands import score_file
from gateway.commands.score_file import State, begin, style_of
from gateway.commands.score_output import Scored
from gateway.dialects.xml import write
from gateway.errors import NOT_AN_IMAGE, ApiError
from gateway.processes import StartError
from tests.commands.test_config import gateway
from tests.commands.test_score import at
from tests.commands.test_score_sources import REPORT
from tests.fake_store import FakeStore
from tests.imaging.pictures import encode, photo_like
from tests.proc import eventually
from tests.threaded_store import threaded_store

if TYPE_CHECKING:
    from gateway.dialects.xml import Node
    from tests.conftest import Demo

ROOT = Path(__file__).resolve().parent.parent.parent
BAD = ApiError(NOT_AN_IMAGE)


def results(count: int, first: int = 0) -> list[Scored]:
    return [Scored(f"{n}.jpg", BAD if n % 3 == 2 else REPORT, argument=n // 4) for n in range(first, count)]


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
def test_what_is_added_after_a_crash_continues_what_was_saved_before(tmp_path: Path, name: str) -> None:
    whole, crashed = tmp_path / "whole", tmp_path / "crashed"
    for folder in (whole, crashed):
        folder.mkdir()
    style = style_of(Path(name), "table")
    output = begin(whole / name, style, ["a"], resume=False)
    assert output is not None
    for each in results(10):
        output.add(each)
    output.finish()
    assert [file.name for file in whole.iterdir()] == [name]

    output = begin(crashed / name, style, ["a"], resume=False)
    assert output is not None
    for number, each in enumerate(results(8)):
        output.add(each)
        if number == 4:
            output.save()
    output.close()  # more has reached the file than its state knows
    with pytest.raises(StartError, match="--resume"):
        begin(crashed / name, style, ["a"], resume=False)
    output = begin(crashed / name, style, ["a"], resume=True)
    assert output is not None
    state = output.state
    assert (state.argument, state.path, state.done, state.failed) == (1, "4.jpg", 5, 1)
    for each in results(10, first=5):
        output.add(each)
    assert (output.state.done, output.state.failed) == (10, 3)
    output.finish()
    assert (crashed / name).read_bytes() == (whole / name).read_bytes()
    assert begin(crashed / name, style, ["a"], resume=True) is None, "it is complete"


def test_a_file_that_was_begun_for_something_else_is_not_gone_on_with(tmp_path: Path) -> None:
    output = begin(tmp_path / "out.jsonl", "json", ["a"], resume=True)
    assert output is not None, "nothing to resume is a start"
    output.add(results(1)[0])
    output.save()
    output.close()
    with pytest.raises(StartError, match="other paths"):
        begin(tmp_path / "out.jsonl", "json", ["a", "b"], resume=True)
    (tmp_path / "out.jsonl.state").write_text("{}")
    with pytest.raises(StartError, match="not what this program wrote"):
        begin(tmp_path / "out.jsonl", "json", ["a"], resume=True)
    with pytest.raises(StartError, match="Cannot write"):
        begin(tmp_path / "no" / "out.jsonl", "json", ["a"], resume=False)


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.parquet"])
def test_a_file_that_nothing_has_reached_yet_is_begun_anew(tmp_path: Path, name: str) -> None:
    style: score_file.FileStyle = {"out.jsonl": "json", "out.csv": "csv"}.get(name, "parquet")  # type: ignore[assignment]
    target = tmp_path / name
    target.write_text("a complete file of an earlier run")
    for resume in (False, True, True, False):
        output = begin(target, style, ["a"], resume=resume)
        assert output is not None, "it would pass for the complete file"
        assert output.state.done == 0
        output.close()  # a crash
    output = begin(target, "json", ["b"], resume=True)
    assert output is not None, "nothing is lost by it"
    output.add(results(1)[0])
    output.finish()
    if style != "parquet":
        assert len(target.read_text().splitlines()) == 1


def test_a_file_that_cannot_be_opened_leaves_no_state(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").mkdir()
    with pytest.raises(StartError, match="Cannot write"):
        begin(tmp_path / "out.jsonl", "json", ["a"], resume=False)
    assert [file.name for file in tmp_path.iterdir()] == ["out.jsonl"]


def test_the_state_is_saved_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_file, "_SAVE_EVERY_S", 0.0)
    output = begin(tmp_path / "out.jsonl", "json", ["a"], resume=False)
    assert output is not None
    for number, each in enumerate(results(3), start=1):
        output.add(each)
        state = State(**json.loads((tmp_path / "out.jsonl.state").read_text()))
        assert (state.done, state.bytes) == (number, (tmp_path / "out.jsonl").stat().st_size)
    output.close()


def test_the_form_is_told_by_the_option_or_the_suffix(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [style_of(Path(name), style) for name, style in (("x", "json"), ("x.CSV", "table"), ("x.json", "csv"))]
    assert told == ["json", "csv", "csv"]
    with pytest.raises(StartError, match="end the name in"):
        style_of(Path("x.txt"), "table")
    monkeypatch.setattr(score_file, "find_spec", lambda _: None)
    with pytest.raises(StartError, match=r"pip install 's3-score-gateway\[parquet\]'"):
        style_of(Path("x.parquet"), "table")


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    place = tmp_path / "pictures"
    place.mkdir()
    for number in range(6):
        (place / f"{number}.jpg").write_bytes(encode(photo_like(240, 200, number), "JPEG"))
    (place / "none.png").write_text("no picture")
    return place


def test_a_run_that_is_killed_goes_on_where_it_was(tmp_path: Path, pictures: Path) -> None:
    for number in range(250):
        os.link(pictures / f"{number % 6}.jpg", pictures / f"more {number:03}.jpg")
    target, state = tmp_path / "out.jsonl", tmp_path / "out.jsonl.state"
    command = [sys.executable, "-m", "gateway", "score", "--output", str(target), str(pictures)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        eventually(lambda: state.exists() and json.loads(state.read_text())["done"] > 0, 60)
        process.send_signal(signal.SIGKILL)
    before = json.loads(state.read_text())["done"]
    done = gateway("score", "--output", str(target), "--resume", str(pictures))
    assert (done.returncode, done.stdout, 0 < before < 257) == (1, "", True)
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert [Path(line["path"]).name for line in lines] == sorted(file.name for file in pictures.iterdir())
    assert [line["path"] for line in lines if "error" in line] == [str(pictures / "none.png")]
    assert not state.exists()
    again = gateway("score", "--output", str(target), "--resume", str(pictures))
    assert (again.returncode, again.stderr) == (0, f"{target} is complete.\n")


@pytest.mark.store
def test_a_prefix_is_gone_on_with_behind_the_last_key(demo: Demo, tmp_path: Path) -> None:
    target, state = tmp_path / "out.csv", tmp_path / "out.csv.state"
    environment = at(demo.endpoint)
    arguments = ("score", "--output", str(target), "s3://demo/bl", "s3://demo/s")
    assert gateway(*arguments, **environment).returncode == 0
    whole = target.read_bytes()
    asked = begin(tmp_path / "other.csv", "csv", arguments[3:], resume=False)
    assert asked is not None
    asked.close()
    for keep in (2, 3):  # the header, and one line or two
        size = len(b"".join(whole.splitlines(keepends=True)[:keep]))
        last = whole.splitlines()[keep - 1].partition(b",")[0].decode()
        document = {"asked": asked.state.asked, "argument": 0, "path": last, "bytes": size, "done": keep - 1}
        state.write_text(json.dumps(document))
        assert gateway(*arguments, "--resume", **environment).returncode == 0
        assert target.read_bytes() == whole


class BrokenListing(FakeStore):
    """Lists two keys a page; of the key that `breaks_behind` names, it never tells what comes behind."""

    breaks_behind = "p/3.jpg"

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if "list-type" not in request.query:
            return await super().handle(request)
        after = request.query.get("continuation-token") or request.query.get("start-after", "")
        if after == self.breaks_behind:
            return web.Response(status=403, body=b"<Error><Code>ExpiredToken</Code><Message>Too old.</Message></Error>")
        prefix = request.query["prefix"]
        keys = sorted(key for path in self.objects if (key := path.removeprefix("/b/")).startswith(prefix))
        told = [key for key in keys if key > after]
        nodes: list[Node] = [("IsTruncated", str(len(told) > 2).lower()), ("EncodingType", "url")]
        nodes += [("Contents", [("Key", key), ("Size", "1")]) for key in told[:2]]
        nodes += [("NextContinuationToken", told[1])] if len(told) > 2 else []
        return web.Response(body=write(("ListBucketResult", nodes)))


def test_a_listing_that_broke_off_leaves_a_file_to_be_gone_on_with(tmp_path: Path) -> None:
    photo = encode(photo_like(240, 200), "JPEG")
    keys = [*(f"p/{number}.jpg" for number in range(6)), "q/0.jpg"]
    store, target = BrokenListing(objects={f"/b/{key}": photo for key in keys}), tmp_path / "out.jsonl"
    arguments = ("score", "--output", str(target), "s3://b/p/", "s3://b/q/")

    def told() -> list[str]:
        return [json.loads(line)["path"].removeprefix("s3://b/") for line in target.read_text().splitlines()]

    with threaded_store(store) as endpoint:
        for resume in ((), ("--resume",)):
            done = gateway(*arguments, *resume, **at(endpoint))
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr == "s3://b/p/ could not be listed: ExpiredToken: Too old. Go on with --resume.\n"
            assert told() == keys[:4]
        store.breaks_behind = "nothing"
        done = gateway(*arguments, "--resume", **at(endpoint))
        assert (done.returncode, done.stderr) == (0, "")
    assert told() == keys
    assert [file.name for file in tmp_path.iterdir()] == ["out.jsonl"]


def test_parquet_holds_what_csv_holds(tmp_path: Path, pictures: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (pip install .[parquet])")
    for name in ("out.parquet", "out.csv"):
        assert gateway("score", "--output", str(tmp_path / name), str(pictures)).returncode == 1
    table = parquet.read_table(tmp_path / "out.parquet")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out.csv", "out.parquet", "pictures"]
    rows: list[dict[str, Any]] = table.to_pylist()
    with (tmp_path / "out.csv").open(newline="") as file:
        expected = list(csv.DictReader(file))
    assert set(table.column_names) == {*expected[0], "confidence"}
    for row, line in zip(rows, expected, strict=True):
        assert (row["path"], row["error_code"] or "") == (line["path"], line["error_code"])
        assert [str(row[name]) for name in ("score", "focus", "width")] == [
            line[name] or "None" for name in ("score", "focus", "width")
        ]


def test_dask_gives_the_same_lines_on_two_workers(tmp_path: Path, pictures: Path) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed (pip install .[distributed])")
    for number in range(60):
        os.link(pictures / f"{number % 6}.jpg", pictures / f"more {number:03}.jpg")
    paths = (str(pictures), str(tmp_path / "missing.jpg"))
    environment = {"GATEWAY_SERVER__SCORERS": "2"}
    dask = gateway("score", "--json", "--engine", "dask", *paths, **environment)
    assert "Traceback" not in dask.stderr, dask.stderr
    local = gateway("score", "--json", *paths, **environment)
    assert (dask.returncode, dask.stdout) == (local.returncode, local.stdout)
    assert len(dask.stdout.splitlines()) == 68


def test_what_needs_a_missing_package_or_makes_no_sense_is_told(tmp_path: Path) -> None:
    done = gateway("score", "--sheet", str(tmp_path / "s.html"), "--engine", "dask", str(tmp_path))
    assert (done.returncode, done.stdout, "--sheet" in done.stderr) == (2, "", True)
    for words, named in (
        (("--output", str(tmp_path / "out.txt")), "end the name in"),
        (("--resume",), "--output"),
        (("--scheduler", "tcp://127.0.0.1:9"), "--engine dask"),
    ):
        done = gateway("score", *words, str(tmp_path))
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert named in done.stderr
