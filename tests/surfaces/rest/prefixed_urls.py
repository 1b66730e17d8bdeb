"""The API of a project that registers runs in its own router, under a namespace of its own."""

from __future__ import annotations

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from flowstate.rest import RunViewSet
from tests.surfaces.rest.urls import OrderViewSet

router = SimpleRouter()
router.register("orders", OrderViewSet)
router.register("runs", RunViewSet)

urlpatterns = [path("v1/", include((router.urls, "v1")))]
