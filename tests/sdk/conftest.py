"""SDKs leave sockets to the garbage collector, whose warnings would fail whichever test runs when it comes by."""

from __future__ import annotations

import gc
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.node.packages import Node, prepare_node
from tests.stores_up.fixtures import timed
from tests.stores_up.programs import ProgramError
from tests.stores_up.required import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.register_assert_rewrite("tests.matrix.operations")
_NOT_OURS = ("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            for line in _NOT_OURS:
                item.add_marker(pytest.mark.filterwarnings(line))


@pytest.fixture(autouse=True, scope="module")
def _collect_what_sdks_left() -> Iterator[None]:
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.fixture(scope="session")
def node(pytestconfig: pytest.Config) -> Node:
    try:
        with timed(pytestconfig, "Node: install"):
            return prepare_node()
    except ProgramError as error:
        unavailable(f"the npm SDKs cannot be had: {error}")
