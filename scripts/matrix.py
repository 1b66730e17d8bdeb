"""Run the suites on SQLite with Django 6, on every Python from 3.12 on that is found here.

Each gets an environment of its own, `.venv-3.12` and so on; constraints.txt gives it Django 6.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from scripts.check import ROOT, SUITES, UNIT

NEWER = ("3.12", "3.13", "3.14")


def find(version: str) -> Path | None:
    """Return the interpreter of that version, on PATH or among pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    on_path = [Path(folder) / f"python{version}" for folder in os.get_exec_path()]
    for candidate in (*on_path, *sorted(pyenv.glob(f"{version}.*/bin/python"))):
        # Running it is the question: pyenv puts names on PATH that refuse to start.
        if os.access(candidate, os.X_OK) and succeeds(candidate, "-c", "import ensurepip"):
            return candidate
    return None


def succeeds(*command: str | Path) -> bool:
    """Run a command without showing what it says."""
    return subprocess.run(command, check=False, cwd=ROOT, capture_output=True).returncode == 0


def environment(version: str, interpreter: Path) -> Path:
    """Return the Python of that version's environment, with the requirements as they are now."""
    folder = ROOT / f".venv-{version}"
    python = folder / "bin/python"
    if not python.exists():
        subprocess.run([interpreter, "-m", "venv", folder], check=True)
    install = ["-m", "pip", "install", "-q", "-c", "constraints.txt", "-e", ".[dev]"]
    subprocess.run([python, *install], check=True, cwd=ROOT)
    return python


def suites_pass(python: Path) -> bool:
    """Run unit and SQLite suites; return whether all passed."""
    results = [
        subprocess.run(
            [python, "-m", "pytest", "-q", *suite.present()],
            check=False,
            cwd=ROOT,
            env={**os.environ, "FLOWSTATE_TEST_DATABASE": suite.database},
        )
        for suite in (UNIT, *SUITES)
        if suite.database in {"none", "sqlite"} and not suite.needs and suite.present()
    ]
    return all(result.returncode == 0 for result in results)


def main() -> int:
    found = {version: path for version in NEWER if (path := find(version))}
    if not found:
        print(f"NOT RUN: NO PYTHON {' OR '.join(NEWER)} HERE")
        return 0
    red = []
    for version, interpreter in found.items():
        python = environment(version, interpreter)
        django = subprocess.run(
            [python, "-m", "django", "--version"], check=True, capture_output=True, text=True
        )
        name = f"Python {version}, Django {django.stdout.strip()}"
        print(f"--- {name}", flush=True)
        if not suites_pass(python):
            red.append(name)
    for name in red:
        print(f"FAILED: {name}")
    return 1 if red else 0


if __name__ == "__main__":
    sys.exit(main())
