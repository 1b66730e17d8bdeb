"""Options: what `class Meta` of a workflow may say, merged key by key with its parents'."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, TypeAlias, TypedDict

from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows.policies import Duration, flag, limit, refuse_unknown

Rollback: TypeAlias = Literal["cascade", "none"]
Exclusive: TypeAlias = Literal["action", "entity"] | None

LONGEST_WORKFLOW_NAME: Final = 255


class MetaOptions(TypedDict, total=False):
    """The keys of `class Meta` beside `name`, for workflows put together by a call."""

    atomic: bool
    timeout: Duration | None
    rollback: Rollback
    initial_data: Mapping[str, Any]
    version: int
    exclusive: Exclusive


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Options:
    """`class Meta` as it counts for one workflow."""

    name: str
    atomic: bool = False
    timeout: float | None = None
    """Seconds that a whole run may take."""
    rollback: Rollback = "cascade"
    initial_data: dict[str, Any]
    """What `ctx.data` begins with; each run takes a deep copy."""
    version: int = 1
    exclusive: Exclusive = "action"
    given: frozenset[str]
    """The keys that somebody wrote. Without an entity, `exclusive` counts only if it is among them."""


def options_of(cls: type, path: str, label: str) -> Options:
    """Return the options of a workflow class; `path` is its name where Meta gives none.

    A name belongs to one class and is not inherited. Raises DeclarationInvalid, beginning with `label`.
    """
    found: dict[str, Any] = {}
    for parent in reversed(cls.__mro__):
        if "Meta" in vars(parent):
            found.update(_keys(vars(parent)["Meta"], label))
    found.pop("name", None)
    own = vars(cls).get("Meta")
    if own is not None and "name" in vars(own):
        found["name"] = vars(own)["name"]
    checked = {key: _CHECKS[key](given, f"{label}: Meta.{key}") for key, given in found.items()}
    return Options(**{"name": path, "initial_data": {}, **checked, "given": frozenset(found)})


def _keys(meta: object, label: str) -> dict[str, Any]:
    if not isinstance(meta, type):
        message = f"{label}: Meta is a class, not {meta!r}."
        raise DeclarationInvalid(message)
    found: dict[str, Any] = {}
    for part in reversed(meta.__mro__):
        if part is not object:
            found.update({key: given for key, given in vars(part).items() if not _belongs_to_python(key)})
    refuse_unknown(f"{label}: Meta", found, _CHECKS)
    return found


def _belongs_to_python(key: str) -> bool:
    return key.startswith("__") and key.endswith("__")


def checked_workflow_name(given: object, what: str) -> str:
    """Return the name of a workflow. Raises DeclarationInvalid for one that the journal could not hold."""
    fits = isinstance(given, str) and 0 < len(given) <= LONGEST_WORKFLOW_NAME and given.isprintable()
    if isinstance(given, str) and fits and " " not in given:  # any other space is not printable
        return given
    message = f"{what} is a text without spaces, at most {LONGEST_WORKFLOW_NAME} characters, not {given!r}."
    raise DeclarationInvalid(message)


def _checked_initial_data(given: object, what: str) -> dict[str, Any]:
    if isinstance(given, Mapping) and all(isinstance(key, str) for key in given):
        return deepcopy(dict(given))
    message = f"{what} is a mapping with texts as keys, not {given!r}."
    raise DeclarationInvalid(message)


def _checked_version(given: object, what: str) -> int:
    if isinstance(given, int) and not isinstance(given, bool) and given >= 1:
        return given
    message = f"{what} is a whole number from 1, not {given!r}."
    raise DeclarationInvalid(message)


def _one_of(*known: str | None) -> Callable[[Any, str], Any]:
    def checked(given: Any, what: str) -> Any:
        if isinstance(given, str | None) and given in known:
            return given
        message = f"{what} is {' or '.join(repr(item) for item in known)}, not {given!r}."
        raise DeclarationInvalid(message)

    return checked


_CHECKS: Final[dict[str, Callable[[Any, str], Any]]] = {
    "name": checked_workflow_name,
    "atomic": flag,
    "timeout": limit,
    "rollback": _one_of("cascade", "none"),
    "initial_data": _checked_initial_data,
    "version": _checked_version,
    "exclusive": _one_of("action", "entity", None),
}

# A key without a check, or a check without a key, would be a mistake in this module.
assert set(_CHECKS) == {field.name for field in fields(Options)} - {"given"}  # noqa: S101
