"""Whatever an operator or a client can meet is told of in the README or in docs/."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from gateway.auth.identify import SCHEMES
from gateway.dialects.registry import DIALECTS, VENDORS
from gateway.imaging.registry import PROCESSORS
from gateway.metrics import METRICS
from tests.conftest import ROOT
from tests.docs.markdown import pages
from tools.reference_pages import PAGES, commands, comments, error_kinds, sections

if TYPE_CHECKING:
    from collections.abc import Iterable

# The changes and the decisions tell what was, not what is.
_TOLD = "\n".join(page.read_text() for page in pages(ROOT) if page.parent.name != "adr" and page.name != "CHANGELOG.md")

_SELF_EVIDENT = frozenset({"endpoint", "secret", "max_frames", "tags"})


def untold(names: Iterable[str], text: str = _TOLD) -> list[str]:
    """The names that stand nowhere in the text as words of their own."""
    return [name for name in names if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_is_written_from_the_code_is_what_the_code_says_now(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == PAGES[name](), "make reference writes it anew"


def test_nearly_every_setting_is_explained_beside_it() -> None:
    bare = [
        f"{section.name}.{name}"
        for section in sections()
        for name, text in comments(section.kind).items()
        if not text and name not in _SELF_EVIDENT
    ]
    assert bare == []


def test_every_section_of_the_settings_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    tops = {section.name.partition(".")[0] for section in sections()}
    assert [name for name in tops if not re.search(rf"`\[{name}(\.NAME)?\]`", readme)] == []


def test_every_error_is_told_with_the_code_of_each_vendor() -> None:
    kinds = error_kinds().values()
    assert untold({code for kind in kinds for code in (kind.code, kind.oss, kind.cos) if code}) == []


def test_every_metric_is_told_with_its_labels() -> None:
    assert untold(METRICS) == []
    assert untold(f"`{label}`" for metric in METRICS.values() for label in metric.labels) == []


def test_every_command_and_every_option_is_told() -> None:
    words = [
        word
        for name, (_, parser) in commands().items()
        for action in parser._actions
        for word in (f"gateway {name}", *action.option_strings)
        if word not in ("-h", "--help")
    ]
    assert len(words) > 20
    assert untold(words) == []


def test_every_dialect_scheme_and_processor_is_in_the_description_of_the_architecture() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    names = [each.NAME for each in DIALECTS] + [each.NAME for each in VENDORS] + [each.NAME for each in SCHEMES]
    names += [each.name for each in PROCESSORS]
    assert untold(names, page) == []


def test_a_name_that_only_begins_another_is_not_told() -> None:
    assert untold(["drain_s", "--sheet", "Access"], "drain_seconds --sheets AccessDenied") == [
        "drain_s",
        "--sheet",
        "Access",
    ]
