"""The API of a project that does not show runs, but has a model of that name of its own."""

from __future__ import annotations

from django.urls import include, path
from rest_framework.routers import SimpleRouter
from rest_framework.viewsets import ReadOnlyModelViewSet

from example_shop.models import Product
from tests.surfaces.rest.urls import OrderViewSet


class JogViewSet(ReadOnlyModelViewSet[Product]):
    queryset = Product.objects.all()


router = SimpleRouter()
router.register("orders", OrderViewSet)
router.register("runs", JogViewSet, basename="run")

urlpatterns = [path("api/", include(router.urls))]
