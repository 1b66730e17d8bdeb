"""Secrets in the journal: values that are stored encrypted under a key made of SECRET_KEY, and shown to nobody."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.crypto import salted_hmac

from flowstate.exceptions import SecretsUnavailable, ValueNotSerializable
from flowstate.redaction import remember

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

_SALT = "flowstate.secrets"

NEEDED = 'Values that are sensitive are stored encrypted, and that needs cryptography: pip install "flowstate[secrets]".'


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that the journal holds encrypted."""

    value: Any


def hidden(value: Any, sensitive: bool | Collection[str]) -> Any:  # noqa: FBT001 - the step's option
    """Return the value with what is sensitive marked as secret: all of it, or the keys that are named."""
    if sensitive is True:
        return value if value is None or isinstance(value, Secret) else Secret(value)
    if sensitive and isinstance(value, Mapping):
        return {key: hidden(item, key in sensitive) for key, item in value.items()}
    return value


def available() -> bool:
    """Return whether this environment can encrypt."""
    return find_spec("cryptography") is not None


def refuse_unavailable() -> None:
    """Raise `SecretsUnavailable` where nothing sensitive could be stored."""
    if not available():
        raise SecretsUnavailable(NEEDED)


def sealed_text(text: str) -> str:
    """Return the text encrypted. Raises `SecretsUnavailable`."""
    refuse_unavailable()
    return _cipher(_keys()).encrypt(text.encode()).decode()


def opened_text(token: Any) -> str:
    """Return what was encrypted under SECRET_KEY or one of SECRET_KEY_FALLBACKS, and look out for it from now on.

    Raises `ValueNotSerializable` for anything else, and `SecretsUnavailable`.
    """
    refuse_unavailable()
    from cryptography.fernet import InvalidToken  # noqa: PLC0415 - late: an extra

    try:
        return _cipher(_keys()).decrypt(str(token).encode()).decode()
    except InvalidToken as err:
        message = (
            "The journal holds a secret that cannot be read: SECRET_KEY was changed since, and the old one is not "
            "in SECRET_KEY_FALLBACKS, or somebody changed the row."
        )
        raise ValueNotSerializable(message) from err


def sealed_column(text: Any) -> dict[str, str]:
    """Return a column's text as an undo record holds a sensitive one."""
    remember(text)
    return {"$secret": sealed_text("\0" if text is None else str(text))}


def opened_column(held: Any) -> Any:
    """Return the text of a column of an undo record, whether or not it was sensitive."""
    if not (isinstance(held, dict) and set(held) == {"$secret"}):
        return held
    text = opened_text(held["$secret"])
    remember(text)
    return None if text == "\0" else text


def _keys() -> tuple[str | bytes, ...]:
    return (settings.SECRET_KEY, *getattr(settings, "SECRET_KEY_FALLBACKS", ()))


@lru_cache(maxsize=8)
def _cipher(keys: tuple[str | bytes, ...]) -> MultiFernet:
    from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415 - late: an extra

    made = [salted_hmac(_SALT, "key", secret=key, algorithm="sha256").digest() for key in keys]
    return MultiFernet([Fernet(urlsafe_b64encode(key)) for key in made])
