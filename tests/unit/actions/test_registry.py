"""The registry: actions by their keys, on models of others too, and workflows by their names."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from django.apps import apps
from django.test.utils import override_settings

from flowstate.actions import Action, all_actions, allow_any, find_action, find_workflow, register_actions
from flowstate.exceptions import DeclarationInvalid, WorkflowUnknown
from flowstate.workflows import UpdateStep, Workflow, step
from tests.unit.actions.binding import bound
from tests.zoo.models import Animal, Bird, Keeper, Parrot, RareAnimal


class Wave(Workflow):
    @step(transactional=True)
    def wave(self, ctx: Any) -> None: ...

    class Inner(Workflow):
        @step(transactional=True)
        def nod(self, ctx: Any) -> None: ...


class Renamed(Workflow):
    class Meta:
        name = "its.own.name"

    @step(transactional=True)
    def wave(self, ctx: Any) -> None: ...


def wave(**options: Any) -> Action:
    return Action(Wave, **{"rules": [allow_any], **options})


def rename() -> Action:
    return Action(steps=[UpdateStep(name="rename", values={"name": "X"})], rules=[allow_any])


# --- models of others ----------------------------------------------------------------------------


def test_a_model_of_somebody_else_gets_actions() -> None:
    with bound(Keeper, wave=wave(), rename=rename()):
        assert Keeper.actions.names() == ["wave", "rename"]  # type: ignore[attr-defined]
        assert Keeper(pk=1).actions.wave.entity_id == 1  # type: ignore[attr-defined]


def test_registering_adds_to_what_is_there() -> None:
    with bound(Keeper, wave=wave()):
        register_actions(Keeper, rename=rename())

        assert Keeper.actions.names() == ["wave", "rename"]  # type: ignore[attr-defined]


def test_children_that_exist_already_get_what_is_registered_for_the_parent() -> None:
    with bound(Animal, wave=wave()):
        keys = {model.actions.wave.key for model in (Animal, Bird, Parrot, RareAnimal)}  # type: ignore[attr-defined]

    assert keys == {"zoo.animal.wave"}


def test_a_name_that_is_taken_is_refused_and_the_action_there_stays() -> None:
    first = wave()
    with bound(Keeper, wave=first):
        with pytest.raises(DeclarationInvalid, match=r"zoo\.Keeper has an action 'wave'"):
            register_actions(Keeper, wave=wave())

        assert find_action("zoo.keeper.wave").action is first


def test_registering_again_for_other_installed_apps_replaces() -> None:
    later = wave()
    with bound(Keeper, wave=wave()):
        with override_settings(INSTALLED_APPS=[config.name for config in apps.get_app_configs()]):
            register_actions(Keeper, wave=later)  # what a second ready() does

        assert find_action("zoo.keeper.wave").action is later


def test_an_attribute_of_the_model_is_not_replaced() -> None:
    with pytest.raises(DeclarationInvalid, match=r"zoo\.Keeper\.cages is something else"):
        register_actions(Keeper, "cages", wave=wave())

    with bound(Keeper, "flows", wave=wave()):
        assert Keeper.flows.names() == ["wave"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("model", ["zoo.Keeper", object, None])
def test_only_models_take_actions(model: Any) -> None:
    with pytest.raises(DeclarationInvalid, match="takes a model class"):
        register_actions(model, wave=wave())


# --- by key --------------------------------------------------------------------------------------


def test_an_action_is_found_by_its_key() -> None:
    with bound(Keeper, wave=wave()):
        found = find_action("zoo.keeper.wave")

        assert (found.key, found.model, found.entity) == ("zoo.keeper.wave", Keeper, None)


def test_an_inherited_action_has_the_key_of_the_parent_only() -> None:
    with bound(Animal, wave=wave()):
        assert find_action("zoo.animal.wave").model is Animal
        with pytest.raises(WorkflowUnknown):
            find_action("zoo.bird.wave")


def test_an_action_of_a_proxy_is_found_by_the_key_of_the_model_behind_it() -> None:
    with bound(RareAnimal, wave=wave()):
        assert find_action("zoo.animal.wave").model is Animal


@pytest.mark.parametrize(
    "key", ["", ".", "wave", "zoo.wave", "zoo.keeper.wave", "zoo.nobody.wave", "a.b.c.d", "zoo.keeper.\0"]
)
def test_a_key_of_nothing_is_unknown(key: str) -> None:
    with pytest.raises(WorkflowUnknown):
        find_action(key)


def test_every_action_is_listed_once() -> None:
    with bound(Animal, wave=wave()), bound(Keeper, wave=wave(), rename=rename()):
        keys = [action.key for action in all_actions() if action.key.startswith("zoo.")]

    assert sorted(keys) == ["zoo.animal.wave", "zoo.keeper.rename", "zoo.keeper.wave"]


# --- workflows by name ---------------------------------------------------------------------------


def test_a_class_is_found_by_its_path() -> None:
    assert find_workflow(f"{__name__}.Wave") is Wave
    assert find_workflow(f"{__name__}.Wave.Inner") is Wave.Inner


def test_steps_of_an_action_are_found_by_its_key() -> None:
    with bound(Keeper, rename=rename()):
        workflow = find_workflow("zoo.keeper.rename")

        assert workflow is find_action("zoo.keeper.rename").workflow


def test_a_class_with_a_name_of_its_own_is_found_where_an_action_names_it() -> None:
    with bound(Keeper, wave=Action(f"{__name__}.Renamed", rules=[allow_any])):
        assert find_workflow("its.own.name") is Renamed
    with pytest.raises(WorkflowUnknown):
        find_workflow(f"{__name__}.Renamed")


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "os",
        "os.system",
        "subprocess.Popen",
        "antigravity.fly",
        "flowstate.workflows.Workflow",
        "flowstate.nowhere.Checkout",
        "django.contrib.auth.models.User",
        "tests.unit.actions.test_registry.wave",
        "tests.unit.actions.test_registry.Wave.nothing",
        "tests.unit.actions.test_registry.Wave.__class__",
        "zoo.keeper.rename",
        "a b.c",
        "__import__('os').system",
        "os\0.system",
    ],
)
def test_a_name_that_was_tampered_with_is_unknown(name: str) -> None:
    with pytest.raises(WorkflowUnknown):
        find_workflow(name)


def test_a_name_imports_nothing_outside_the_installed_apps() -> None:
    assert "antigravity" not in sys.modules
    assert "this" not in sys.modules

    for name in ("this.Zen", "antigravity.Comic", "tests.not_an_app.Comic"):
        with pytest.raises(WorkflowUnknown):
            find_workflow(name)

    assert "this" not in sys.modules
    assert "antigravity" not in sys.modules


def test_a_module_of_an_installed_app_that_fails_is_unknown_with_the_reason(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_workflows.py").write_text("import a_module_that_is_not_there\n")
    monkeypatch.setattr("tests.zoo.__path__", [str(tmp_path)])

    with pytest.raises(WorkflowUnknown, match="a_module_that_is_not_there"):
        find_workflow("tests.zoo.broken_workflows.Checkout")


def test_the_package_is_importable_before_the_apps_are_ready() -> None:
    program = (
        "import flowstate.actions, sys;"
        "assert not {'rest_framework', 'celery', 'flowstate.models', 'django.contrib.auth.models'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)  # noqa: S603 - our own words
