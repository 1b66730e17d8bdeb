"""S14: brokers hold ids, and nothing of what a run was given."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis

from flowstate import SYSTEM, conf, redaction
from flowstate.models import Run
from tests.carriers.test_brokers import broker
from tests.kiosk.stall import OnSale, on_sale, sale, user
from tests.kiosk.vault import Vault

__all__ = ["broker", "on_sale", "sale", "user"]

pytestmark = pytest.mark.django_db(transaction=True)


def contents(client: Any, queue: str) -> Iterator[str]:
    """Yield the messages of a queue and the keys that belong to it, the bodies decoded."""
    for message in client.lrange(queue, 0, -1):
        yield message.decode()
        yield b64decode(json.loads(message)["body"]).decode()


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_redis_holds_no_secret(broker: str, on_sale: OnSale) -> None:
    canary = f"c4nary-{uuid4().hex}"

    run = on_sale(Vault).enqueue(user=SYSTEM, input={"card": canary})

    client = Redis.from_url(broker)
    queue = conf.settings().default_queue
    told = "\n".join(contents(client, queue))
    client.delete(queue)
    redaction.forget_all()
    assert queue in told
    assert canary not in told
    assert Run.objects.get(pk=run.pk).input["card"] == canary
