"""The staff's side of the shop: flowstate's mixin adds the action buttons and the runs of each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin

from example_shop.models import Customer, Order, OrderLine, Payment, Product, Shipment
from flowstate.admin import ActionsAdminMixin

if TYPE_CHECKING:
    from django.http import HttpRequest

    ProductBase = admin.ModelAdmin[Product]
    OrderBase = admin.ModelAdmin[Order]
    LineBase = admin.TabularInline[OrderLine, Order]
    RecordBase = admin.ModelAdmin[Any]
else:  # these classes cannot be subscripted at run time
    ProductBase = OrderBase = RecordBase = admin.ModelAdmin
    LineBase = admin.TabularInline


class ReadOnly:
    """Nobody edits these rows by hand: they are written by actions."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class OrderLineInline(ReadOnly, LineBase):
    model = OrderLine
    extra = 0


@admin.register(Product)
class ProductAdmin(ActionsAdminMixin, ProductBase):
    list_display = ("name", "sku", "price", "stock")
    search_fields = ("name", "sku")
    readonly_fields = ("stock",)  # moved by actions: restock, checkout, cancel_order


@admin.register(Order)
class OrderAdmin(ActionsAdminMixin, ReadOnly, OrderBase):
    list_display = ("__str__", "customer", "status", "total", "placed_at")
    list_filter = ("status",)
    list_select_related = ("customer",)
    search_fields = ("customer__name", "=id")
    date_hierarchy = "placed_at"
    readonly_fields = ("placed_at",)
    inlines = (OrderLineInline,)


@admin.register(Payment)
class PaymentAdmin(ReadOnly, RecordBase):
    list_display = ("reference", "order", "amount", "status", "created_at")


@admin.register(Shipment)
class ShipmentAdmin(ReadOnly, RecordBase):
    list_display = ("order", "carrier", "tracking_code", "created_at")


@admin.register(Customer)
class CustomerAdmin(RecordBase):
    list_display = ("name", "user", "address")
    search_fields = ("name",)
