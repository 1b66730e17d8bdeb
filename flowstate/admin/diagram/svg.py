"""Writes SVG: every attribute and text is escaped, and there is nothing that a strict content policy forbids."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import mark_safe

if TYPE_CHECKING:
    from django.utils.safestring import SafeString


def element(name: str, *children: str, **attributes: object) -> SafeString:
    """Return an element; a text among its children is escaped.

    Attributes are named as in Python: `css` is the class, `stroke_width` is stroke-width, `viewBox` stays. Those
    that are None are left out.
    """
    given = [
        ("class" if key == "css" else key.replace("_", "-"), value)
        for key, value in attributes.items()
        if value is not None
    ]
    attrs = format_html_join("", ' {}="{}"', given)
    return format_html("<{}{}>{}</{}>", name, attrs, joined(children), name)


def joined(parts: Iterable[str]) -> SafeString:
    """Return the parts one after the other; texts among them are escaped."""
    return mark_safe("".join(map(conditional_escape, parts)))  # noqa: S308 - each part is escaped just here


def shortened(text: str, most: int) -> str:
    """Return the text, cut with an ellipsis where it has more characters than that."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
