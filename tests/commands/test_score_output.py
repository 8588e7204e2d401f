from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest

from gateway.commands.score_output import FLAGS, SUB_SCORES, Scored, csv_rows, json_lines, printable, table, width
from gateway.errors import NOT_AN_IMAGE, ApiError
from tests.imaging.pictures import encode, photo_like, score

REPORT = score(encode(photo_like(200, 190), "JPEG", quality=90))
REFUSED = ApiError(NOT_AN_IMAGE, message='It is "no", picture.\nNone.')


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def rows_of(*scored: Scored) -> list[dict[str, str]]:
    form = csv_rows()
    (header,) = read(form.header)
    rows = [dict(zip(header, row, strict=True)) for each in scored for row in read(form.line(each))]
    assert len(rows) == len(scored)
    return rows


def test_csv_has_a_column_for_every_field_and_sub_score_of_the_json_line() -> None:
    scored = Scored("a.jpg", REPORT)
    line = json.loads(json_lines().line(scored))
    assert set(line["sub_scores"]) == set(SUB_SCORES), "a new sub-score needs a column"
    (row,) = rows_of(scored)
    assert [name for name in row if row[name] == ""] == (["reasons"] if not REPORT.reasons else []) + [
        "error_code",
        "error_message",
    ]
    for name in ("path", "model_version", "format"):
        assert row[name] == line[name]
    for name in ("score", "width", "height", "clarity", "aesthetic", "content"):
        assert float(row[name]) == line[name]
    assert {name: float(row[name]) for name in SUB_SCORES} == line["sub_scores"]
    assert {name: row[name] == "true" for name in FLAGS} == line["flags"]


def test_what_a_picture_does_not_have_is_an_empty_cell_and_errors_have_columns_of_their_own() -> None:
    parts = {name: value for name, value in REPORT.sub_scores.items() if not name.startswith("jpeg_")}
    without, failed = rows_of(Scored("a.png", replace(REPORT, sub_scores=parts)), Scored("b", REFUSED))
    assert (without["jpeg_quality"], without["jpeg_chroma"]) == ("", "")
    assert without["focus"] != ""
    told = {name: value for name, value in failed.items() if value}
    assert told == {"path": "b", "error_code": "InvalidArgument", "error_message": REFUSED.message}


@pytest.mark.parametrize(
    "path", ['with "quotes", commas\r\nand lines', "a\nfeed", "a\rreturn", " blanks ", "a;b", "", "日本"]
)
def test_csv_quotes_as_rfc_4180_says(path: str) -> None:
    (row,) = rows_of(Scored(path, replace(REPORT, reasons=("Soft, or so.", 'Called "noise".'))))
    assert row["path"] == path
    assert row["reasons"] == 'Soft, or so; Called "noise"'
    assert csv_rows().end == "\r\n"


def test_the_columns_of_a_table_stand_below_their_names() -> None:
    form = table(12)
    soft = replace(
        REPORT, score=0.5, reasons=("It is soft.", "It is dark."), flags=replace(REPORT.flags, long_image=True)
    )
    lines = [
        form.header,
        form.line(Scored("a.jpg", soft)),
        form.line(Scored("日本.png", REPORT)),
        form.line(Scored("b", REFUSED)),
    ]
    assert lines[0].split() == ["SCORE", "CLARITY", "AESTHETIC", "CONTENT", "SIZE", "FORMAT", "PATH", "REMARKS"]
    path, remarks = lines[0].index("PATH"), lines[0].index("REMARKS")
    assert [line[path:].split()[0] for line in lines[1:]] == ["a.jpg", "日本.png", "b"]
    assert lines[1][remarks:] == "long image; It is soft; It is dark"
    assert lines[1].startswith("0.500 ")
    assert lines[1][:path].split() == [
        "0.500",
        *map(str, (soft.clarity, soft.aesthetic, soft.content)),
        "200x190",
        "jpeg",
    ]
    assert (lines[3][:path].split(), lines[3][remarks:]) == (["error"], 'InvalidArgument: It is "no", picture.\\nNone.')


def test_a_table_is_aligned_where_letters_are_wide_and_a_long_path_only_shifts_its_own_line() -> None:
    form = table(8)
    lines = [
        form.line(Scored(path, replace(REPORT, reasons=("Soft.",)))) for path in ("abcdefgh", "日本", "e\u0301" * 4)
    ]
    assert {width(line) for line in lines} == {width(lines[0])}
    assert form.line(Scored("a" * 50, replace(REPORT, reasons=("Soft.",)))).endswith(f"{'a' * 50}  Soft")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("grüße 1.jpg", "grüße 1.jpg"),
        ("\x1b[31mred\n", "\\x1b[31mred\\n"),
        ("\udcff.jpg", "\\udcff.jpg"),
        ("gpj.\u202eexe", "gpj.\\u202eexe"),
    ],
)
def test_what_would_move_the_cursor_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown
