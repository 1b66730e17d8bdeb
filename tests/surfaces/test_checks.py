"""The system checks: each finds what it is for, says what to do, and keeps quiet otherwise."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import pytest

from django.contrib.auth.models import User
from django.core.checks import CheckMessage
from django.db import models
from django.db.models import F
from django.test.utils import isolate_apps

from flowstate.actions import Action, Actions, allow_any, has_perm, is_owner, is_staff
from flowstate.checks.bindings import _attributes, check_bindings
from flowstate.checks.rules import check_rules
from flowstate.checks.workflows import check_workflows
from flowstate.workflows import CreateStep, DeleteStep, Step, UpdateStep, Workflow, step
from tests.unit.actions.binding import bound
from tests.zoo.models import Animal, Cage, Keeper, RareAnimal


def work(ctx: Any) -> None: ...


def steps(*given: Step, **options: Any) -> Action:
    return Action(steps=list(given), **{"rules": [allow_any], **options})


def plain(**options: Any) -> Action:
    return Action(handler=work, **{"rules": [allow_any], **options})


def ids(found: list[CheckMessage], *objects: Any) -> list[str | None]:
    return [message.id for message in found if message.obj in objects]


def of_workflow(found: list[CheckMessage], name: str) -> list[str | None]:
    return [message.id for message in found if name in message.msg]


# --- actions -------------------------------------------------------------------------------------


def test_a_good_action_is_not_spoken_of() -> None:
    with bound(Keeper, wave=plain(rules=[is_staff | has_perm("zoo.change_keeper")])):
        assert ids([*check_bindings(), *check_rules(), *check_workflows()], Keeper) == []


@pytest.mark.parametrize("rules", [None, []])
def test_an_action_without_rules_is_an_error(rules: Any) -> None:
    with bound(Keeper, wave=plain(rules=rules)):
        assert ids(check_bindings(), Keeper) == ["flowstate.E001"]


def test_an_attribute_that_was_overwritten_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with bound(Keeper, "flows", wave=plain()), monkeypatch.context() as patch:
        patch.setattr(Keeper, "flows", "what a related name puts there")

        assert ids(check_bindings(), Keeper) == ["flowstate.E002"]


@isolate_apps("tests.zoo")
def test_a_related_name_that_took_the_place_of_the_actions_is_found() -> None:
    class Lion(models.Model):
        actions = Actions(wave=plain())

        class Meta:
            app_label = "zoo"

    class Deed(models.Model):
        lion = models.ForeignKey(Lion, on_delete=models.CASCADE, related_name="actions")

        class Meta:
            app_label = "zoo"

    assert ids(list(_attributes(Lion)), Lion) == ["flowstate.E002"]
    assert ids(list(_attributes(Deed)), Deed) == []


@isolate_apps("tests.zoo")
def test_a_field_over_inherited_actions_is_found() -> None:
    class Cat(models.Model):
        actions = Actions(wave=plain())

        class Meta:
            abstract = True
            app_label = "zoo"

    class Lion(Cat):
        actions = models.TextField()  # type: ignore[assignment]

        class Meta:
            app_label = "zoo"

    assert ids(list(_attributes(Lion)), Lion) == ["flowstate.E002"]


@isolate_apps("tests.zoo")
def test_actions_of_two_bases_under_two_names_are_an_error() -> None:
    class Washable:
        flows = Actions(wash=plain())

    class Cat(models.Model):
        actions = Actions(wave=plain())

        class Meta:
            abstract = True
            app_label = "zoo"

    class Lion(Washable, Cat):
        class Meta:
            app_label = "zoo"

    assert ids(list(_attributes(Lion)), Lion) == ["flowstate.E017"]


def test_a_workflow_that_cannot_be_imported_is_an_error() -> None:
    with bound(Keeper, wave=Action("nowhere.workflows.Wave", rules=[allow_any])):
        assert ids(check_bindings(), Keeper) == ["flowstate.E003"]


def test_a_path_that_is_no_workflow_is_an_error() -> None:
    with bound(Keeper, wave=Action(f"{__name__}.work", rules=[allow_any])):
        assert ids(check_bindings(), Keeper) == ["flowstate.E004"]


def test_steps_that_cannot_be_a_workflow_are_an_error() -> None:
    with bound(Keeper, wave=steps(Step("a", work, depends_on="ghost"))):
        (found,) = [message for message in check_bindings() if message.obj is Keeper]

    assert found.id == "flowstate.E004"
    assert "ghost" in found.msg


def test_serializers_are_looked_up_too() -> None:
    with bound(Keeper, wave=plain(input="nowhere.Input"), bow=plain(output=Keeper)):
        assert ids(check_bindings(), Keeper) == ["flowstate.E003", "flowstate.E004"]


def test_a_workflow_with_abstract_steps_is_an_error() -> None:
    class Outline(Workflow):
        @step
        @abstractmethod
        def first(self, ctx: Any) -> None: ...

    with bound(Keeper, wave=Action(Outline, rules=[allow_any])):
        found = [message.msg for message in check_bindings() if message.obj is Keeper]

    assert found == ["The workflow of the action 'wave' does not say what its abstract steps do (first)."]


def test_a_workflow_without_steps_is_an_error() -> None:
    with bound(Keeper, wave=Action(Workflow, rules=[allow_any])):
        assert ids(check_bindings(), Keeper) == ["flowstate.E005"]


def test_two_actions_at_one_path_are_an_error() -> None:
    with bound(
        Keeper,
        wave_hand=plain(),
        wave=plain(path="wave-hand"),
        get_hand=plain(path="wave-hand", methods=["GET"]),
    ):
        assert ids(check_bindings(), Keeper) == ["flowstate.E007"]


def test_a_proxy_that_redeclares_an_action_shares_its_key() -> None:
    with bound(Animal, wave=plain()), bound(RareAnimal, wave=plain()):
        assert ids(check_bindings(), Animal) == ["flowstate.E008"]


# --- rules ---------------------------------------------------------------------------------------


async def later(_user: Any, _entity: Any) -> bool:
    return True


def of_user(_user: Any) -> bool:
    return True


@pytest.mark.parametrize("rule", [of_user, later, has_perm, is_owner])
def test_a_rule_that_cannot_be_asked_is_an_error(rule: Any) -> None:
    with bound(Keeper, wave=plain(rules=[is_staff | rule])):
        assert ids(check_rules(), Keeper) == ["flowstate.E006"]


def test_an_owner_of_a_collection_is_an_error() -> None:
    with bound(Keeper, wave=plain(rules=[~is_owner("pk")], detail=False)):
        assert ids(check_rules(), Keeper) == ["flowstate.E015"]


@pytest.mark.parametrize("path", ["keeper__usr", "keeper__cages", "animals__tags"])
def test_an_owner_by_a_field_that_cannot_be_one_is_an_error(path: str) -> None:
    with bound(Cage, wave=plain(rules=[is_owner(path)])):
        assert ids(check_rules(), Cage) == ["flowstate.E018"]


@pytest.mark.parametrize("path", ["keeper", "keeper_id", "keeper__email", "pk"])
def test_an_owner_who_is_no_user_is_warned_of(path: str) -> None:
    with bound(Cage, wave=plain(rules=[is_owner(path)])):
        assert ids(check_rules(), Cage) == ["flowstate.W005"]


def test_a_user_who_owns_the_own_row_is_fine() -> None:
    with bound(User, wave=plain(rules=[is_owner("pk")])):
        assert ids(check_rules(), User) == []


# --- workflows -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (CreateStep("zoo.Nobody", name="make", values={}), "flowstate.E011"),
        (CreateStep("nowhere.Nobody", name="make", values={}), "flowstate.E011"),
        (CreateStep("zoo.Keeper", name="make", values={"nmae": "x"}), "flowstate.E012"),
        (CreateStep("zoo.Cage", name="make", values={"animals": []}), "flowstate.E012"),
        (
            UpdateStep("zoo.Keeper", name="change", where={"nmae__gt": 1}, values={"name": "x"}),
            "flowstate.E012",
        ),
        (UpdateStep(name="change", values={"nmae": "x"}), "flowstate.E012"),
        (DeleteStep("zoo.Keeper", name="remove", where={"nmae": 1}), "flowstate.E012"),
        (CreateStep("zoo.Bird", name="make", values={"pk": 1, "animal_ptr_id": 1}), "flowstate.E013"),
        (CreateStep("zoo.Keeper", name="make", values=[{}, {"nmae": 1}], many=True), "flowstate.E012"),
        (UpdateStep("zoo.Animal", name="link", where={"pk": 1}, add={"tgas": [1]}), "flowstate.E019"),
        (UpdateStep(name="link", remove={"cages": [1]}), "flowstate.E019"),
    ],
    ids=[
        "model",
        "app",
        "field",
        "relation",
        "where",
        "entity",
        "delete",
        "twice",
        "many",
        "link",
        "reverse",
    ],
)
def test_entity_steps_are_compared_with_their_models(given: Any, wanted: str) -> None:
    with bound(Keeper, shape=steps(given)):
        assert of_workflow(check_workflows(), "zoo.keeper.shape") == [wanted]


def test_entity_steps_that_fit_are_not_spoken_of() -> None:
    fits = steps(
        CreateStep("zoo.Cage", name="make", values={"house": "x", "number": 1, "keeper_id": 1}),
        UpdateStep(
            "zoo.Feed", name="take", where={"pk": 1, "stock__gte": 2}, values={"stock": F("stock") - 2}
        ),
        UpdateStep(name="change", values=lambda ctx: {"whatever": 1}),
        UpdateStep(name="link", add={"notes": [1]}, remove=lambda ctx: {"whatever": []}),
        DeleteStep("zoo.Cage", name="remove", where={"keeper__name": "x"}),
    )
    with bound(Keeper, shape=fits):
        assert of_workflow(check_workflows(), "zoo.keeper.shape") == []


def test_a_step_on_the_row_of_a_collection_action_is_an_error() -> None:
    with bound(Keeper, shape=steps(UpdateStep(name="change", values={"name": "x"}), detail=False)):
        assert ids(check_workflows(), Keeper) == ["flowstate.E015"]


def test_writing_rows_by_get_is_an_error() -> None:
    with bound(Keeper, shape=steps(UpdateStep(name="change", values={"name": "x"}), methods=["GET", "POST"])):
        assert ids(check_workflows(), Keeper) == ["flowstate.E016"]


class Elsewhere:
    """Routes one model to another database."""

    def db_for_write(self, model: Any, **_hints: Any) -> str | None:
        return "other" if model is Cage else None


def test_rows_in_another_database_than_the_journal_are_an_error(settings: Any) -> None:
    """I34."""
    settings.DATABASE_ROUTERS = [Elsewhere()]

    with bound(Keeper, shape=steps(CreateStep("zoo.Cage", name="make", values={"house": "x"}))):
        assert of_workflow(check_workflows(), "zoo.keeper.shape") == ["flowstate.E014"]


class Mixed(Workflow):
    class Meta:
        atomic = True

    @step
    def outside(self, ctx: Any) -> None: ...

    @step(transactional=True)
    def inside(self, ctx: Any) -> None: ...


class Loose(Workflow):
    @step
    def first(self, ctx: Any) -> None: ...

    @step
    def forgotten(self, ctx: Any) -> None: ...

    @step(depends_on=first)
    def last(self, ctx: Any) -> None: ...


def test_an_external_step_inside_an_atomic_workflow_is_warned_of() -> None:
    with bound(Keeper, shape=Action(Mixed, rules=[allow_any])):
        assert ids(check_workflows(), Mixed) == ["flowstate.W003"]


def test_a_branch_that_nothing_waits_for_is_warned_of() -> None:
    with bound(Keeper, shape=Action(Loose, rules=[allow_any])):
        (found,) = [message for message in check_workflows() if message.obj is Loose]

    assert found.id == "flowstate.W004"
    assert "forgotten" in found.msg
