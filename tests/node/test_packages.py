"""What several tests start at once is never there in part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.node.packages import put

if TYPE_CHECKING:
    from pathlib import Path


def test_who_opened_a_driver_reads_all_of_it_whatever_is_put_in_its_place(tmp_path: Path) -> None:
    driver, folder = tmp_path / "ask.mjs", tmp_path / "installed"
    folder.mkdir()
    driver.write_text("the first;\n" * 1000)
    put(driver, folder)
    with (folder / "ask.mjs").open() as opened:
        driver.write_text("the second;\n")
        put(driver, folder)
        assert opened.read() == "the first;\n" * 1000
    assert (folder / "ask.mjs").read_text() == "the second;\n"
    assert [found.name for found in folder.iterdir()] == ["ask.mjs"]
