"""Which workflow class holds which name in this process, beside those that are found by their path."""

from __future__ import annotations

from typing import Any

from flowstate.exceptions import DeclarationInvalid

_holders: dict[str, type[Any]] = {}


def hold(name: str, cls: type[Any]) -> None:
    """Let the class be found by this name. Raises DeclarationInvalid where another class holds it."""
    holder = _holders.get(name, cls)
    if holder is not cls and not _made_again(holder, cls):
        message = (
            f"Two workflows are named {name!r}, {path_of(holder)} and {path_of(cls)}: "
            "a stored run could not tell which is its own."
        )
        raise DeclarationInvalid(message)
    _holders[name] = cls


def holder_of(name: str) -> type[Any] | None:
    """Return the class that holds this name, if one does."""
    return _holders.get(name)


def path_of(cls: type[Any]) -> str:
    """Return the dotted path of a class."""
    return f"{cls.__module__}.{cls.__qualname__}"


def importable(cls: type[Any]) -> bool:
    """Return whether another process can import the class by its path."""
    # "<locals>" of a function, "<built>" by a call; and each process has a __main__ of its own.
    return "<" not in cls.__qualname__ and cls.__module__ != "__main__"


def _made_again(one: type[Any], other: type[Any]) -> bool:
    """Whether the module, or the function, that makes the class ran once more."""
    return path_of(one) == path_of(other) and "<built>" not in one.__qualname__
