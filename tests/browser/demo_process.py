"""The shop as its own process: `manage.py demo` with a folder of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parent.parent.parent
# What would lead the shop away from its own folder.
OUTSIDE = {
    "DATABASE_URL",
    "CELERY_BROKER_URL",
    "BANK_URL",
    "SECRET_KEY",
    "DEBUG",
    "PORT",
    "DJANGO_SETTINGS_MODULE",
}
PATIENCE = 60.0  # seconds until a process that hangs is killed


@dataclass(slots=True, kw_only=True)
class Demo:
    """Start it, look at what it printed, stop it by a signal."""

    data: Path
    port: int = 0
    process: subprocess.Popen[str] = field(init=False)
    reader: threading.Thread = field(init=False)
    printed: list[str] = field(default_factory=list)

    def start(self) -> Demo:
        """Return when the shop says that it is open. Raises RuntimeError with its output if it is not."""
        environment = {name: value for name, value in os.environ.items() if name not in OUTSIDE}
        self.process = subprocess.Popen(  # noqa: S603 our own command
            [sys.executable, "manage.py", "demo", "--port", str(self.port)],
            cwd=ROOT,
            env=environment | {"SHOP_DATA_DIR": str(self.data), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        opened = threading.Event()
        # Somebody must read all the time, or the process blocks on a full pipe.
        self.reader = threading.Thread(target=self._read, args=[opened], daemon=True)
        self.reader.start()
        if not opened.wait(PATIENCE) or self.process.poll() is not None:
            self.kill()
            raise RuntimeError(self.output)
        return self

    def _read(self, opened: threading.Event) -> None:
        assert self.process.stdout
        with self.process.stdout as lines:
            for line in lines:
                self.printed.append(line)
                if "Ctrl+C" in line:
                    opened.set()
        self.process.wait()
        opened.set()

    def stop(self, number: int = signal.SIGTERM, patience: float = 15.0) -> int:
        """Send the signal and return the exit code."""
        self.process.send_signal(number)
        try:
            return self.process.wait(patience)
        finally:
            self.kill()

    def kill(self) -> None:
        """End the process at once, if it is still there, and read what it had to say."""
        self.process.kill()
        self.process.wait()
        self.reader.join(timeout=5)

    @property
    def url(self) -> str:
        return self._found(r"Shop\s+(http\S+?)/?$")

    @property
    def output(self) -> str:
        return "".join(self.printed)

    def ledger(self) -> dict[str, list[dict[str, Any]]]:
        """Return the bank's charges and refunds, newest first."""
        with urlopen(self._found(r"Bank\s+(http\S+)$"), timeout=5) as answer:  # noqa: S310 our own bank
            entries: dict[str, list[dict[str, Any]]] = json.load(answer)
        return entries

    def _found(self, pattern: str) -> str:
        match = re.search(pattern, self.output, re.MULTILINE)
        assert match, self.output
        return match[1]
