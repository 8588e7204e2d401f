"""A store that reads whole requests and gives the answers of its script, byte by byte as they stand there."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CUT = b"<cut>"  # in a script: here the connection ends


@dataclass
class Received:
    """One request as a scripted store read it from the wire."""

    connection: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ScriptedStore:
    """Reads whole requests and gives the next answer of its script, byte by byte as it stands there."""

    script: list[bytes]
    requests: list[Received] = field(default_factory=list)
    endpoint: str = ""
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            while self.script:
                self.requests.append(await received(reader, number))
                answer, cut, _ = self.script.pop(0).partition(CUT)
                writer.write(answer)
                await writer.drain()
                if cut:
                    break
            else:
                await reader.read()  # the end of the script: stay until the client goes
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def received(reader: asyncio.StreamReader, connection: int) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("utf-8")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(connection, method, target, headers, body)


@asynccontextmanager
async def scripted_store(*script: bytes, host: str = "127.0.0.1") -> AsyncIterator[ScriptedStore]:
    store = ScriptedStore(list(script))
    open_ones: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones[asyncio.ensure_future(store.serve(reader, writer))] = writer

    async with await asyncio.start_server(connected, host.strip("[]"), 0) as server:
        store.endpoint = f"http://{host}:{server.sockets[0].getsockname()[1]}"
        yield store
        for task, writer in open_ones.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(
            *open_ones, *(writer.wait_closed() for writer in open_ones.values()), return_exceptions=True
        )
