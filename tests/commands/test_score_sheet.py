from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from gateway.commands.score_output import Scored
from gateway.commands.score_sheet import ContactSheet
from gateway.errors import IMAGE_DAMAGED, ApiError
from tests.commands.test_config import ROOT, gateway
from tests.commands.test_score import at
from tests.imaging.pictures import encode, exif, photo_like, score

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Demo

REPORT = score(encode(photo_like(200, 190), "JPEG", quality=90))
THUMBNAIL = encode(photo_like(40, 30), "JPEG")
EVIL = "<script>alert(1)</script>\"'&\x1b\udcff\u202e.jpg"


class Page(HTMLParser):
    """What a browser would see: tags with attributes, texts by the tag that holds them."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(data.decode("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, "every element is closed in its place"

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1], data.strip()))

    def all(self, tag: str) -> list[str]:
        return [text for holder, text in self.texts if holder == tag]

    def images(self) -> list[Image.Image]:
        found: list[Image.Image] = []
        for tag, attributes in self.tags:
            if tag == "img":
                kind, _, data = (attributes["src"] or "").partition(",")
                assert kind == "data:image/jpeg;base64"
                found.append(Image.open(io.BytesIO(base64.b64decode(data, validate=True))))
        return found


def page_of(*scored: Scored) -> Page:
    target = io.BytesIO()
    with ContactSheet.begun() as sheet:
        for each in scored:
            sheet.add(each)
        sheet.write(target)
    return Page(target.getvalue())


def made(path: str, value: float) -> Scored:
    return Scored(path, replace(REPORT, score=value), THUMBNAIL)


def test_the_best_comes_first_equal_ones_keep_their_order_and_errors_come_last() -> None:
    refused = Scored("gone.jpg", ApiError(IMAGE_DAMAGED, message="It is cut short."))
    page = page_of(made("b", 0.2), refused, made("a", 0.9), made("d", 0.5), made("c", 0.5))
    assert page.all("h3") == ["a", "d", "c", "b"]
    assert page.all("h2") == ["Pictures, best first", "Not scored"]
    assert page.texts[-2:] == [("strong", "gone.jpg"), ("li", "InvalidArgument: It is cut short.")]
    assert "4 pictures · score 0.200 to 0.900, 0.525 on average · 1 could not be scored" in page.all("p")[0]


def test_a_card_tells_the_scores_the_flags_and_the_reasons() -> None:
    flags = replace(REPORT.flags, long_image=True, pure_image=True)
    report = replace(REPORT, score=0.4567, flags=flags, reasons=("It is soft.", "It is < dark."))
    page = page_of(Scored("some/where/a.jpg", report, THUMBNAIL))
    assert (page.all("h3"), page.all("strong")) == (["a.jpg"], ["0.457"])
    assert "some/where/" in page.all("p")
    assert page.all("li") == ["long image", "pure image", "It is soft.", "It is < dark."]
    assert page.all("dd") == [f"{value:.2f}" for value in report.sub_scores.values()]
    assert {"JPEG quality", "Focus", "Color score"} < set(page.all("dt"))
    assert len(page.all("dt")) == len(report.sub_scores)
    bars = [attributes["style"] for tag, attributes in page.tags if tag == "div" and "style" in attributes]
    assert bars == [f"--v:{value:.2f}" for value in report.sub_scores.values()]


def test_a_hostile_name_is_text_wherever_it_stands() -> None:
    page = page_of(made(f"{EVIL}/{EVIL}", 0.5), Scored(EVIL, ApiError(IMAGE_DAMAGED, message=EVIL)))
    assert {tag for tag, _ in page.tags} <= {
        *("html", "head", "meta", "title", "style", "body", "header", "main", "h1", "h2", "h3"),
        *("p", "div", "article", "img", "span", "strong", "dl", "dt", "dd", "ul", "li"),
    }
    shown = "<script>alert(1)</script>\"'&\\x1b\\udcff\\u202e.jpg"
    assert page.all("strong")[-1] == shown
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 1
    assert set(images[0]) == {"alt", "src"}


def test_the_page_needs_nothing_beside_itself_and_says_so() -> None:
    page = page_of(made("a", 0.5))
    for tag, attributes in page.tags:
        assert not {"href", "srcset", "onload", "onerror"} & set(attributes), tag
        assert tag == "img" or "src" not in attributes
    style = "".join(page.all("style"))
    assert not re.search(r"url\(|@import|//", style)
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_people_who_do_not_see_it_can_read_it() -> None:
    page = page_of(made("x/a.jpg", 0.5), made("b.jpg", 0.4))
    assert page.tags[0] == ("html", {"lang": "en"})
    assert [text for text, _ in zip(page.all("title"), page.all("h1"), strict=True)] == page.all("h1")
    assert [a["alt"] for tag, a in page.tags if tag == "img"] == ["Thumbnail of a.jpg", "Thumbnail of b.jpg"]
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels == [1, 2, 3, 3]


def test_a_page_of_errors_alone_and_a_picture_without_thumbnail_are_pages_too() -> None:
    page = page_of(Scored("a", ApiError(IMAGE_DAMAGED)))
    assert page.all("h2") == ["Not scored"]
    assert page.all("p") == ["0 pictures · 1 could not be scored"]
    assert "no thumbnail" in page_of(Scored("a", REPORT)).all("span")


def test_memory_does_not_hold_the_thumbnails() -> None:
    thumbnail, count = bytes(20_000), 400
    with ContactSheet.begun() as sheet:
        tracemalloc.start()
        for number in range(count):
            sheet.add(Scored(str(number), REPORT, thumbnail))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < count * len(thumbnail) / 10


# --- through the command --------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "pictures"
    place.mkdir()
    turned = photo_like(500, 300).transpose(Image.Transpose.ROTATE_90)
    (place / "a turned.jpg").write_bytes(encode(turned, "JPEG", quality=90, exif=exif(6)))
    (place / "b.png").write_bytes(encode(photo_like(120, 90), "PNG"))
    (place / "c.jpg").write_text("no picture")
    return place


def test_the_command_writes_the_page_beside_its_usual_lines(folder: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "out.html"
    done = gateway("score", "--csv", "--sheet", str(sheet), str(folder))
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (1, "", 4)
    page = Page(sheet.read_bytes())
    assert sorted(page.all("h3")) == ["a turned.jpg", "b.png"]
    assert {image.size for image in page.images()} == {(240, 144), (120, 90)}
    assert any("c.jpg" in text for text in page.all("strong"))
    assert gateway("score", "--csv", str(folder)).stdout == done.stdout, "a sheet changes nothing in what is told"


def test_a_sheet_that_cannot_be_written_is_told_before_anything_is_scored(folder: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "none" / "out.html"
    done = gateway("score", "--sheet", str(sheet), str(folder))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Cannot write {sheet}: No such file or directory.\n"


def test_a_sheet_is_written_whole_though_its_reader_of_lines_has_gone(folder: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "out.html"
    command = [sys.executable, "-m", "gateway", "score", "--sheet", str(sheet), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert len(Page(sheet.read_bytes()).all("h3")) == 2


@pytest.mark.store
def test_objects_have_thumbnails_too(demo: Demo, tmp_path: Path) -> None:
    sheet = tmp_path / "out.html"
    done = gateway("score", "--sheet", str(sheet), "s3://demo/bl", "s3://demo/none.jpg", **at(demo.endpoint))
    assert done.returncode == 1, done.stderr
    page = Page(sheet.read_bytes())
    assert sorted(page.all("h3")) == ["blocky.jpg", "blurred.jpg"]
    assert [max(image.size) for image in page.images()] == [240, 240]
    assert "s3://demo/" in page.all("p")
