"""Rows that the workflows of the tests work on, and a ledger of what was really done."""

from __future__ import annotations

from django.db import models

from flowstate import Action, Actions, allow_any, is_owner


class Product(models.Model):
    name = models.CharField(max_length=50)
    stock = models.IntegerField(default=10)


class Sale(models.Model):
    owner = models.ForeignKey("auth.User", on_delete=models.CASCADE, null=True)
    product = models.ForeignKey(Product, on_delete=models.CASCADE)
    quantity = models.IntegerField(default=1)
    status = models.CharField(max_length=20, default="open")
    note = models.CharField(max_length=50, default="")

    actions = Actions(
        checkout=Action("tests.kiosk.workflows.Checkout", rules=[allow_any]),
        settle=Action("tests.kiosk.workflows.Settle", rules=[is_owner("owner")]),
        carry=Action("tests.kiosk.workflows.InTheBackground", rules=[allow_any]),
        replace=Action("tests.kiosk.workflows.Replace", rules=[allow_any]),
        touch=Action("tests.kiosk.workflows.Touch", rules=[allow_any]),
        guarded=Action("tests.kiosk.returns.Chain", rules=[lambda user, sale: sale.note != "closed"]),
        hurry=Action("tests.kiosk.workflows.Touch", rules=[allow_any], priority=60),
    )


class Receipt(models.Model):
    sale = models.ForeignKey(Sale, on_delete=models.CASCADE)
    reference = models.CharField(max_length=100)


class Entry(models.Model):
    """One line of the ledger: something was done, or undone, outside the engine's knowledge."""

    what = models.CharField(max_length=100)
    key = models.CharField(max_length=200, default="")
