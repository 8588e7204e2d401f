"""The bound: a relay that moves bytes between clients and a store, by the gateway's own means, and reads none of them.

`python -m bench.relay PORT WORKERS STORE_PORT`
"""

from __future__ import annotations

import asyncio
import socket
import sys

from bench.tools import in_processes
from gateway.splice import SinkGoneError, SourceEndedError, splice

_HERE = "127.0.0.1"
_FOR_EVER = sys.maxsize  # bytes


async def relay(client: socket.socket, store_port: int) -> None:
    loop = asyncio.get_running_loop()
    with client, socket.socket() as store:
        for each in (client, store):
            each.setblocking(False)  # noqa: FBT003 # the standard library's
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(store, (_HERE, store_port))
        there = asyncio.ensure_future(_move(client, store))
        back = asyncio.ensure_future(_move(store, client))
        await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)  # one side has gone
        for each in (there, back):
            each.cancel()
        await asyncio.gather(there, back, return_exceptions=True)


async def _move(source: socket.socket, sink: socket.socket) -> None:
    try:
        await splice(source.fileno(), sink.fileno(), _FOR_EVER, None, lambda _: None)
    except (SourceEndedError, SinkGoneError, OSError):
        return


async def serve(port: int, store_port: int) -> None:
    loop, running = asyncio.get_running_loop(), set[asyncio.Task[None]]()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((_HERE, port))
        listener.listen(256)
        listener.setblocking(False)  # noqa: FBT003 # the standard library's
        while True:
            client, _ = await loop.sock_accept(listener)
            task = loop.create_task(relay(client, store_port))
            running.add(task)
            task.add_done_callback(running.discard)


def main(port: int, workers: int, store_port: int) -> None:
    in_processes(workers, lambda: asyncio.run(serve(port, store_port)))


if __name__ == "__main__":
    main(*(int(each) for each in sys.argv[1:]))
