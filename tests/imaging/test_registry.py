from __future__ import annotations

import inspect
from importlib import import_module

import pytest

from gateway.imaging.registry import PROCESSORS, Processor, processor


@pytest.mark.parametrize("row", PROCESSORS, ids=lambda row: row.name)
def test_every_processor_is_a_module_with_a_function_of_the_promised_shape(row: Processor) -> None:
    given = len(inspect.signature(import_module(row.module).process).parameters)
    assert given == (3 if row.header_only else 2)
    assert processor(row.name) is row


def test_no_two_results_of_an_object_have_the_same_etag() -> None:
    assert len({row.variant for row in PROCESSORS}) == len(PROCESSORS)
