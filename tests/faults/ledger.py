"""The outside world: an append-only file that plays the bank, keyed by idempotency key.

It survives whoever is killed, knows nothing of the journal, and does what a good partner does: a call whose
key it knows changes nothing, and an undo names the key of the call that it undoes.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

VARIABLE = "FLOWSTATE_TEST_LEDGER"


def _write(*words: str) -> None:
    line = " ".join(words) + "\n"
    # One write in append mode: lines of processes that write at once do not mix, and a kill leaves no half.
    handle = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, line.encode())
    os.close(handle)


def call(key: str) -> str:
    """Do something outside under a key; return its reference there."""
    _write("do", key)
    return f"ref {key}"


def undo(forward_key: str, key: str) -> None:
    """Undo what was done under `forward_key`, if it was."""
    _write("undo", forward_key, key)


def _lines() -> list[list[str]]:
    path = Path(os.environ[VARIABLE])
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def calls() -> Counter[str]:
    """Return how often the outside was called under each key."""
    return Counter(words[1] for words in _lines() if words[0] == "do")


def undo_calls() -> Counter[str]:
    """Return how often undoing was asked for, by the key of the undoing itself."""
    return Counter(words[2] for words in _lines() if words[0] == "undo")


def standing() -> set[str]:
    """Return the keys whose effect stands: done and not undone. A key once undone stays undone."""
    undone = {words[1] for words in _lines() if words[0] == "undo"}
    return set(calls()) - undone


# --- calls that last ---------------------------------------------------------------------------------


def hold() -> None:
    """Let calls last from now on."""
    Path(f"{os.environ[VARIABLE]}.hold").touch()


def let_go() -> None:
    """Let the calls that last come to their end."""
    Path(f"{os.environ[VARIABLE]}.hold").unlink()


def held(key: str, within: float) -> None:
    """Be the call: say which process makes it, and last while calls are held, but at most `within` seconds."""
    _write("process", key, str(os.getpid()))
    end = time.monotonic() + within
    while Path(f"{os.environ[VARIABLE]}.hold").exists() and time.monotonic() < end:
        time.sleep(0.01)


def processes(key: str) -> list[int]:
    """Return the processes that made calls under a key, in their order."""
    return [int(words[2]) for words in _lines() if words[0] == "process" and words[1] == key]


def forget() -> None:
    """Begin with an empty ledger."""
    Path(os.environ[VARIABLE]).unlink(missing_ok=True)
