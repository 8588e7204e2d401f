"""Debian's packages that tests use: fetched when the first test asks, or all in one go by running this module."""

from __future__ import annotations

import shutil

from tests.stores_up import rgw
from tests.stores_up.programs import ProgramError, alone, install_debian
from tests.stores_up.required import is_root_on_debian, unavailable

PROGRAMS = (*rgw.PROGRAMS, "redis-server", "nginx", "haproxy", "wrk")
_PACKAGES = {"ceph": "ceph-common"}  # of programs that are not called like their packages


def install(*programs: str) -> None:
    """Install the packages of these programs unless they are there; skips, or fails, where that cannot be done."""
    try:
        _install(programs)
    except ProgramError as error:
        unavailable(f"not all of {programs} are installed: {error}")


def _install(programs: tuple[str, ...]) -> None:
    """Raises ProgramError."""
    with alone("apt"):
        missing = [_PACKAGES.get(name, name) for name in programs if not shutil.which(name)]
        if missing and not is_root_on_debian():
            raise ProgramError(f"only root on Debian can fetch {missing}")
        if missing:
            install_debian(missing)


if __name__ == "__main__":
    try:
        _install(PROGRAMS)
    except ProgramError as error:
        print(f"Tests that need them will say so: {error}")  # noqa: T201 # it says why and goes on
