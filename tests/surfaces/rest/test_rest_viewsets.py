"""ActionsMixin on viewsets of all sorts: which model, which routes, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.viewsets import GenericViewSet, ModelViewSet, ViewSet

from example_shop.models import Order, Product
from flowstate.exceptions import DeclarationInvalid
from flowstate.rest import ActionsMixin
from tests.surfaces.rest.workflows import ACTIONS


class OrderSerializer(serializers.ModelSerializer[Order]):
    class Meta:
        model = Order
        fields = ("id",)


def names(viewset: type) -> set[str]:
    return {handler.__name__ for handler in viewset.get_extra_actions()}  # type: ignore[attr-defined]


def routes(viewset: type) -> set[str]:
    router = SimpleRouter()
    router.register("x", viewset, basename="x")
    return {str(pattern.pattern) for pattern in router.urls}


def test_the_model_is_that_of_the_queryset() -> None:
    class OrderViewSet(ActionsMixin, ModelViewSet[Order]):
        queryset = Order.objects.all()

    assert set(ACTIONS) < names(OrderViewSet)
    assert {r"^x/(?P<pk>[^/.]+)/pay/$", r"^x/import-orders/$", r"^x/(?P<pk>[^/.]+)/for-everybody/$"} < routes(
        OrderViewSet
    )


def test_the_model_is_that_of_the_serializer() -> None:
    class OrderViewSet(ActionsMixin, GenericViewSet[Order]):
        serializer_class = OrderSerializer

    assert set(ACTIONS) < names(OrderViewSet)


def test_the_model_that_is_named_comes_first() -> None:
    class OrderViewSet(ActionsMixin, GenericViewSet[Product]):
        queryset = Product.objects.all()
        actions_model = Order

    assert set(ACTIONS) < names(OrderViewSet)


def test_a_viewset_without_a_model_is_refused() -> None:
    class Lost(ActionsMixin, ViewSet):
        pass

    with pytest.raises(DeclarationInvalid, match="Lost uses ActionsMixin without a model: set queryset"):
        routes(Lost)


def test_the_extra_actions_of_the_viewset_stay() -> None:
    class OrderViewSet(ActionsMixin, ModelViewSet[Order]):
        queryset = Order.objects.all()

        @action(detail=True)
        def label(self, request: Request, pk: str) -> Response:
            return Response()

    assert "label" in names(OrderViewSet)


def test_an_action_with_the_name_of_an_attribute_is_refused() -> None:
    class OrderViewSet(ActionsMixin, ModelViewSet[Order]):
        queryset = Order.objects.all()

        def pay(self) -> None: ...

    with pytest.raises(
        DeclarationInvalid, match=r"OrderViewSet\.pay stands where the action shop\.order\.pay"
    ):
        routes(OrderViewSet)


def test_two_routes_of_one_path_are_refused() -> None:
    class OrderViewSet(ActionsMixin, ModelViewSet[Order]):
        queryset = Order.objects.all()

        @action(detail=True, url_path="for-everybody")
        def mine(self, request: Request, pk: str) -> Response:
            return Response()

    with pytest.raises(DeclarationInvalid, match=r"give shop\.order\.for_all another path="):
        routes(OrderViewSet)


def test_a_viewset_of_another_model_does_not_inherit_the_routes() -> None:
    class OrderViewSet(ActionsMixin, ModelViewSet[Any]):
        queryset: Any = Order.objects.all()

    class ProductViewSet(OrderViewSet):
        queryset = Product.objects.all()

    assert "pay" in names(OrderViewSet)
    assert names(ProductViewSet) == {"reprice", "restock"}


def test_a_view_can_be_made_without_a_router() -> None:
    class OrderViewSet(ActionsMixin, ModelViewSet[Order]):
        queryset = Order.objects.all()

    view = OrderViewSet.as_view({"post": "pay"})

    assert view._non_atomic_requests == {"default"}
