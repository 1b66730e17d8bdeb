"""Names of a diagram as Python's: `SecondTask` is a method `second_task`, `Order checkout` a class `OrderCheckout`."""

from __future__ import annotations

import keyword
import re
from typing import Final

_BORDERS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\W_]+")


def snake_case(name: str) -> str:
    """Return a name or a text as that of a method; empty where Python could not have one of that name."""
    words = (word for word in _BORDERS.split(name.replace("'", "")) if word)
    found = "_".join(words).lower()
    return found if found.isidentifier() and not keyword.iskeyword(found) else ""


def class_name(title: str) -> str:
    """Return a title as the name of a class, its own capitals kept; empty where Python could not have one."""
    words = (word for word in re.split(r"[\W_]+", title.replace("'", "")) if word)
    found = "".join(word[0].upper() + word[1:] for word in words)
    return found if found.isidentifier() and not keyword.iskeyword(found) else ""
