"""How functions of users are called and looked at: async ones run to their end, wrong arity is refused."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from copy import deepcopy
from types import FunctionType
from typing import Any

from asgiref.sync import async_to_sync

from flowstate.exceptions import DeclarationInvalid


def call(fn: Callable[..., Any], *args: Any) -> Any:
    """Return what `fn` returns; what it returns as an awaitable is run to its end."""
    result = fn(*args)
    if not inspect.isawaitable(result):
        return result
    return async_to_sync(_outcome)(result)


async def _outcome(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def value_of(given: Any, ctx: Any) -> Any:
    """Return what an option says: `given(ctx)` of a function, else a copy of the plain value."""
    return call(given, ctx) if callable(given) else deepcopy(given)


def refuse_wrong_arity(fn: Callable[..., Any], arguments: tuple[str, ...], what: str) -> None:
    """Raise DeclarationInvalid unless `fn` can be called with these positional arguments.

    `what` begins the message. A generator function is refused too: calling it would run nothing of its body.
    """
    wanted = f"({', '.join(arguments)})"
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        message = f"{what} takes {wanted} and returns; {name_of(fn)} yields, so its body would never run."
        raise DeclarationInvalid(message)
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        return  # written in C, without a signature: nothing can be said
    try:
        signature.bind(*arguments)
    except TypeError as err:
        message = f"{what} takes {wanted}, but {name_of(fn)} takes {parameters_of(signature)}."
        raise DeclarationInvalid(message) from err


def refuse_wrong_method(cls: type, name: str, arguments: tuple[str, ...], what: str) -> None:
    """Raise DeclarationInvalid unless the attribute can be called on an instance with these arguments."""
    found = inspect.getattr_static(cls, name)
    if isinstance(found, staticmethod | classmethod):
        refuse_wrong_arity(getattr(cls, name), arguments, what)
    elif isinstance(found, FunctionType):
        refuse_wrong_arity(found, ("self", *arguments), what)
    elif callable(found):
        refuse_wrong_arity(found, arguments, what)
    else:
        message = f"{what} is a function (self, {', '.join(arguments)}), not {found!r}."
        raise DeclarationInvalid(message)


def name_of(fn: object) -> str:
    """Return how a message calls the function."""
    path: str = getattr(fn, "__qualname__", "") or repr(fn)
    return path.rpartition("<locals>.")[2]


def parameters_of(signature: inspect.Signature) -> str:
    """Return the parameters without their annotations, which would drown them."""
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()
    ]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))
