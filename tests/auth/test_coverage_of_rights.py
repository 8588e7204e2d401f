"""No sub-resource by which a right is chosen can be added to a signed request, whatever scheme signed it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.auth.identify import find_claim
from gateway.dialects.rights import SUBRESOURCES, refuse_uncovered
from gateway.errors import ApiError
from tests.auth.samples import HEADER_SIGNERS, NOW, PRESIGNERS, head_of, identified, presigned
from tests.auth.test_aws_v2 import _presigned as presigned_aws_v2
from tests.vectors import FOLDER, MISSING, Recording, in_scope

if TYPE_CHECKING:
    from gateway.request import RequestHead

FORMS = {
    **{f"{name} header": sign(head_of(), NOW, None) for name, sign in HEADER_SIGNERS.items()},
    **{f"{name} query": presigned(name) for name in PRESIGNERS},
    "aws_v2 query": presigned_aws_v2(),
}


def accepted(head: RequestHead) -> bool:
    """Go through the two steps of the journey: who signed it, and does that cover what decides about rights?"""
    try:
        claim = identified(head).claim
        assert claim is not None
        refuse_uncovered(claim.covers, (parameter.name for parameter in head.parameters))
    except ApiError:
        return False
    return True


@pytest.mark.parametrize("form", FORMS)
def test_no_subresource_can_be_added_to_a_signed_request(form: str) -> None:
    head = FORMS[form]
    assert accepted(head)
    added = {name: f"{head.raw_query}&{name}=1".lstrip("&") for name in SUBRESOURCES}
    assert [name for name, query in added.items() if accepted(replace(head, raw_query=query))] == []


@pytest.mark.skipif(not FOLDER.is_dir(), reason=MISSING)
@pytest.mark.parametrize("recording", [row for row in in_scope() if row.verdict == "verify"], ids=str)
def test_what_the_sdks_send_is_covered(recording: Recording) -> None:
    found = find_claim(recording.head)
    assert found is not None
    claim, names = found[1], [parameter.name for parameter in recording.head.parameters]
    assert [name for name in names if name in SUBRESOURCES and not claim.covers(name)] == []
    refuse_uncovered(claim.covers, names)
