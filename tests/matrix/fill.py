"""Plays every operation with a client at one endpoint and says what came of it, a cell each."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from tests.matrix.operations import OPERATIONS, Ground, Operation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.matrix.clients import Calls, Client, Endpoint
    from tests.served import Place

OK, NOT_OFFERED, WRONG = "ok", "-", "wrong"
Column = dict[str, str]


def fill(client: Client, at: Endpoint, store: Place, folder: str) -> Column:
    """Fill a column of a client's table: the operations' names with `ok`, `-`, `wrong` or `refused (CODE)`."""
    other_bucket = folder.strip("/").replace("/", "-") + ("-1250000000" if client.dialect == "cos" else "")
    ground = Ground(store, at.authority, folder, other_bucket, client.code)
    with client.connect(at) as calls:
        return {name: cell(operation, calls, ground) for name, operation in OPERATIONS.items()}


def cell(operation: Operation, calls: Calls, ground: Ground) -> str:
    """Play one operation. An error that is not the client's own passes: the test is at fault."""
    if not set(operation.needs) <= set(calls):
        return NOT_OFFERED
    try:
        operation.play({name: calls[name] for name in operation.needs}, ground)
    except AssertionError:
        traceback.print_exc()
        return WRONG
    except Exception as error:
        code = ground.code(error)
        if code is None:
            raise
        return f"refused ({code})"
    return OK


def is_red(cell: str) -> bool:
    return cell not in (OK, NOT_OFFERED)


def worse_through_the_gateway(direct: Column, gateway: Column) -> Mapping[str, str]:
    """Return the cells that are red through the gateway and green directly."""
    return {name: text for name, text in gateway.items() if is_red(text) and direct[name] == OK}


def missing_of_the_daily_work(gateway: Column) -> Mapping[str, str]:
    """Return the cells that are red although every client of OSS and COS needs what they stand for."""
    return {name: text for name, text in gateway.items() if is_red(text) and OPERATIONS[name].daily}
