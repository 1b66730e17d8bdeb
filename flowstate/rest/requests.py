"""What a request says about the start of an action: who asks, with what input, under which key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import AnonymousUser
from django.http import QueryDict
from rest_framework.exceptions import ValidationError
from rest_framework.settings import api_settings

if TYPE_CHECKING:
    from rest_framework.request import Request

_SAFE_METHODS = ("GET", "HEAD")


def caller_of(request: Request) -> Any:
    """Return the user; an anonymous one also where the project's setting says that nobody is None."""
    user: Any = request.user
    return AnonymousUser() if user is None else user


def key_of(request: Request) -> str | None:
    """Return the idempotency key, or None."""
    return request.headers.get("Idempotency-Key")


def scope_of(request: Request) -> str:
    """Return what keeps the keys of anonymous callers apart: their session's key, empty without one."""
    session = getattr(request, "session", None)
    if session is None or caller_of(request).is_authenticated:
        return ""
    session.keys()  # loads it, which drops a key that the client made up
    return session.session_key or ""


def input_of(request: Request) -> Any:
    """Return the input, without what belongs to the form or the URL. Raises ValidationError for a list and the like."""
    data = request.query_params if request.method in _SAFE_METHODS else request.data
    if isinstance(data, QueryDict):
        data = data.copy()
        for name in ("csrfmiddlewaretoken", api_settings.URL_FORMAT_OVERRIDE):
            data.pop(name, None)
    elif not isinstance(data, dict):
        message = f"The input is an object with the fields of the action, not {_kind(data)}."
        raise ValidationError(message)
    return data


def _kind(data: Any) -> str:
    match data:
        case None:
            return "null"
        case list():
            return "a list"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case _:
            return "a number"
