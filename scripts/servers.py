"""Start servers of our own: unprivileged, in a private directory, on free ports, stopped by pid."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from scripts import probes

READY_WITHIN = 90.0  # seconds until a started server must answer
STOPPED_WITHIN = 15.0  # seconds between SIGTERM and SIGKILL
SEARCHED = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"


class ServerFailed(Exception):
    """A server is installed but does not start; the text ends with what it said."""


class Room:
    """A private directory and the processes in it, all of one user who is never root."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="flowstate-"))
        self.path.chmod(0o755)  # what a wheel brings is unpacked here by us and run by the other user
        self._processes: list[subprocess.Popen[bytes]] = []
        self._nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None

    def folder(self, name: str) -> Path:
        """Make a directory that belongs to the servers' user."""
        path = self.path / name
        path.mkdir(mode=0o700)
        if self._nobody:
            os.chown(path, self._nobody.pw_uid, self._nobody.pw_gid)
        return path

    def run(self, folder: Path, argv: Sequence[str | Path]) -> None:
        """Run a command to its end. Raises ServerFailed with its output."""
        process = self._spawn(folder, argv, {})
        if process.wait(READY_WITHIN):
            raise ServerFailed(_tail(folder))

    def serve(
        self,
        folder: Path,
        argv: Sequence[str | Path],
        ready: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start a server and return once it is ready. Raises ServerFailed with the end of its log."""
        process = self._spawn(folder, argv, environment or {})
        self._processes.append(process)
        deadline = time.monotonic() + READY_WITHIN
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise ServerFailed(_tail(folder))
            time.sleep(0.05)

    def close(self) -> None:
        """Stop what was started, by the pids of the process groups, and remove the directory."""
        for process in self._processes:
            _signal_group(process, signal.SIGTERM)
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOPPED_WITHIN)
            _signal_group(process, signal.SIGKILL)  # children that outlived it
            process.wait()
        shutil.rmtree(self.path, ignore_errors=True)

    def _spawn(
        self, folder: Path, argv: Sequence[str | Path], environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        with (self.path / f"{folder.name}.log").open("ab") as log:
            return subprocess.Popen(
                argv,
                cwd=folder,
                env={"PATH": SEARCHED, "HOME": str(folder), "LANG": "C.UTF-8", **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self._nobody.pw_uid if self._nobody else None,
                group=self._nobody.pw_gid if self._nobody else None,
                extra_groups=[] if self._nobody else None,
            )


def postgres(room: Room, wheel: Path | None = None) -> str | None:
    """Start PostgreSQL, without the safety of its disk; return its URL, or None where it is not installed."""
    initdb = _postgres_binary(wheel)
    if initdb is None:
        return None
    folder, port = room.folder("postgres"), _free_port()
    data = folder / "data"
    room.run(folder, [initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"])
    options = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": folder,
        "max_connections": 200,
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
    }
    settings = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
    room.serve(folder, [initdb.with_name("postgres"), "-D", data, *settings], lambda: probes.postgres(port))
    return f"postgres://postgres@127.0.0.1:{port}/postgres"


def mariadb(room: Room, wheel: Path | None = None) -> str | None:
    """Start MariaDB; return its URL, or None where it is not installed."""
    install, daemon = _which("mariadb-install-db"), _which("mariadbd")
    if not (install and daemon):
        return None
    folder, port = room.folder("mariadb"), _free_port()
    data = f"--datadir={folder / 'data'}"
    room.run(
        folder,
        [install, "--no-defaults", data, "--auth-root-authentication-method=normal", "--skip-test-db"],
    )
    room.serve(
        folder,
        [
            daemon,
            "--no-defaults",
            data,
            f"--port={port}",
            "--bind-address=127.0.0.1",
            f"--socket={folder / 'socket'}",
            f"--pid-file={folder / 'pid'}",
            "--character-set-server=utf8mb4",
            "--innodb-flush-log-at-trx-commit=0",
        ],
        lambda: probes.mariadb(port),
    )
    return f"mysql://root@127.0.0.1:{port}/mysql"


def redis(room: Room, wheel: Path | None = None) -> str | None:
    """Start Redis without persistence; return its URL, or None where it is not installed."""
    binary = _in_wheel(wheel, "redis-server") if wheel else _which("redis-server")
    if binary is None:
        return None
    folder, port = room.folder("redis"), _free_port()
    room.serve(
        folder,
        [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
        lambda: probes.redis(port),
    )
    return f"redis://127.0.0.1:{port}/0"


def rabbitmq(room: Room, wheel: Path | None = None) -> str | None:
    """Start RabbitMQ with a port mapper of its own; return its URL, or None where it is not installed."""
    # Debian's wrapper on PATH insists on its own user; the script of the package does not.
    packaged = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    binary = packaged if packaged.exists() else _which("rabbitmq-server")
    mapper = _which("epmd")
    if not (binary and mapper):
        return None
    folder, port, mapper_port = room.folder("rabbitmq"), _free_port(), _free_port()
    # Started here and not by Erlang, whose daemon would outlive the tests.
    room.serve(
        folder,
        [mapper, "-port", str(mapper_port), "-address", "127.0.0.1"],
        lambda: probes.accepts("127.0.0.1", mapper_port),
    )
    plugins = folder / "plugins"
    room.serve(
        folder,
        [binary],
        lambda: probes.rabbitmq(port),
        {
            "ERL_EPMD_PORT": str(mapper_port),
            "ERL_FLAGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(folder / "none"),
            "RABBITMQ_DIST_PORT": str(_free_port()),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_NODENAME": f"flowstate{port}@localhost",
        },
    )
    return f"amqp://guest:guest@127.0.0.1:{port}//"


def _postgres_binary(wheel: Path | None) -> Path | None:
    if wheel:
        return _in_wheel(wheel, "initdb")
    # Debian and Red Hat keep the servers off PATH.
    packaged = [*Path("/usr/lib/postgresql").glob("*/bin/initdb"), *Path("/usr").glob("pgsql-*/bin/initdb")]
    return max(packaged, default=None, key=lambda path: path.stat().st_mtime) or _which("initdb")


def _in_wheel(wheel: Path, name: str) -> Path | None:
    return next((path for path in sorted(wheel.rglob(name)) if os.access(path, os.X_OK)), None)


def _which(name: str) -> Path | None:
    found = shutil.which(name, path=SEARCHED)
    return Path(found) if found else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _tail(folder: Path) -> str:
    lines = folder.with_suffix(".log").read_text(errors="replace").splitlines()
    return f"{folder.name} did not start: " + " / ".join(lines[-5:])


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
