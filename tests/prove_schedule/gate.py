"""The way to the broker: shut at SIGUSR1, open again at SIGUSR2. ``python -m tests.prove_schedule.gate PORT TO``."""

import asyncio
import signal
import sys
from asyncio import StreamReader, StreamWriter
from contextlib import suppress


class Gate:
    def __init__(self, port: int, to: int) -> None:
        self._port, self._to = port, to
        self._open: set[StreamWriter] = set()
        self._is_shut = False

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self._shut)
        loop.add_signal_handler(signal.SIGUSR2, self._reopen)
        async with await asyncio.start_server(self._pass, "127.0.0.1", self._port) as server:
            await server.serve_forever()

    def _shut(self) -> None:
        self._is_shut = True
        for writer in self._open:
            writer.transport.abort()

    def _reopen(self) -> None:
        self._is_shut = False

    async def _pass(self, client: StreamReader, to_client: StreamWriter) -> None:
        if self._is_shut:
            to_client.transport.abort()
            return
        with suppress(OSError):
            server, to_server = await asyncio.open_connection("127.0.0.1", self._to)
            self._open |= {to_client, to_server}
            await asyncio.gather(_copy(client, to_server), _copy(server, to_client))
            self._open -= {to_client, to_server}


async def _copy(source: StreamReader, target: StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.transport.abort()


if __name__ == "__main__":
    asyncio.run(Gate(int(sys.argv[1]), int(sys.argv[2])).serve())
