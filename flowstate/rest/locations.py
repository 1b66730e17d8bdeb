"""Where a run can be looked at over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.urls import NoReverseMatch, Resolver404, get_script_prefix, resolve
from rest_framework.reverse import reverse

from flowstate.models import Run

if TYPE_CHECKING:
    from rest_framework.request import Request


def location_of(run: Run, request: Request) -> str | None:
    """Return the absolute URL of the run, or None where the project has no URLs for runs.

    Looks for `run-detail` beside the view that was asked, where `flowstate.rest.urls` is included, and
    without a namespace.
    """
    match = request.resolver_match
    here = match.namespace if match is not None else ""
    for namespace in dict.fromkeys((here, f"{here}:flowstate".lstrip(":"), "flowstate", "")):
        name = f"{namespace}:run-detail" if namespace else "run-detail"
        try:
            url = reverse(name, kwargs={"pk": run.pk}, request=request)
        except NoReverseMatch:
            continue
        if _shows_runs(url):
            return url
    return None


def _shows_runs(url: str) -> bool:
    # The project may have a model Run of its own, for joggers.
    path = "/" + urlsplit(url).path.removeprefix(get_script_prefix())
    try:
        view = resolve(path).func
    except Resolver404:
        return False
    queryset = getattr(getattr(view, "cls", None), "queryset", None)
    return getattr(queryset, "model", None) is Run
