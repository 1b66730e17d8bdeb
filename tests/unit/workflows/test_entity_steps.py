"""Entity steps: what can be seen to be wrong before there is a model or a database."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from django.contrib.auth.models import AbstractUser, User
from django.db.models import F, Q

from flowstate import CreateStep, DeleteStep, StepError, UpdateStep, Workflow
from flowstate.workflows.entity_options import refuse_double_columns
from flowstate.workflows.steps import UNSET, Kind
from tests.unit.workflows.refusals import flow_of, refused

KEY = {"pk": 1}


class OutOfStock(StepError):
    pass


class Unraisable(Exception):
    def __init__(self, product: str) -> None:
        super().__init__(product)


def test_each_kind_says_what_it_does() -> None:
    class Flow(Workflow):
        create = CreateStep("shop.Payment", values={"amount": 5}, store_as="payment_id")
        update = UpdateStep("shop.Product", where=KEY, values={"stock": F("stock") - 1}, missing=OutOfStock)
        delete = DeleteStep(User, where=KEY, many=True)
        entity = UpdateStep(values={"status": "paid"}, name="entity")

    steps = Flow.declaration.steps

    assert [step.kind for step in steps] == [Kind.CREATE, Kind.UPDATE, Kind.DELETE, Kind.UPDATE]
    assert all(step.transactional and step.compensable and step.derives_inverse for step in steps)
    assert Flow.declaration.all_transactional
    assert [Flow.create.label, Flow.delete.label, Flow.entity.label] == ["shop.Payment", "auth.User", ""]
    assert (Flow.create.store_as, Flow.update.missing, Flow.delete.many) == ("payment_id", OutOfStock, True)
    assert Flow().create is Flow.create  # type: ignore[comparison-overlap]


def test_a_conflict_is_left_to_a_person_unless_the_step_says_otherwise() -> None:
    plain = DeleteStep("shop.Product", where=KEY)
    skipping = CreateStep("shop.Payment", values={"amount": 5}, on_conflict="skip")
    overwriting = UpdateStep(values={"status": "paid"}, on_conflict="overwrite")

    assert [step.on_conflict for step in (plain, skipping, overwriting)] == [
        "attention",
        "skip",
        "overwrite",
    ]


@pytest.mark.parametrize("given", ["ignore", None, True, ["skip"]])
def test_an_unknown_word_for_conflicts_is_refused(given: Any) -> None:
    def update() -> UpdateStep:
        return UpdateStep(name="pay", values={"status": "paid"}, on_conflict=given)

    expected = f"UpdateStep pay: on_conflict is 'attention', 'overwrite' or 'skip', not {given!r}."
    assert refused(update) == expected


def test_what_derives_no_undo_has_no_conflicts_to_speak_of() -> None:
    def without() -> type[Workflow]:
        return flow_of({"pay": UpdateStep(values={"status": "paid"}, compensate=False, on_conflict="skip")})

    def own() -> type[Workflow]:
        pay = UpdateStep(
            values={"status": "paid"}, compensate=lambda ctx, result: None, on_conflict="overwrite"
        )
        return flow_of({"pay": pay})

    for make, word in ((without, "skip"), (own, "overwrite")):
        assert refused(make) == (
            f"shop.Flow: step 'pay': on_conflict='{word}' is for an undo that is derived, and this step has a "
            "compensation of its own, or none."
        )


def test_values_and_where_are_copied_or_asked() -> None:
    ctx = SimpleNamespace(total=5)
    plain = {"tags": ["a"]}
    step = UpdateStep("shop.Product", where=lambda ctx: {"pk": ctx.total}, values=plain)

    step.values_for(ctx)["tags"].append("b")

    assert plain == {"tags": ["a"]}
    assert step.where_for(ctx) == {"pk": 5}
    assert UpdateStep(values=plain).where_for(ctx) is UNSET
    assert DeleteStep("shop.Product", where=Q(pk=1)).where_for(ctx) == Q(pk=1)
    assert CreateStep("shop.Product", values=lambda ctx: {"a": ctx.total}).values_for(ctx) == {"a": 5}


def test_switching_the_undo_off_leaves_nothing_to_undo() -> None:
    step = UpdateStep(values={"status": "paid"}, compensate=False)

    assert not step.compensable


@pytest.mark.parametrize("kind", [UpdateStep, DeleteStep])
def test_a_named_model_needs_where(kind: Any) -> None:
    options = {"values": {"a": 1}} if kind is UpdateStep else {}

    assert refused(lambda: kind("shop.Product", **options)) == (
        f"{kind.__name__} of 'shop.Product' needs where=, which says which row."
    )


@pytest.mark.parametrize("kind", [UpdateStep, DeleteStep])
@pytest.mark.parametrize(("option", "value"), [("where", KEY), ("many", True)])
def test_without_a_model_there_is_nothing_to_look_up(kind: Any, option: str, value: Any) -> None:
    options: dict[str, Any] = {"values": {"a": 1}} if kind is UpdateStep else {}

    assert refused(lambda: kind(**options, **{option: value})) == (
        f"{kind.__name__} without a model is for the action's entity, one row: it takes no {option}=."
    )


def test_create_takes_a_model_and_no_where() -> None:
    assert refused(lambda: CreateStep(None, values={})) == (  # type: ignore[arg-type]
        "CreateStep takes a model: the action's entity exists already."
    )
    assert refused(lambda: CreateStep("shop.Payment", values={}, where=KEY)).startswith(  # type: ignore[call-arg]
        "CreateStep has no option where; there are background, collect_errors, compensate, default, depends_on, full_clean, "
    )


@pytest.mark.parametrize("wrong", ["Product", "a.b.C", "shop.", "", 5, dict, "shop.pro duct"])
def test_a_model_is_a_class_or_its_label(wrong: Any) -> None:
    why = f': a model is a class or "app.Model", not {wrong!r}.'

    assert refused(lambda: CreateStep(wrong, values={})) == f"CreateStep{why}"
    assert refused(lambda: UpdateStep(wrong, where=KEY, values={"a": 1})) == f"UpdateStep{why}"
    assert refused(lambda: DeleteStep(wrong, where=KEY)) == f"DeleteStep{why}"


def test_an_abstract_model_has_no_rows() -> None:
    assert refused(lambda: CreateStep(AbstractUser, values={})) == (
        "CreateStep: AbstractUser is abstract, so it has no rows."
    )


@pytest.mark.parametrize("wrong", [[], None, "pk", 5, {1: 2}], ids=repr)
def test_where_is_a_mapping_or_a_function(wrong: Any) -> None:
    assert refused(lambda: DeleteStep("shop.Product", where=wrong)).startswith(
        "DeleteStep: where is a mapping of lookups, a Q, or a function (ctx) of these, not "
    )


def test_a_where_that_finds_everything_is_refused() -> None:
    assert refused(lambda: DeleteStep("shop.Product", where={}, many=True)) == (
        "DeleteStep: an empty where finds every row of 'shop.Product'."
    )


@pytest.mark.parametrize("wrong", [[], None, "a", {1: 2}, [{"a": 1}]], ids=repr)
def test_values_are_a_mapping_or_a_function(wrong: Any) -> None:
    assert refused(lambda: UpdateStep(values=wrong)).startswith(
        "UpdateStep: values is a mapping of field names, or a function (ctx) of that, not "
    )
    assert refused(lambda: CreateStep("shop.Product", values=wrong)).startswith(
        "CreateStep: values is a mapping"
    )


def test_many_new_rows_are_a_list_of_mappings() -> None:
    step = CreateStep("shop.Product", values=[{"sku": "a"}, {"sku": "b"}], many=True)

    assert step.values == [{"sku": "a"}, {"sku": "b"}]
    assert "one mapping for each row" in refused(
        lambda: CreateStep("shop.Product", values=[{"sku": "a"}, 5], many=True)  # type: ignore[list-item]
    )


def test_values_must_be_given_and_change_something() -> None:
    assert refused(lambda: CreateStep("shop.Product")) == "CreateStep needs values=."
    assert refused(UpdateStep) == "UpdateStep needs values=."
    assert refused(lambda: UpdateStep(values={})) == "UpdateStep: values changes nothing: {}."
    assert (
        refused(lambda: UpdateStep(values={"pk": 5}))
        == "UpdateStep: values changes the key of a row: {'pk': 5}."
    )
    assert CreateStep("shop.Product", values={}).values == {}


def test_values_name_fields_and_not_lookups() -> None:
    assert refused(lambda: UpdateStep(values={"stock__gte": 1, "a": 1})) == (
        "UpdateStep: values names fields, not lookups: stock__gte."
    )


@pytest.mark.parametrize(("one", "other"), [("customer", "customer_id"), ("id", "pk")])
def test_one_column_under_two_names_is_refused(one: str, other: str) -> None:
    assert refused(lambda: CreateStep("shop.Order", values={other: 1, one: 1})) == (
        f"CreateStep: values: {one!r} and {other!r} name one column."
    )
    assert refused(lambda: refuse_double_columns([one, other], "here")) == (
        f"here: {one!r} and {other!r} name one column."
    )


@pytest.mark.parametrize("wrong", ["OutOfStock", OutOfStock(), dict, KeyboardInterrupt], ids=repr)
def test_missing_is_an_exception_class(wrong: Any) -> None:
    assert refused(lambda: DeleteStep(missing=wrong)).startswith(
        "DeleteStep: missing is an exception class, not "
    )


def test_missing_must_be_raisable_without_arguments() -> None:
    assert refused(lambda: DeleteStep(missing=Unraisable)) == (
        "DeleteStep: missing is raised without arguments: it takes (), but Unraisable takes (product)."
    )


@pytest.mark.parametrize("option", ["many", "direct"])
def test_flags_are_true_or_false(option: str) -> None:
    options: dict[str, Any] = {option: 1}

    assert refused(lambda: UpdateStep("shop.Product", where=KEY, values={"a": 1}, **options)) == (
        f"UpdateStep: {option} is True or False, not 1."
    )


def test_direct_is_for_deltas_on_rows_known_by_their_key() -> None:
    delta = {"id": F("id") + 1}

    assert UpdateStep(User, where={"pk": 1}, values=delta, direct=True).direct
    assert UpdateStep(User, where={"id__exact": 1, "is_staff": True}, values=delta, direct=True).direct
    assert UpdateStep("shop.Product", where={"sku": "a"}, values=delta, direct=True).direct
    assert refused(lambda: UpdateStep(User, where={"username": "a"}, values=delta, direct=True)) == (
        "UpdateStep: direct=True reads no row, so its inverse needs a where that names the key and values that "
        "are deltas: username is not the key. Or say compensate=False."
    )


def test_direct_writes_no_plain_value_unless_nothing_is_to_be_undone() -> None:
    def direct(**options: Any) -> UpdateStep:
        values = {"stock": F("stock") - 1, "status": "sold"}
        return UpdateStep("shop.Product", where=KEY, values=values, direct=True, **options)

    assert direct(compensate=False).direct
    assert "status is given a plain value. Or say compensate=False." in refused(direct)


@pytest.mark.parametrize("option", ["values", "where", "when", "default"])
def test_functions_of_other_arity_are_refused(option: str) -> None:
    options: dict[str, Any] = {"values": {"a": 1}, "where": KEY, option: lambda: {}}  # noqa: PIE807 - dict itself has no signature

    def wrong() -> None:
        class Flow(Workflow):
            reserve = UpdateStep("shop.Product", **options)

    assert refused(wrong) == f"Flow: step 'reserve': {option} takes (ctx), but <lambda> takes ()."


def test_store_as_is_a_name() -> None:
    assert refused(lambda: CreateStep("shop.Payment", values={}, store_as="")) == (
        "CreateStep: store_as is a name in ctx.data, not ''."
    )


# --- links ---------------------------------------------------------------------------------------


def test_links_alone_are_a_change_and_are_copied_or_asked() -> None:
    ctx = SimpleNamespace(tags=[3])
    plain: dict[str, Any] = {"tags": [1], "friends": lambda ctx: ctx.tags}
    step = UpdateStep(add=plain, remove=lambda ctx: {"tags": lambda ctx: ctx.tags})

    step.added_for(ctx)["tags"].append(2)

    assert step.linking
    assert step.values_for(ctx) == {}
    assert step.added_for(ctx) == {"tags": [1], "friends": [3]}
    assert step.removed_for(ctx) == {"tags": [3]}
    assert not UpdateStep(values={"name": "x"}).linking
    assert UpdateStep(values={"name": "x"}).added_for(ctx) == {}


@pytest.mark.parametrize("option", ["add", "remove"])
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (["tags"], "is a mapping of many-to-many names to lists of rows or keys"),
        ("tags", "is a mapping of many-to-many names"),
        ({1: [2]}, "is a mapping of many-to-many names"),
        (None, "is a mapping of many-to-many names"),
        ({}, "is empty: it changes nothing"),
        ({"tags": "loud"}, "'tags' is given a list of rows or keys, or a function (ctx), not 'loud'"),
        ({"tags": 5}, "'tags' is given a list of rows or keys"),
        ({"tags": {"pk": 5}}, "'tags' is given a list of rows or keys"),
    ],
)
def test_links_are_lists_by_name(option: str, wrong: Any, words: str) -> None:
    given: Any = {option: wrong}
    message = refused(lambda: UpdateStep(**given))

    assert message.startswith(f"UpdateStep: {option}")
    assert words in message


@pytest.mark.parametrize("inner", [True, False])
@pytest.mark.parametrize("option", ["add", "remove"])
def test_functions_that_name_links_take_the_context(option: str, inner: bool) -> None:
    def wrong(ctx: Any, row: Any) -> Any:
        return []

    given: Any = {option: {"tags": wrong} if inner else wrong}

    message = refused(lambda: Workflow.from_steps("flow", [UpdateStep(name="a", **given)]))

    assert message.startswith(f"flow: step 'a': {option}" + (" 'tags'" if inner else ""))
    assert "takes (ctx)" in message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"add": {"tags": [1]}}, "it takes no add= and remove="),
        ({"values": {"stock": F("stock") + 1}, "full_clean": True}, "it takes no full_clean=True"),
    ],
)
def test_direct_reads_no_row_to_link_or_to_validate(options: Any, words: str) -> None:
    assert words in refused(lambda: UpdateStep("shop.Product", where={"pk": 1}, direct=True, **options))


def test_validation_is_asked_for_by_true() -> None:
    assert CreateStep("shop.Product", values={"name": "x"}, full_clean=True).full_clean
    assert not UpdateStep(values={"name": "x"}).full_clean
    wrong: Any = "yes"
    assert "full_clean is True or False" in refused(lambda: UpdateStep(values={"a": 1}, full_clean=wrong))
    assert "full_clean is True or False" in refused(lambda: CreateStep("a.B", values={}, full_clean=wrong))
