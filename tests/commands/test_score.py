from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway.imaging.registry import MODEL_VERSION
from tests.commands.test_config import gateway
from tests.harness import KEY_ID, SECRET
from tests.imaging.pictures import encode, photo_like

if TYPE_CHECKING:
    from tests.conftest import Demo

ROOT = Path(__file__).resolve().parent.parent.parent
KEYS = (
    *("path", "score", "model_version", "width", "height", "format", "sub_scores", "flags"),
    *("clarity", "aesthetic", "content", "confidence", "reasons"),
)
FLAGS = ("long_image", "black_and_white", "small_image", "big_image", "pure_image")
SUB_SCORES = {
    *("jpeg_quality", "jpeg_chroma", "focus", "noise", "contrast", "exposure", "saturation", "lighting"),
    *("pixel_score", "color_score", "dct", "blockiness", "chroma_subsampling", "resolution"),
}


@pytest.fixture(scope="module")
def photo() -> bytes:
    return encode(photo_like(320, 240), "JPEG", quality=90)


@pytest.fixture
def folder(tmp_path: Path, photo: bytes) -> Path:
    """Pictures at two depths, and what is none."""
    place = tmp_path / "pictures"
    (place / "a" / "deep").mkdir(parents=True)
    (place / "b.jpg").write_bytes(photo)
    (place / "a" / "deep" / "grüße 1.PNG").write_bytes(encode(photo_like(200, 190, 2), "PNG"))
    (place / "a" / "z.webp").write_bytes(encode(photo_like(200, 190, 3), "WEBP"))
    (place / "notes.txt").write_text("no picture")
    (place / "c.jpg").mkdir()
    return place


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_pictures_are_scored_where_standard_streams_are_closed(folder: Path, closed: str) -> None:
    command = ["sh", "-c", f'exec "$0" -m gateway score --json "$1" {closed}', sys.executable, str(folder / "b.jpg")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert ">&-" in closed.split() or json.loads(done.stdout)["score"] > 0


def test_a_temporary_folder_of_too_long_a_path_is_one_clear_sentence(folder: Path) -> None:
    done = gateway("score", str(folder / "b.jpg"), TMPDIR=str(long := folder / ("x" * 100)))
    assert done.returncode == 0, "one that is not there is not taken"
    long.mkdir()
    done = gateway("score", str(folder / "b.jpg"), TMPDIR=str(long))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "short path (TMPDIR): AF_UNIX path too long." in done.stderr
    assert not [*long.iterdir()]


def scored(*paths: str | Path, **environment: str) -> tuple[int, list[dict[str, Any]]]:
    done = gateway("score", "--json", *map(str, paths), **environment)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_the_json_line_is_the_whole_raw_report(folder: Path) -> None:
    status, (line,) = scored(folder / "b.jpg")
    assert status == 0
    assert tuple(line) == KEYS
    assert (line["path"], line["model_version"]) == (str(folder / "b.jpg"), MODEL_VERSION)
    assert (line["width"], line["height"], line["format"]) == (320, 240, "jpeg")
    assert tuple(line["flags"]) == FLAGS
    assert all(isinstance(flag, bool) for flag in line["flags"].values())
    assert set(line["sub_scores"]) == SUB_SCORES
    assert all(0 <= value <= 1 for value in (line["score"], *line["sub_scores"].values()))
    assert all(isinstance(line[name], int) and 0 <= line[name] <= 100 for name in ("clarity", "aesthetic", "content"))
    assert all(isinstance(reason, str) for reason in line["reasons"])


def test_a_small_picture_is_flagged_and_nothing_of_it_is_zeroed(tmp_path: Path) -> None:
    (tmp_path / "tiny.png").write_bytes(encode(photo_like(120, 90), "PNG"))
    _, (line,) = scored(tmp_path / "tiny.png")
    assert line["flags"]["small_image"] is True
    assert min(line["score"], line["clarity"], line["aesthetic"], line["content"]) > 0
    assert not {name for name in line["sub_scores"] if name.startswith("jpeg_")}


def test_a_folder_is_scored_to_its_depths_and_only_its_pictures(folder: Path) -> None:
    status, lines = scored(folder)
    assert status == 0
    names = [str(Path(line["path"]).relative_to(folder)) for line in lines]
    assert names == ["a/deep/grüße 1.PNG", "a/z.webp", "b.jpg"]


def test_the_lines_come_in_the_order_of_the_paths(tmp_path: Path, photo: bytes) -> None:
    # The first is by far the slowest: whoever printed as results come would print it last.
    (tmp_path / "slow.png").write_bytes(encode(photo_like(2500, 2000), "PNG"))
    paths = [tmp_path / "slow.png"]
    for number in (9, 3, 7, 1):
        paths.append(tmp_path / f"{number}.jpg")
        paths[-1].write_bytes(photo)
    _, lines = scored(*paths)
    assert [line["path"] for line in lines] == [str(path) for path in paths]


def test_every_failure_is_a_line_and_the_others_are_scored(folder: Path, tmp_path: Path, photo: bytes) -> None:
    (tmp_path / "half.jpg").write_bytes(photo[: len(photo) // 2])
    (tmp_path / "empty.jpg").touch()
    paths = [folder / "none.jpg", folder / "notes.txt", tmp_path / "half.jpg", tmp_path / "empty.jpg", folder / "b.jpg"]
    status, lines = scored(*paths)
    assert status == 1
    assert [line["path"] for line in lines] == [str(path) for path in paths]
    assert [tuple(line) == ("path", "error") for line in lines] == [True] * 4 + [False]
    errors = [line["error"] for line in lines[:4]]
    assert all(tuple(error) == ("code", "message") and error["code"] and error["message"] for error in errors)
    assert "No such file" in errors[0]["message"]
    assert errors[1]["code"] == "InvalidArgument"
    assert "not an image" in errors[1]["message"]
    assert "truncated" in errors[2]["message"]


def test_a_picture_is_known_by_its_bytes_and_not_by_its_name(tmp_path: Path, photo: bytes) -> None:
    (tmp_path / "picture.dat").write_bytes(photo)
    status, (line,) = scored(tmp_path / "picture.dat")
    assert (status, line["format"]) == (0, "jpeg")


def test_a_folder_without_pictures_is_no_success(tmp_path: Path) -> None:
    assert scored(tmp_path) == (1, [])


def test_for_people_it_is_a_table(folder: Path) -> None:
    done = gateway("score", str(folder / "b.jpg"), str(folder / "none.jpg"))
    header, good, bad = done.stdout.splitlines()
    assert done.returncode == 1
    assert header.startswith("SCORE  CLARITY")
    assert 0 <= float(good.split()[0]) <= 1
    assert re.search(rf" 320x240 +jpeg +{folder}/b.jpg", good)
    assert bad.split(maxsplit=2) == [
        "error",
        f"{folder}/none.jpg",
        "InvalidRequest: Cannot read it: No such file or directory.",
    ]
    assert good.index(str(folder)) == bad.index(str(folder)) == header.index("PATH")
    assert done.stderr == "", "no progress bar where nobody watches"


def test_on_a_terminal_a_bar_stands_below_the_lines_and_leaves_none_of_itself(folder: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "gateway", "score", str(folder)]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, cwd=ROOT) as process:
        os.close(theirs)
        written = b""
        with suppress(OSError):  # how a terminal says that its last process has gone
            while data := os.read(ours, 65_536):
                written += data
    os.close(ours)
    assert process.returncode == 0
    assert b"] 0/3" in written
    assert b"] 3/3" in written
    shown = [line.rpartition("\r\x1b[K")[2] for line in written.decode().replace("\r\n", "\n").split("\n")]
    assert shown == [*gateway("score", str(folder)).stdout.splitlines(), ""]


def test_csv_is_for_spreadsheets(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "score", "--csv", str(folder), str(folder / "none.jpg")],
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, b"")
    assert done.stdout.count(b"\r\n") == done.stdout.count(b"\n") == 5
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode(), newline="")))
    assert [row["error_code"] for row in rows] == ["", "", "", "InvalidRequest"]
    _, lines = scored(folder)
    assert [float(row["score"]) for row in rows[:3]] == [line["score"] for line in lines]


def test_two_forms_at_once_are_a_usage_error(folder: Path) -> None:
    done = gateway("score", "--csv", "--json", str(folder))
    assert (done.returncode, done.stdout) == (2, "")
    assert "not allowed with" in done.stderr


@pytest.mark.parametrize("style", [(), ("--json",), ("--csv",)], ids=["table", "json", "csv"])
def test_a_reader_that_has_seen_enough_ends_it_quietly(folder: Path, style: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "gateway", "score", *style, *[str(folder)] * 40]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.parametrize("style", [(), ("--json",), ("--csv",)], ids=["table", "json", "csv"])
def test_an_output_that_takes_nothing_more_is_one_clear_sentence(folder: Path, style: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "gateway", "score", *style, str(folder)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (1, "Cannot write to the standard output: No space left on device.\n")


@pytest.mark.parametrize("options", [(), ("--json",), ("--csv",)], ids=["table", "json", "csv"])
def test_a_file_name_that_is_not_utf_8_is_scored_too(tmp_path: Path, photo: bytes, options: tuple[str, ...]) -> None:
    file = tmp_path / b"\xff.jpg".decode("utf-8", "surrogateescape")
    file.write_bytes(photo)
    command = [sys.executable, "-m", "gateway", "score", *options, str(file)]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(command, capture_output=True, env=environment, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b"\n") == (1 if "--json" in options else 2)
    assert b"\\udcff.jpg" in done.stdout


def test_the_limits_of_the_settings_hold(tmp_path: Path, folder: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text('[upstream.main]\nendpoint = "http://127.0.0.1:9"\n[limits]\nmax_pixels = 1000\n')
    done = gateway("score", "--json", "--config", str(config), str(folder / "b.jpg"))
    assert done.returncode == 1
    assert "the limit is 1,000 pixels" in json.loads(done.stdout)["error"]["message"]


# --- objects of a store ---------------------------------------------------------------------------------------------


def at(endpoint: str, **more: str) -> dict[str, str]:
    place = {"ENDPOINT": endpoint, "ACCESS_KEY": KEY_ID, "SECRET": SECRET.reveal(), **more}
    return {f"GATEWAY_UPSTREAM__MAIN__{name}": value for name, value in place.items()}


@pytest.mark.store
def test_the_pictures_below_a_prefix_are_scored(demo: Demo) -> None:
    status, lines = scored("s3://demo/bl", "s3://demo/sharp.jpg", **at(demo.endpoint))
    assert status == 0
    assert [line["path"] for line in lines] == [f"s3://demo/{name}.jpg" for name in ("blocky", "blurred", "sharp")]
    assert lines[2]["score"] > max(lines[0]["score"], lines[1]["score"])


@pytest.mark.store
def test_files_and_objects_may_be_mixed_and_a_missing_one_fails_alone(demo: Demo, folder: Path) -> None:
    missing = ("s3://no-such-bucket/x", "s3://demo/none.jpg")
    paths = ("s3://demo/tiny.png", folder / "b.jpg", *missing, "s3://demo/dark.jpg")
    status, lines = scored(*paths, **at(demo.endpoint))
    assert status == 1
    assert [line["path"] for line in lines] == [str(path) for path in paths]
    assert [line.get("error", {}).get("code", "") for line in lines] == ["", "", "NoSuchBucket", "NoSuchKey", ""]


@pytest.mark.store
def test_a_wrong_secret_is_told_in_one_line(demo: Demo) -> None:
    status, (line,) = scored("s3://demo/", **at(demo.endpoint, SECRET="wrong"))
    assert (status, line["path"], line["error"]["code"]) == (1, "s3://demo/", "SignatureDoesNotMatch")


def test_a_store_that_cannot_be_reached_is_told_in_one_line() -> None:
    status, (line,) = scored("s3://demo/", **at("http://127.0.0.1:9"))
    assert (status, line["error"]["code"]) == (1, "ServiceUnavailable")


def test_without_a_store_its_setting_is_asked_for() -> None:
    done = gateway("score", "s3://demo/")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("no store: [upstream.NAME]")
