"""The shop over HTTP: the actions of the models become `POST /api/orders/7/checkout/` and so on."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework import mixins, serializers, viewsets
from rest_framework.routers import DefaultRouter

from example_shop.models import Customer, Order, OrderLine, Product
from flowstate.rest import ActionsMixin


class ProductSerializer(serializers.ModelSerializer[Product]):
    class Meta:
        model = Product
        fields = ("id", "sku", "name", "description", "price", "stock")


class OrderLineSerializer(serializers.ModelSerializer[OrderLine]):
    sku = serializers.SlugRelatedField(source="product", slug_field="sku", queryset=Product.objects.all())

    class Meta:
        model = OrderLine
        fields = ("sku", "quantity", "unit_price")
        read_only_fields = ("unit_price",)


class OrderSerializer(serializers.ModelSerializer[Order]):
    lines = OrderLineSerializer(many=True, allow_empty=False)

    class Meta:
        model = Order
        fields = ("id", "status", "total", "placed_at", "lines")
        read_only_fields = ("status", "total")

    def create(self, validated_data: dict[str, Any]) -> Order:
        quantities: dict[Product, int] = {}
        for line in validated_data["lines"]:
            quantities[line["product"]] = quantities.get(line["product"], 0) + line["quantity"]
        customer = Customer.objects.of(self.context["request"].user)
        return Order.objects.place(customer, quantities)


class ProductViewSet(ActionsMixin, viewsets.ReadOnlyModelViewSet[Product]):
    queryset = Product.objects.all()
    serializer_class = ProductSerializer


class OrderViewSet(ActionsMixin, mixins.CreateModelMixin, viewsets.ReadOnlyModelViewSet[Order]):
    """Orders are placed and read here; everything else that happens to them is an action."""

    queryset = Order.objects.all()
    serializer_class = OrderSerializer

    def get_queryset(self) -> QuerySet[Order]:
        return Order.objects.visible_to(self.request.user).prefetch_related("lines__product")


router = DefaultRouter()
router.register("products", ProductViewSet)
router.register("orders", OrderViewSet)
