"""The API under test. Imported when a test first asks it, after the actions were registered."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import include, path
from rest_framework.authentication import BasicAuthentication
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.routers import DefaultRouter
from rest_framework.viewsets import ModelViewSet

from example_shop.api import OrderSerializer
from example_shop.models import Order
from flowstate.rest import ActionsMixin


class NoWritesInTheName(BasePermission):
    """Refuses objects of the customer "Locked", to show that the viewset's own permissions come first."""

    def has_object_permission(self, request: Request, view: Any, obj: Order) -> bool:
        return request.method in SAFE_METHODS or obj.customer.name != "Locked"


class OrderViewSet(ActionsMixin, ModelViewSet[Order]):
    queryset = Order.objects.all()
    serializer_class = OrderSerializer
    permission_classes = [NoWritesInTheName]

    def get_queryset(self) -> QuerySet[Order]:
        return Order.objects.visible_to(self.request.user).select_related("customer")


class OpenOrderViewSet(OrderViewSet):
    """Shows every order to everybody, so that only the rules stand between."""

    def get_queryset(self) -> QuerySet[Order]:
        return Order.objects.select_related("customer")


class BasicOrderViewSet(OpenOrderViewSet):
    """Asks for a password by HTTP, which answers 401 where a session answers 403."""

    authentication_classes = [BasicAuthentication]


router = DefaultRouter()
router.register("orders", OrderViewSet)
router.register("open-orders", OpenOrderViewSet, basename="open-order")
router.register("basic-orders", BasicOrderViewSet, basename="basic-order")

urlpatterns = [
    path("api/", include(router.urls)),
    path("api/", include("flowstate.rest.urls")),
]
