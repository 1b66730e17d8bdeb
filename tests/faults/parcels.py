"""What the steps of `parcels.mmd` do; its base is written by `flowstate_scaffold`."""

from __future__ import annotations

import os
from typing import Any

from rest_framework import serializers

from flowstate import Chosen, Context, step
from tests.faults import ledger
from tests.faults.parcels_base import ParcelBase


class ParcelInput(serializers.Serializer[Any]):
    grams = serializers.IntegerField()


class Parcel(ParcelBase):
    """By bike or by van; the van's journey lasts as long as calls are held."""

    input = ParcelInput

    class Meta:
        exclusive = None

    def weigh(self, ctx: Context[Any]) -> Chosen:
        ctx.set("weighed_in", os.getpid())
        grams = ctx.input["grams"]
        return self.by_weight.is_heavy({"grams": grams}) if grams > 500 else self.by_weight.is_light()

    def bike(self, ctx: Context[Any]) -> str:
        return "by bike"

    @step(timeout=20)
    def van(self, ctx: Context[Any]) -> dict[str, Any]:
        ledger.call(ctx.idempotency_key)
        ledger.held(ctx.idempotency_key, within=15)
        return {"grams": ctx.get("weigh")["grams"], "driven_in": os.getpid()}

    def hand_over(self, ctx: Context[Any]) -> str:
        return f"handed over {'by van' if 'van' in ctx.results else ctx.results['bike']}"
