"""Worker processes of a soak: started and killed here, by their pids, and no others."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Crew:
    """Two workers with two children each, which are replaced when they are killed."""

    def __init__(self, folder: Path, variables: dict[str, str], chance: random.Random) -> None:
        self.folder, self.variables, self.chance = folder, variables, chance
        self.workers: list[subprocess.Popen[bytes]] = []
        self.dead: list[subprocess.Popen[bytes]] = []
        """Not waited for before the end: as long as they are not, nobody else is given their number."""
        self.kills: Counter[str] = Counter()

    def fill_up(self) -> None:
        """Have two workers."""
        while len(self.workers) < 2:
            self.workers.append(self._start())

    def kill_somebody(self) -> None:
        """Kill a child, a whole worker, or a worker whose children live on, at random."""
        worker = self.chance.choice(self.workers)
        children = children_of(worker.pid)
        what = self.chance.choices(["child", "worker", "parent alone"], [6, 3, 1])[0]
        if what == "child" and not children:
            return  # it is still coming up
        self.kills[what] += 1
        if what == "child":
            _kill(self.chance.choice(children))
            return
        if what == "worker":
            os.killpg(worker.pid, signal.SIGKILL)
        else:
            _kill(worker.pid)
        self.workers.remove(worker)
        self.dead.append(worker)
        self.fill_up()

    def end(self) -> None:
        """End all, orderly where that is possible, and children whose parent was killed."""
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            try:
                worker.wait(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(worker.pid, signal.SIGKILL)
                worker.wait(timeout=5)
        for worker in self.dead:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait(timeout=5)
        self.workers, self.dead = [], []

    def _start(self) -> subprocess.Popen[bytes]:
        with (self.folder / "workers.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.growth.worker"],
                cwd=ROOT,
                env={**os.environ, **self.variables},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def children_of(pid: int) -> list[int]:
    """Return the child processes of a process, on Linux."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it ended by itself
