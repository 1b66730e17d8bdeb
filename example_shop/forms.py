"""The forms of the shop's pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from django import forms

from example_shop import bank
from example_shop.models import Product


class OrderForm(forms.Form):
    """How many of each product; at least one of anything."""

    def __init__(self, products: Iterable[Product], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.products = list(products)
        for product in self.products:
            self.fields[product.sku] = forms.IntegerField(
                label=f"Quantity of {product.name}", min_value=0, max_value=99, required=False, initial=0
            )

    def rows(self) -> list[tuple[Product, forms.BoundField]]:
        """Return each product with its field, for the template."""
        return [(product, self[product.sku]) for product in self.products]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and not self.quantities():
            message = "Choose at least one product."
            raise forms.ValidationError(message)
        return cleaned

    def quantities(self) -> dict[Product, int]:
        """Return what was chosen; the form must have been cleaned."""
        chosen = {product: self.cleaned_data.get(product.sku) or 0 for product in self.products}
        return {product: quantity for product, quantity in chosen.items() if quantity}


class ActionForm(forms.Form):
    """What every button on an order sends: one key for each time the page was drawn.

    A double click, or Back and again, sends the same key, and the same key gives the same run.
    """

    key = forms.CharField(widget=forms.HiddenInput, initial=lambda: str(uuid4()), max_length=64)


class CheckoutForm(ActionForm):
    """Which card to pay with."""

    card = forms.ChoiceField(choices=bank.CARDS, widget=forms.RadioSelect, initial="good", label="Pay with")
