from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.stores_up import debian, programs, required
from tests.stores_up.programs import ProgramError, no_services_started, run

if TYPE_CHECKING:
    from pathlib import Path


def test_a_program_that_fails_says_why() -> None:
    with pytest.raises(ProgramError, match="no such package"):
        run((sys.executable, "-c", "import sys; sys.exit('no such package')"), 30)
    with pytest.raises(ProgramError, match="timed out"):
        run((sys.executable, "-c", "import time; time.sleep(60)"), 0.1)


def test_services_are_forbidden_only_for_a_while(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(programs, "POLICY", policy)
    with no_services_started():
        assert policy.stat().st_mode & 0o777 == 0o755
    assert not policy.exists()


def test_a_policy_that_was_there_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("theirs")
    monkeypatch.setattr(programs, "POLICY", policy)
    with no_services_started():
        assert policy.read_text() == "theirs"
    assert policy.read_text() == "theirs"


@pytest.mark.parametrize(
    ("ci", "root", "outcome"),
    [
        ("true", True, pytest.fail.Exception),
        ("true", False, pytest.skip.Exception),
        ("", True, pytest.skip.Exception),
    ],
)
def test_what_is_missing_skips_but_never_where_it_could_be_had(
    monkeypatch: pytest.MonkeyPatch, *, ci: str, root: bool, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(required, "is_root_on_debian", lambda: root)
    with pytest.raises(outcome, match="no packages"):
        required.unavailable("no packages")


def test_a_program_that_cannot_be_fetched_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(debian, "is_root_on_debian", lambda: False)
    debian.install("sh")
    with pytest.raises(pytest.skip.Exception, match="no-such-program"):
        debian.install("sh", "no-such-program")
