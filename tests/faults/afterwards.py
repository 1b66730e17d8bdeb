"""What is done and asked after a fault: everything recovers, and the rows agree with the world outside."""

from __future__ import annotations

from datetime import timedelta

from flowstate.engine.audit.fsck import find_broken
from flowstate.engine.carry.sweep import sweep
from flowstate.engine.events import sweep_inbox
from flowstate.models import Run, RunStatus
from flowstate.models.clock import shift_clock
from tests.faults import ledger, post
from tests.kiosk.models import Receipt, Sale

STOCK, QUANTITY = 10, 3


def recover_all(*, rounds: int = 20) -> None:
    """Let leases end, sweep and deliver until no run is at work any more."""
    for _round in range(rounds):
        shift_clock(100)
        sweep_inbox(limit=1000)
        while sweep(limit=1000) == 1000:
            pass
        post.deliver()
        if not Run.objects.filter(status__in=(RunStatus.RUNNING, RunStatus.COMPENSATING)).exists():
            return
    stuck = list(Run.objects.live().values_list("pk", "status", "wake_at"))
    raise AssertionError(f"Still at work after {rounds} rounds: {stuck}")


def complaints(run: Run, *, ends: str, outside: tuple[str, ...], most_calls: int) -> list[str]:
    """Return what does not agree for one run on a sale: its end, its rows, and the ledger.

    `outside` are the steps that call the outside, each under one key and at most `most_calls` times.
    """
    sale = Sale.objects.select_related("product").get(pk=run.object_id)
    succeeded = ends == "succeeded"
    rows = (sale.status, sale.product.stock, Receipt.objects.filter(sale=sale).count())
    wanted = ("paid", STOCK - QUANTITY, 1) if succeeded else ("open", STOCK, 0)
    # Those of the runs that work for it, too: they are on the same row.
    runs = {str(pk) for pk in Run.objects.filter(object_id=run.object_id).values_list("pk", flat=True)}
    called = {key: times for key, times in ledger.calls().items() if key.partition(":")[0] in runs}
    standing = {key for key in ledger.standing() if key.partition(":")[0] in runs}
    names = sorted(key.partition(":")[2] for key in called)
    found = {
        f"the run is {run.status}, not {ends}": run.status != ends,
        f"its rows are {rows}, not {wanted}": rows != wanted,
        f"the ledger has the keys {sorted(called)}": not (
            names == sorted(outside)
            if succeeded
            else len(set(names)) == len(names) and set(names) <= set(outside)
        ),
        f"the ledger was called {called}": any(times > most_calls for times in called.values()),
        f"outside {sorted(standing)} still stand": standing != (set(called) if succeeded else set()),
    }
    return [words for words, wrong in found.items() if wrong]


def broken() -> list[str]:
    """Return what `flowstate_fsck` says, on one clock."""
    return [
        f"{row.invariant} {row.run} {row.step} {row.words}"
        for row in find_broken(using="default", skew=timedelta(0))
    ]
