"""The URLs that the tests know: those of the example shop, its admin included."""

from __future__ import annotations

from importlib.util import find_spec

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver]
if find_spec("example_shop") and find_spec("example_shop.urls"):
    urlpatterns = [path("", include("example_shop.urls"))]
else:
    urlpatterns = [path("admin/", admin.site.urls)]
