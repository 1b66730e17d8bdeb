"""Random steps over the whole zoo, and a world for them: what properties of undoing are tried on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st

from django.db import IntegrityError, models, transaction
from django.db.models import F

from flowstate.exceptions import RowMissing, RowProtected, UndoConflict
from flowstate.workflows.entities import CreateStep, DeleteStep, EntityStep, UpdateStep
from tests.zoo.models import (
    Animal,
    Cage,
    Code,
    Everything,
    Feed,
    Glossary,
    Keeper,
    Meal,
    Node,
    Note,
    Page,
    Parrot,
    Passport,
    Tag,
)
from tests.zoo.stage import carry_out, take_back

few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class rolled_back:  # noqa: N801 - reads as a word in `with`
    """Each example begins with the same rows."""

    def __enter__(self) -> None:
        self.block = transaction.atomic()
        self.block.__enter__()

    def __exit__(self, *error: Any) -> None:
        transaction.set_rollback(True)
        self.block.__exit__(*error)


def world() -> None:
    keepers = [Keeper.objects.create(name=name, email=f"{name}@example.org") for name in ("Kim", "Lou")]
    cages = [
        Cage.objects.create(house="A", number=i, keeper=keepers[i % 2], deputy=keepers[0]) for i in range(2)
    ]
    feeds = [Feed.objects.create(name=name, stock=100) for name in ("hay", "oats")]
    tags = [Tag.objects.create(name=name) for name in ("loud", "shy")]
    mother = None
    for index in range(3):
        kind = Parrot if index == 1 else Animal
        mother = kind.objects.create(name=str(index), cage=cages[index % 2], mother=mother)
        mother.tags.set(tags[: index + 1])
        Meal.objects.create(animal=mother, feed=feeds[index % 2])
        Passport.objects.create(animal=mother)
        mother.friends.set(Animal.objects.exclude(pk=mother.pk)[:index])
    glossary = Glossary.objects.create()
    for index in range(3):
        code = Code.objects.create(code=f"c{index}", alias=f"a{index}")
        for line in range(index):
            glossary.entries.create(code=code, line=str(line)).remarks.create()
    root = Node.objects.create(name="root")
    root.children.create(name="leaf", twin=root)
    Note.objects.create(text="note")
    Page.objects.create(title="page")
    Everything.objects.create()


Make = Callable[[models.Model, int], EntityStep]


def keys(model: type[models.Model]) -> list[Any]:
    return list(model._base_manager.order_by("pk").values_list("pk", flat=True))


def aliases() -> list[str]:
    return list(Code.objects.order_by("pk").values_list("alias", flat=True))


def at(row: models.Model) -> dict[str, Any]:
    return {"where": {"pk": row.pk}}


MAKERS: dict[str, tuple[type[models.Model], Make]] = {
    "feed an animal": (
        Animal,
        lambda row, n: CreateStep(
            "zoo.Meal", values={"animal_id": row.pk, "feed_id": (keys(Feed) or [0])[0] + n % 2}
        ),
    ),
    "hatch": (
        Animal,
        lambda row, n: CreateStep("zoo.Parrot", values={"name": str(n), "mother_id": row.pk, "words": [n]}),
    ),
    "plant": (
        Node,
        lambda row, n: CreateStep(
            "zoo.Node", values=[{"name": str(n), "parent_id": row.pk}, {"name": "x"}], many=True
        ),
    ),
    "count": (
        Feed,
        lambda row, n: UpdateStep(
            "zoo.Feed",
            **at(row),
            values={"stock": F("stock") + n, "price": F("price") - Decimal(n) / 100, "batch": F("stock")},
        ),
    ),
    "count directly": (
        Feed,
        lambda row, n: UpdateStep(
            "zoo.Feed", **at(row), values={"soak": F("soak") + timedelta(n)}, direct=True
        ),
    ),
    "move": (
        Animal,
        lambda row, n: UpdateStep(
            "zoo.Animal", **at(row), values={"cage_id": None, "name": f"moved {n}", "mother_id": row.pk}
        ),
    ),
    "teach": (
        Parrot,
        lambda row, n: UpdateStep("zoo.Parrot", **at(row), values={"words": [n], "weight": n, "wingspan": n}),
    ),
    "rename all": (
        Keeper,
        lambda row, n: UpdateStep("zoo.Keeper", where={"pk__gt": 0}, values={"name": f"all {n}"}, many=True),
    ),
    "tag": (
        Animal,
        lambda row, n: UpdateStep(
            "zoo.Animal",
            **at(row),
            values={"weight": F("weight") + n},
            add={"tags": keys(Tag)[: n + 1]},
            remove={"tags": keys(Tag)[n + 1 :]},
        ),
    ),
    "tag all": (
        Animal,
        lambda row, n: UpdateStep("zoo.Animal", where={"pk__gt": 0}, add={"tags": keys(Tag)[-1:]}, many=True),
    ),
    "untag": (
        Tag,
        lambda row, n: UpdateStep(
            "zoo.Tag", **at(row), values={"name": f"n {n}"}, remove={"animals": keys(Animal)[n:]}
        ),
    ),
    "befriend": (
        Animal,
        lambda row, n: UpdateStep(
            "zoo.Animal", **at(row), add={"friends": keys(Animal)[:n]}, remove={"friends": keys(Animal)[n:]}
        ),
    ),
    "change the diet": (
        Animal,
        lambda row, n: UpdateStep(
            "zoo.Animal", **at(row), add={"feeds": keys(Feed)[: n % 2]}, remove={"feeds": keys(Feed)[n % 2 :]}
        ),
    ),
    "define": (
        Glossary,
        lambda row, n: UpdateStep(
            "zoo.Glossary", **at(row), add={"codes": aliases()[:n]}, remove={"codes": aliases()[n:]}
        ),
    ),
    "drop a code": (Code, lambda row, n: DeleteStep("zoo.Code", **at(row))),
    "retitle": (Page, lambda row, n: UpdateStep("zoo.Page", **at(row), values={"title": f"Page {n}"})),
    "let an animal go": (Animal, lambda row, n: DeleteStep("zoo.Animal", **at(row))),
    "pull a cage down": (Cage, lambda row, n: DeleteStep("zoo.Cage", **at(row))),
    "dismiss a keeper": (Keeper, lambda row, n: DeleteStep("zoo.Keeper", **at(row))),
    "drop a tag": (Tag, lambda row, n: DeleteStep("zoo.Tag", **at(row))),
    "fell": (Node, lambda row, n: DeleteStep("zoo.Node", **at(row))),
    "use a feed up": (Feed, lambda row, n: DeleteStep("zoo.Feed", **at(row))),
    "delete softly": (Note, lambda row, n: DeleteStep("zoo.Note", **at(row))),
}
deeds = st.lists(
    st.tuples(st.sampled_from(sorted(MAKERS)), st.integers(0, 3), st.integers(-3, 3)), min_size=1, max_size=6
)


def done(name: str, index: int, number: int) -> tuple[EntityStep, Any] | None:
    """Carry out a deed on one of the rows that are there; None where it cannot be done."""
    model, make = MAKERS[name]
    rows = list(model._default_manager.order_by("pk"))
    if not rows:
        return None
    step = make(rows[index % len(rows)], number)
    try:
        return step, carry_out(step)
    except (RowProtected, RowMissing, IntegrityError):
        event(f"cannot {name}")
        return None


def conflict_in(written: Any, step: EntityStep, row: models.Model | None = None) -> UndoConflict | None:
    """Undo; return the conflict if there is one."""
    try:
        take_back(written, step, row)
    except UndoConflict as conflict:
        event("conflict")
        return conflict
    return None
