"""Workflows that are given secrets by every door, and whose steps quote them where they should not."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from flowstate import Context, EventStep, Retry, UpdateStep, Workflow, step
from tests.kiosk.models import Sale

seen: list[tuple[str, Any]] = []
"""What the steps were given, in the clear."""

failing: set[str] = set()


class Holder(serializers.Serializer[Any]):
    name = serializers.CharField()
    pin = serializers.CharField(write_only=True, required=False)


class VaultInput(serializers.Serializer[Any]):
    card = serializers.CharField(write_only=True)
    holder = Holder(required=False)
    others = Holder(many=True, required=False)


class Vault(Workflow):
    """Takes a card, is sent a code, keeps both on the row, and may fail in words that quote them."""

    input = VaultInput

    @step(sensitive=["token"])
    def tokenize(self, ctx: Context[Sale]) -> dict[str, str]:
        seen.append(("card", ctx.input["card"]))
        ctx.set("copy", ctx.input["card"])  # nobody said that this is one
        return {"token": f"tok-{ctx.input['card']}", "brand": "visa"}

    @tokenize.compensate
    def forget(self, ctx: Context[Sale], result: Any) -> None:
        seen.append(("forget", result["token"]))
        if "forget" in failing:
            message = f"cannot forget {result['token']}"
            raise OSError(message)

    code = EventStep("vault.code", key=lambda ctx: str(ctx.entity_id), sensitive=["code"])

    keep = UpdateStep(values=lambda ctx: {"note": ctx.results["code"]["code"]}, sensitive=["note"])

    @step(background=True, retry=Retry(2, delay=0))
    def charge(self, ctx: Context[Sale]) -> str:
        seen.append(
            ("charge", (ctx.input["card"], ctx.results["tokenize"]["token"], ctx.results["code"]["code"]))
        )
        if "charge" in failing:
            message = f"card {ctx.input['card']} declined, code {ctx.results['code']['code']}"
            raise OSError(message)
        return f"charged {ctx.input['card']}"  # nobody said that this is one

    def output(self, ctx: Context[Sale]) -> dict[str, Any]:
        if "output" in failing:
            message = f"no output for {ctx.input['card']}"
            raise OSError(message)
        return {"charged": ctx.results["charge"], "shown": "ok"}

    def on_complete(self, run: Any) -> None:
        message = f"hook of {run.input['card']}"
        raise OSError(message)

    on_failed = on_complete
