"""UpdateSteps on many-to-many links, forward: what they link, what is refused, and what each costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from django.db import IntegrityError, connection, models, transaction
from django.db.models import F, signals
from django.test.utils import CaptureQueriesContext, override_settings

from flowstate.engine.entities import perform
from flowstate.exceptions import DeclarationInvalid, RowLimitExceeded, RowMissing
from flowstate.workflows.entities import UpdateStep
from tests.zoo.models import Animal, Code, Feed, Glossary, Keeper, Note, Parrot, Tag
from tests.zoo.stage import Ctx, carry_out, everything_there_is

pytestmark = pytest.mark.django_db


@pytest.fixture
def ape() -> Animal:
    return Animal.objects.create(name="ape")


@pytest.fixture
def tags() -> list[Tag]:
    return [Tag.objects.create(name=name) for name in ("loud", "shy", "wild")]


def names(row: Animal) -> list[str]:
    return sorted(row.tags.values_list("name", flat=True))


def step(**options: Any) -> UpdateStep:
    return UpdateStep(name="link", **options)


# --- what is linked ------------------------------------------------------------------------------


def test_rows_and_keys_are_added_and_removed(ape: Animal, tags: list[Tag]) -> None:
    ape.tags.add(tags[0])

    written = carry_out(step(add={"tags": [tags[1], tags[2].pk]}, remove={"tags": [tags[0]]}), ape)

    assert names(ape) == ["shy", "wild"]
    assert written.result == {"pk": ape.pk}


@pytest.mark.parametrize(
    "given", ["function", "function for the name", "queryset", "set", "tuple", "text keys"]
)
def test_what_to_link_may_be_given_in_many_ways(ape: Animal, tags: list[Tag], given: str) -> None:
    two = tags[:2]
    ways: dict[str, Any] = {
        "function": lambda ctx: {"tags": two},
        "function for the name": {"tags": lambda ctx: [tag.pk for tag in two]},
        "queryset": {"tags": Tag.objects.filter(name__in=["loud", "shy"])},
        "set": {"tags": {tag.pk for tag in two}},
        "tuple": {"tags": tuple(two)},
        "text keys": {"tags": [str(tag.pk) for tag in two]},
    }

    carry_out(step(add=ways[given]), ape)

    assert names(ape) == ["loud", "shy"]


def test_functions_are_called_once_and_see_the_locked_row(ape: Animal, tags: list[Tag]) -> None:
    ctx, calls = Ctx(ape), []
    Animal.objects.update(weight=2)  # since the context was made

    def by_weight(ctx: Any) -> list[Tag]:
        calls.append(ctx.entity.weight)
        return tags[: ctx.entity.weight]

    carry_out(step(add={"tags": by_weight}), ctx=ctx)

    assert (calls, ctx.reads, names(ape)) == ([2], 0, ["loud", "shy"])


def test_values_and_links_in_one_step(ape: Animal, tags: list[Tag]) -> None:
    carry_out(step(values={"name": "yeti", "weight": F("weight") + 5}, add={"tags": tags[:1]}), ape)

    ape.refresh_from_db()
    assert (ape.name, ape.weight, names(ape)) == ("yeti", 5, ["loud"])


def test_reverse_names_are_names_too(ape: Animal, tags: list[Tag]) -> None:
    carry_out(UpdateStep("zoo.Tag", where={"name": "shy"}, add={"animals": [ape.pk]}))

    assert names(ape) == ["shy"]


def test_a_child_and_a_proxy_have_the_links_of_their_model(tags: list[Tag]) -> None:
    parrot = Parrot.objects.create(name="Polly")

    carry_out(step(add={"tags": tags[:1]}), parrot)
    carry_out(UpdateStep("zoo.RareAnimal", where={"pk": parrot.pk}, add={"tags": tags[1:2]}))

    assert names(parrot) == ["loud", "shy"]


def test_friends_are_friends_of_each_other(ape: Animal) -> None:
    other = Animal.objects.create(name="bear")

    carry_out(step(add={"friends": [other]}), ape)
    assert list(other.friends.all()) == [ape]

    carry_out(step(remove={"friends": [other]}), ape)
    assert not other.friends.exists()


def test_a_through_model_of_ones_own_gets_its_defaults(ape: Animal) -> None:
    hay = Feed.objects.create(name="hay")

    carry_out(step(add={"feeds": [hay]}), ape)

    assert ape.meals.values_list("feed", "grams").get() == (hay.pk, 0)


def test_links_by_another_column_than_the_key(tags: list[Tag]) -> None:
    glossary, code = Glossary.objects.create(), Code.objects.create(code="A", alias="alpha")

    carry_out(step(add={"codes": ["alpha"]}), glossary)
    carry_out(step(remove={"codes": [code]}), glossary)
    carry_out(step(add={"codes": [code]}), glossary)

    assert glossary.entries.values_list("code", flat=True).get() == "alpha"


def test_many_rows_are_linked_each(ape: Animal, tags: list[Tag]) -> None:
    bear = Animal.objects.create(name="bear")

    written = carry_out(UpdateStep("zoo.Animal", where={"pk__gt": 0}, add={"tags": tags[:2]}, many=True))

    assert (names(ape), names(bear), written.result) == (["loud", "shy"], ["loud", "shy"], {"count": 2})


def test_an_empty_list_links_nothing(ape: Animal) -> None:
    written = carry_out(step(add={"tags": []}, remove={"tags": lambda ctx: []}), ape)

    assert set(written.undo or ()) == {"version", "seal"}


@contextmanager
def changes_of(through: type[models.Model]) -> Iterator[list[tuple[str, set[Any]]]]:
    calls: list[tuple[str, set[Any]]] = []

    def listen(action: str, pk_set: set[Any], **facts: Any) -> None:
        calls.append((action, pk_set))

    signals.m2m_changed.connect(listen, sender=through)
    try:
        yield calls
    finally:
        signals.m2m_changed.disconnect(listen, sender=through)


@pytest.mark.parametrize("record_undo", [True, False])
def test_m2m_changed_is_sent_as_usual(ape: Animal, tags: list[Tag], record_undo: bool) -> None:
    loud, shy, _wild = tags
    ape.tags.add(loud)

    with changes_of(Animal.tags.through) as calls:
        carry_out(step(add={"tags": [loud, shy]}), ape, record_undo=record_undo)
        carry_out(step(remove={"tags": [loud]}), ape, record_undo=record_undo)

    assert calls == [
        ("pre_add", {shy.pk}),
        ("post_add", {shy.pk}),
        ("pre_remove", {loud.pk}),
        ("post_remove", {loud.pk}),
    ]


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["name", "cage", "young", "colour", "meals"])
@pytest.mark.parametrize("option", ["add", "remove"])
def test_a_name_that_has_no_such_links_is_refused_with_those_that_have(
    ape: Animal, option: str, name: str
) -> None:
    links: Any = {option: {name: [1]}}

    with pytest.raises(
        DeclarationInvalid, match=rf"`{option}` of step link has '{name}'.*feeds, friends, tags"
    ):
        carry_out(step(**links), ape)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda ctx: ["tags"], "gave a list"),
        ({"tags": lambda ctx: 5}, "gave a int"),
        ({"tags": lambda ctx: "5"}, "a str"),
    ],
)
def test_what_is_no_list_by_name_is_refused(ape: Animal, given: Any, words: str) -> None:
    with pytest.raises(DeclarationInvalid, match=words):
        carry_out(step(add=given), ape)


def test_rows_of_another_model_are_refused(ape: Animal) -> None:
    feed = Feed.objects.create(name="hay")

    for wrong in (feed, "x", Tag(name="unsaved")):
        with pytest.raises(DeclarationInvalid, match="Step link cannot link by tags"):
            carry_out(step(add={"tags": [wrong]}), ape)


def test_to_add_and_remove_one_row_is_refused(ape: Animal, tags: list[Tag]) -> None:
    with pytest.raises(DeclarationInvalid, match="both adds and removes"):
        carry_out(step(add={"tags": [tags[0].pk]}, remove={"tags": tags[:2]}), ape)


@pytest.mark.parametrize("record_undo", [True, False])
@pytest.mark.parametrize("missing", [99, -1])
def test_a_row_to_link_that_is_not_there_is_named(
    ape: Animal, tags: list[Tag], record_undo: bool, missing: int
) -> None:
    """P35: not only at COMMIT, and not silently, as the databases would have it."""
    before = everything_there_is()

    linking = step(add={"tags": [tags[0].pk, missing]})
    words = rf"No zoo\.Tag with id={missing} to link by tags in step link"
    with pytest.raises(RowMissing, match=words), transaction.atomic():
        perform(linking, None, Ctx(ape), record_undo=record_undo, using="default")

    assert everything_there_is() == before


def test_a_through_model_that_needs_more_says_so_at_the_step(ape: Animal) -> None:
    """A feed may be there once for each animal; its own error is not swallowed."""
    hay = Feed.objects.create(name="hay")
    ape.meals.create(feed=hay, grams=5)

    carry_out(step(add={"feeds": [hay]}), ape)  # is linked already
    assert ape.meals.get().grams == 5

    def twice(sender: Any, instance: Animal, action: str, **facts: Any) -> None:
        if action == "pre_add":
            instance.meals.create(feed_id=oats.pk)

    oats = Feed.objects.create(name="oats")
    signals.m2m_changed.connect(twice, sender=Animal.feeds.through)
    try:
        with pytest.raises(IntegrityError), transaction.atomic():
            carry_out(step(add={"feeds": [oats]}), ape)
    finally:
        signals.m2m_changed.disconnect(twice, sender=Animal.feeds.through)


def test_more_links_than_the_cap_are_refused(ape: Animal, tags: list[Tag]) -> None:
    Animal.objects.create(name="bear")
    all_of_them = UpdateStep("zoo.Animal", where={"pk__gt": 0}, add={"tags": tags}, many=True, name="link")

    words = r"change 6 links by tags.*'MAX_ROWS'\] = 5"
    with override_settings(FLOWSTATE={"MAX_ROWS": 5}), pytest.raises(RowLimitExceeded, match=words):
        carry_out(all_of_them)


def test_the_cap_counts_what_goes_with_a_link() -> None:
    code = Code.objects.create(code="A", alias="alpha")
    glossary = Glossary.objects.create()
    glossary.codes.add(code)
    for _remark in range(3):
        glossary.entries.get().remarks.create()

    with override_settings(FLOWSTATE={"MAX_ROWS": 3}), pytest.raises(RowLimitExceeded):
        carry_out(step(remove={"codes": [code]}), glossary)


def test_what_a_manager_hides_is_not_unlinked() -> None:
    keeper, hidden = Keeper.objects.create(name="Kim", email="kim@example.org"), Note.objects.create(text="x")
    keeper.notes.add(hidden)
    hidden.delete()

    written = carry_out(step(remove={"notes": [hidden.pk]}), keeper)

    assert hidden.keepers.get() == keeper
    assert "deleted" not in (written.undo or {})


# --- what it costs -------------------------------------------------------------------------------


def executed(update: UpdateStep, row: Any, *, record_undo: bool = True) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        perform(update, None, Ctx(row), record_undo=record_undo, using="default")
    words = [query["sql"].split()[0] for query in queries.captured_queries]
    return [word for word in words if word not in ("SAVEPOINT", "RELEASE", "SET", "PRAGMA")]


def test_linking_costs_the_locked_read_the_insert_and_a_look_before_and_after(
    ape: Animal, tags: list[Tag]
) -> None:
    pks = [tag.pk for tag in tags]

    assert executed(step(add={"tags": pks}), ape) == ["SELECT", "SELECT", "INSERT", "SELECT"]
    assert executed(step(add={"tags": pks}), ape, record_undo=False) == ["SELECT", "INSERT", "SELECT"]


def test_unlinking_costs_the_locked_read_the_delete_and_a_look_before_and_after(
    ape: Animal, tags: list[Tag]
) -> None:
    ape.tags.set(tags)

    assert executed(step(remove={"tags": [tags[0].pk]}), ape) == ["SELECT", "SELECT", "DELETE", "SELECT"]
    assert executed(step(remove={"tags": [tags[1].pk]}), ape, record_undo=False) == ["SELECT", "DELETE"]
    assert executed(step(remove={"tags": [tags[1].pk]}), ape) == ["SELECT", "SELECT", "DELETE"]
