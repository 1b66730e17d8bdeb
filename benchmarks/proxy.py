"""A proxy in front of PostgreSQL that counts what clients send, whichever library they use.

It reads the frontend's half of protocol 3: `Q` is a simple query; `P` names a statement, `B` binds it to a
portal and `E` executes that. Peers are counted through it, and timed without it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

_TRANSACTION = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET", "SHOW", "START")


@dataclass(slots=True)
class _Connection:
    """What one client has said so far."""

    counts: Counter[str]
    rest: bytes = b""
    started: bool = False
    statements: dict[bytes, bytes] = field(default_factory=dict)
    portals: dict[bytes, bytes] = field(default_factory=dict)

    def feed(self, data: bytes) -> None:
        self.rest += data
        while True:
            head = 5 if self.started else 4  # the first message has no type
            if len(self.rest) < head:
                return
            length = int.from_bytes(self.rest[head - 4 : head], "big") + head - 4
            if len(self.rest) < length:
                return
            message, self.rest = self.rest[:length], self.rest[length:]
            if self.started:
                self._read(message[:1], message[5:])
            self.started = True

    def _read(self, kind: bytes, body: bytes) -> None:
        if kind == b"Q":
            self._count(body)
        elif kind == b"P":
            name, sql, _types = body.split(b"\0", 2)
            self.statements[name] = sql
        elif kind == b"B":
            portal, name, _values = body.split(b"\0", 2)
            self.portals[portal] = self.statements.get(name, b"")
        elif kind == b"E":
            self._count(self.portals.get(body.split(b"\0", 1)[0], b""))

    def _count(self, sql: bytes) -> None:
        word = sql.lstrip()[:12].decode(errors="replace").upper().partition(" ")[0].strip(";\0\n")
        if word:  # an empty statement is a ping
            self.counts["tx" if word in _TRANSACTION else "sql"] += 1


class CountingProxy:
    """Serves on a free port of the loopback, in a thread of its own, until closed."""

    def __init__(self, host: str, port: int) -> None:
        self.counts: Counter[str] = Counter()
        self._target = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="counting-proxy", daemon=True)
        self._thread.start()
        served = asyncio.run_coroutine_threadsafe(self._serve(), self._loop)
        self.port: int = served.result(10)

    def close(self) -> None:
        """Stop serving."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self) -> int:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(*self._target)
        client = _Connection(self.counts)
        with suppress(asyncio.CancelledError):
            await asyncio.gather(_pump(reader, to_server, client), _pump(from_server, writer, None))


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: _Connection | None
) -> None:
    with suppress(asyncio.CancelledError, OSError):
        while data := await reader.read(65536):
            if client is not None:
                client.feed(data)
            writer.write(data)
            await writer.drain()
    writer.close()
