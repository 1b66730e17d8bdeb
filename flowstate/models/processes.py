"""Names of operating system processes, and whether one on this machine is gone.

A claim carries the name of its process. A sweeper on the same machine, in the same boot and the same process
namespace, can see that such a process no longer exists and take its steps over before their lease ends; of
any other process it can only say that its lease has not ended. A number that was given to a new process in
the meantime is told apart by the time at which the process began.
"""

from __future__ import annotations

import hashlib
import os
import socket
from functools import cache
from pathlib import Path


def own_name() -> str:
    """Return the name of this process: machine, number and, where the system tells it, when it began."""
    return _name_of(os.getpid())  # asked afresh, since a worker's child is another process


def is_gone(name: str) -> bool:
    """Return whether a process of this machine no longer exists; False for one that cannot be judged."""
    machine, _, rest = name.partition(":")
    number, _, began = rest.partition(":")
    if machine != _machine() or not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return began != _began(int(number))


@cache
def _name_of(number: int) -> str:
    return f"{_machine()}:{number}:{_began(number)}"


@cache
def _machine() -> str:
    """Return what makes a process number unique: host, boot and process namespace, as a short digest."""
    parts = [socket.gethostname(), _text("/proc/sys/kernel/random/boot_id")]
    try:
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    except OSError:  # not Linux: the host's name has to do
        parts.append("")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _began(number: int) -> str:
    """Return when a process began, in clock ticks since boot; "" where the system does not tell."""
    fields = _text(f"/proc/{number}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else ""  # field 22 of proc(5), counted from after the name


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
