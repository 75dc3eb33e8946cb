"""The wire between everybody and PostgreSQL: it can lose an answer after the server has done what it was asked.

On SIGUSR1 it loses some of the next answers, each with its connection: whoever waits for one does not learn whether the
statement, which may have been a COMMIT, took effect. Stopped by SIGSTOP, it is a database that hangs.
"""

import argparse
import asyncio
import random
import signal
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence
from contextlib import suppress

AT_ONCE = 6
"""Answers that one signal costs."""
SHARE = 0.1
"""Of the answers meanwhile that are lost, so that it does not hit those alone who ask all the time."""
CHUNK = 65536


class Wire:
    def __init__(self, server_port: int, chance: random.Random) -> None:
        self._server_port = server_port
        self._chance = chance
        self._to_lose = 0

    def lose_some(self) -> None:
        self._to_lose += AT_ONCE

    async def connect(self, client: StreamReader, to_client: StreamWriter) -> None:
        try:
            server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            to_client.close()
            return
        asked = asyncio.create_task(_pass_on(client, to_server))
        with suppress(OSError):
            await self._answer(server, to_client)
        asked.cancel()
        for writer in (to_client, to_server):
            writer.transport.abort()

    async def _answer(self, server: StreamReader, to_client: StreamWriter) -> None:
        while data := await server.read(CHUNK):
            if self._to_lose and self._chance.random() < SHARE:
                self._to_lose -= 1
                return
            to_client.write(data)
            await to_client.drain()


async def _pass_on(client: StreamReader, to_server: StreamWriter) -> None:
    with suppress(OSError):
        while data := await client.read(CHUNK):
            to_server.write(data)
            await to_server.drain()
        to_server.write_eof()


async def _serve(port: int, server_port: int, chance: random.Random) -> None:
    wire = Wire(server_port, chance)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, wire.lose_some)
    async with await asyncio.start_server(wire.connect, "127.0.0.1", port) as server:
        await server.serve_forever()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("server_port", type=int)
    parser.add_argument("seed")
    given = parser.parse_args(arguments)
    asyncio.run(_serve(given.port, given.server_port, random.Random(given.seed)))  # noqa: S311


if __name__ == "__main__":
    main()
