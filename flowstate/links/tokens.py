"""The token of a link: says which approval and which person, signed, and good for a time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

from django.core import signing
from django.urls import reverse

from flowstate.conf import settings
from flowstate.models import Approval

SALT = "flowstate.links.approval"
"""Of our own, so that what another part of the project signs is no link, nor the other way round."""


class Addressed(NamedTuple):
    """What a token says."""

    approval: int
    user: str


def approval_link(approval: Approval, user: Any) -> str:
    """Return the path of the page on which this person, logged in, decides this approval.

    It needs `flowstate.links.urls` among the project's URLs. Nobody else can use it, and looking at it decides
    nothing. It is good for `FLOWSTATE["APPROVAL_LINK_LIFETIME"]` seconds.
    """
    token = signing.dumps([approval.pk, str(user.pk)], salt=SALT)
    return reverse("flowstate_links:approval", args=[token])


def addressed(token: str) -> Addressed:
    """Return what a token says. Raises `SignatureExpired`, or `BadSignature` for one that was not made here."""
    approval, user = signing.loads(
        token, salt=SALT, max_age=timedelta(seconds=settings().approval_link_lifetime)
    )
    return Addressed(int(approval), str(user))
