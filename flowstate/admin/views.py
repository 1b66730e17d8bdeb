"""How the views of this package are put into an admin site."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from django.db import connections, transaction

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite
    from django.http.response import HttpResponseBase


def own_view(site: AdminSite, view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Return the view for staff only, with CSRF protection, and outside the transactions of ATOMIC_REQUESTS.

    The engine commits for itself: a transaction around the request would take the journal away with it.
    """
    wrapped: Callable[..., HttpResponseBase] = site.admin_view(view)
    for alias in connections:
        wrapped = transaction.non_atomic_requests(using=alias)(wrapped)
    return wrapped
