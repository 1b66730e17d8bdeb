"""Ask a server, in its own protocol, whether it lets the tests in; no driver is needed for that."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from urllib.parse import urlsplit

TIMEOUT = 3.0  # seconds


def accepts(host: str, port: int) -> bool:
    """Return whether somebody listens there."""
    try:
        socket.create_connection((host, port), TIMEOUT).close()
    except OSError:
        return False
    return True


def url_answers(url: str) -> bool:
    """Return whether somebody listens where a given URL points; its credentials are the giver's matter."""
    parts = urlsplit(url)
    defaults = {"postgres": 5432, "postgresql": 5432, "mysql": 3306, "redis": 6379, "amqp": 5672}
    return accepts(parts.hostname or "127.0.0.1", parts.port or defaults.get(parts.scheme, 0))


def postgres(port: int) -> bool:
    """Return whether PostgreSQL lets `postgres` in without a password."""
    body = struct.pack("!I", 196608) + b"user\0postgres\0database\0postgres\0\0"

    def talk(server: socket.socket) -> bool:
        server.sendall(struct.pack("!I", len(body) + 4) + body)
        return _read(server, 9) == b"R" + struct.pack("!II", 8, 0)  # AuthenticationOk

    return _ask(port, talk)


def mariadb(port: int) -> bool:
    """Return whether MariaDB or MySQL lets `root` in without a password."""
    capabilities = 0x00000200 | 0x00008000 | 0x00080000  # 4.1 protocol, 4.1 authentication, named plugin
    login = struct.pack("<IIB23x", capabilities, 1 << 24, 45) + b"root\0" + b"\0" + b"mysql_native_password\0"

    def packet(server: socket.socket) -> bytes:
        header = _read(server, 4)
        return _read(server, int.from_bytes(header[:3], "little"))

    def talk(server: socket.socket) -> bool:
        packet(server)  # the greeting
        server.sendall(len(login).to_bytes(3, "little") + b"\x01" + login)
        return packet(server)[:1] == b"\0"  # OK

    return _ask(port, talk)


def redis(port: int) -> bool:
    """Return whether Redis answers without a password."""

    def talk(server: socket.socket) -> bool:
        server.sendall(b"PING\r\n")
        return _read(server, 5) == b"+PONG"

    return _ask(port, talk)


def rabbitmq(port: int) -> bool:
    """Return whether RabbitMQ lets `guest` in."""
    mechanism, response, locale = b"PLAIN", b"\0guest\0guest", b"en_US"
    start_ok = (
        struct.pack("!HHI", 10, 11, 0)
        + struct.pack("!B", len(mechanism))
        + mechanism
        + struct.pack("!I", len(response))
        + response
        + struct.pack("!B", len(locale))
        + locale
    )

    def method(server: socket.socket) -> tuple[int, int]:
        _, _, size = struct.unpack("!BHI", _read(server, 7))
        found: tuple[int, int] = struct.unpack("!HH", _read(server, size + 1)[:4])
        return found

    def talk(server: socket.socket) -> bool:
        server.sendall(b"AMQP\0\0\x09\x01")
        method(server)  # connection.start
        server.sendall(struct.pack("!BHI", 1, 0, len(start_ok)) + start_ok + b"\xce")
        return method(server) == (10, 30)  # connection.tune: the login was taken

    return _ask(port, talk)


def _ask(port: int, talk: Callable[[socket.socket], bool]) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as server:
            server.settimeout(TIMEOUT)
            return talk(server)
    except (OSError, struct.error):  # nobody there, or somebody who speaks another protocol
        return False


def _read(server: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = server.recv(size - len(received))
        if not part:
            raise ConnectionError
        received += part
    return received
