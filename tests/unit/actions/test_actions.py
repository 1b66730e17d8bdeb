"""Actions on models: declaring, merging along the bases, finding."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from django.db import models
from django.test.utils import isolate_apps
from rest_framework.viewsets import ModelViewSet

from flowstate.actions import Action, Actions, allow_any, is_staff
from flowstate.exceptions import DeclarationInvalid, EntityMismatch
from flowstate.workflows import Step, Workflow, step
from tests.unit.actions.people import person


class Feed(Workflow):
    """Give it something to eat.

    And wait until it is eaten.
    """

    @step(transactional=True)
    def fill(self, ctx: Any) -> None: ...


class Wash(Workflow):
    @step(transactional=True)
    def rinse(self, ctx: Any) -> None: ...


def groom(ctx: Any) -> None:
    """Brush it."""


def feed(**options: Any) -> Action:
    return Action(Feed, **{"rules": [allow_any], **options})


def wash(**options: Any) -> Action:
    return Action(Wash, **{"rules": [allow_any], **options})


# --- one action ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "got none"),
        ({"workflow": Feed, "handler": groom}, "got workflow and handler"),
        ({"steps": [Step("groom", groom)], "handler": groom}, "got steps and handler"),
    ],
)
def test_an_action_takes_exactly_one_of_workflow_steps_and_handler(given: Any, words: str) -> None:
    with pytest.raises(DeclarationInvalid, match=words):
        Action(**given)


@pytest.mark.parametrize(
    "options",
    [
        {"workflow": 5},
        {"workflow": int},
        {"workflow": "Checkout"},
        {"workflow": "shop.workflows."},
        {"workflow": "shop workflows.Checkout"},
        {"steps": []},
        {"steps": Step("groom", groom)},
        {"handler": 5},
        {"handler": Step("brush", groom)},
        {"workflow": Feed, "rules": ["is_staff"]},
        {"workflow": Feed, "detail": "no"},
        {"workflow": Feed, "methods": "POST"},
        {"workflow": Feed, "methods": ["post"]},
        {"workflow": Feed, "methods": []},
        {"workflow": Feed, "methods": ["POST", "POST"]},
        {"workflow": Feed, "path": "/feed/"},
        {"workflow": Feed, "path": ""},
        {"workflow": Feed, "tags": "animals"},
        {"workflow": Feed, "errors": {ValueError: 200}},
        {"workflow": Feed, "errors": {"ValueError": 400}},
        {"workflow": Feed, "errors": [ValueError]},
        {"workflow": Feed, "priority": -1},
        {"workflow": Feed, "priority": True},
        {"workflow": Feed, "priority": "high"},
        {"workflow": Feed, "priority": 86_401},
    ],
    ids=repr,
)
def test_a_bad_declaration_is_refused_at_once(options: Any) -> None:
    with pytest.raises(DeclarationInvalid):
        Action(**options)


def test_an_option_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError, match="queue"):
        Action(Feed, queue="slow")  # type: ignore[call-arg]


def test_a_declaration_cannot_be_changed() -> None:
    action = feed()

    with pytest.raises(AttributeError):
        action.rules = []  # type: ignore[misc]


def test_a_handler_is_one_transactional_step_of_that_name() -> None:
    workflow = Action(handler=groom, rules=[allow_any]).workflow_for("zoo.animal.groom")

    (handler,) = workflow.declaration.steps
    assert (workflow.declaration.name, handler.name) == ("zoo.animal.groom", "handler")
    assert handler.transactional


def test_a_handler_given_as_a_step_is_as_that_says() -> None:
    workflow = Action(handler=Step("handler", groom), rules=[allow_any]).workflow_for("zoo.animal.groom")

    assert workflow.declaration.steps[0].external


def test_steps_become_a_workflow_named_by_the_key_and_made_once() -> None:
    action = Action(steps=[Step("brush", groom), Step("comb", groom)], rules=[allow_any])

    made = action.workflow_for("zoo.animal.groom")
    assert action.workflow_for("zoo.animal.groom") is made
    assert made.declaration.name == "zoo.animal.groom"
    assert [one.name for one in made.declaration.steps] == ["brush", "comb"]
    assert action.workflow_for("zoo.bird.groom").declaration.name == "zoo.bird.groom"


def test_a_path_is_imported_when_the_workflow_is_asked_for() -> None:
    action = Action(f"{__name__}.Feed", rules=[allow_any])

    assert action.workflow_for("zoo.animal.feed") is Feed


def test_a_path_that_leads_nowhere_is_an_import_error_when_it_is_asked_for() -> None:
    action = Action("nowhere.workflows.Feed", rules=[allow_any])

    with pytest.raises(ImportError, match="nowhere"):
        action.workflow_for("zoo.animal.feed")


def test_a_path_of_something_else_is_named() -> None:
    action = Action(f"{__name__}.groom", rules=[allow_any])

    with pytest.raises(DeclarationInvalid, match="not a Workflow class"):
        action.workflow_for("zoo.animal.feed")


@pytest.mark.parametrize(
    "name",
    [
        "list",
        "partial_update",
        "queryset",
        "get",
        "description",
        "class",
        "_feed",
        "names",
        "available",
        "a" * 61,
    ],
)
def test_names_that_would_collide_are_refused(name: str) -> None:
    with pytest.raises(DeclarationInvalid, match="cannot be named"):
        Actions(**{name: feed()})


def test_no_attribute_of_the_installed_viewsets_is_free_as_a_name() -> None:
    for name in dir(ModelViewSet):
        if not name.startswith("_"):
            with pytest.raises(DeclarationInvalid):
                Actions(**{name: feed()})


def test_only_actions_are_actions() -> None:
    with pytest.raises(DeclarationInvalid, match="takes an Action"):
        Actions(feed=Feed)  # type: ignore[arg-type]


# --- on a model ----------------------------------------------------------------------------------


@isolate_apps("tests.zoo")
def test_an_action_on_a_model_and_on_a_row() -> None:
    class Lion(models.Model):
        actions = Actions(feed=feed(), import_lions=wash(detail=False))

        class Meta:
            app_label = "zoo"

    simba = Lion(pk=7)

    assert Lion.actions.feed.key == "zoo.lion.feed"
    assert Lion.actions.feed.entity is None
    assert simba.actions.feed.entity is simba
    assert simba.actions.feed.entity_id == 7
    assert simba.actions["feed"] == simba.actions.feed
    assert simba.actions.feed.workflow is Feed
    assert list(Lion.actions) == Lion.actions.names() == ["feed", "import_lions"]
    assert len(Lion.actions) == 2
    assert "feed" in Lion.actions
    assert "fly" not in Lion.actions


@isolate_apps("tests.zoo")
def test_an_unknown_action_names_those_there_are_and_what_was_meant() -> None:
    class Lion(models.Model):
        actions = Actions(feed=feed(), wash=wash())

        class Meta:
            app_label = "zoo"

    with pytest.raises(
        AttributeError, match=r"Lion has no action 'fed'; there are feed, wash. Did you mean feed\?"
    ):
        _ = Lion.actions.fed
    with pytest.raises(KeyError, match="there are feed, wash"):
        _ = Lion.actions["fly"]


@isolate_apps("tests.zoo")
def test_the_set_of_actions_can_be_copied() -> None:
    class Lion(models.Model):
        actions = Actions(feed=feed())

        class Meta:
            app_label = "zoo"

    assert copy.copy(Lion.actions).names() == ["feed"]


@isolate_apps("tests.zoo")
def test_calling_an_action_on_the_wrong_thing_says_what_to_call() -> None:
    class Lion(models.Model):
        actions = Actions(feed=feed(), breed=wash(detail=False))

        class Meta:
            app_label = "zoo"

    stored = Lion(pk=1)
    stored._state.adding = False

    with pytest.raises(EntityMismatch, match=r"on a row: call it on one, as lion\.actions\.feed"):
        Lion.actions.feed.run(user=person())
    with pytest.raises(EntityMismatch, match="on a row"):
        asyncio.run(Lion.actions.feed.arun(user=person()))
    with pytest.raises(EntityMismatch, match="on a row"):
        asyncio.run(Lion.actions.feed.aenqueue(user=person()))
    with pytest.raises(EntityMismatch, match=r"on the class, as Lion\.actions\.breed"):
        stored.actions.breed.enqueue(user=person())
    with pytest.raises(EntityMismatch, match="save this Lion first"):
        Lion(pk=1).actions.feed.run(user=person())


@isolate_apps("tests.zoo")
def test_a_row_of_another_model_cannot_be_bound() -> None:
    class Lion(models.Model):
        actions = Actions(feed=feed())

        class Meta:
            app_label = "zoo"

    class Tiger(models.Model):
        class Meta:
            app_label = "zoo"

    with pytest.raises(EntityMismatch, match=r"an action of zoo\.Lion, not of Tiger"):
        Lion.actions.feed.bind(Tiger(pk=1))


@isolate_apps("tests.zoo")
def test_actions_of_a_row_cannot_be_assigned() -> None:
    class Lion(models.Model):
        actions = Actions(feed=feed())

        class Meta:
            app_label = "zoo"

    with pytest.raises(AttributeError, match=r"Lion\.actions holds the model's actions"):
        Lion(pk=1).actions = 5


@isolate_apps("tests.zoo")
def test_an_action_tells_surfaces_how_it_looks() -> None:
    class Lion(models.Model):
        actions = Actions(
            feed_now=feed(),
            wash=wash(summary="Make it clean.", path="clean"),
            groom=Action(handler=groom, rules=[allow_any]),
            rinse=wash(),
        )

        class Meta:
            app_label = "zoo"

    actions = Lion.actions
    assert [actions[name].path for name in actions] == ["feed-now", "clean", "groom", "rinse"]
    assert [actions[name].summary for name in actions] == [
        "Give it something to eat.",
        "Make it clean.",
        "Brush it.",
        "Rinse",
    ]
    assert actions.feed_now.description == "Give it something to eat.\n\nAnd wait until it is eaten."
    assert actions.feed_now.label == "Feed now"
    assert repr(actions.wash) == "<zoo.lion.wash>"
    assert repr(Lion(pk=1).actions.wash) == "<zoo.lion.wash on 1>"
    assert repr(Lion(pk=1).actions) == "<actions of Lion 1: feed_now, wash, groom, rinse>"
    assert "feed_now" in dir(actions)


# --- who may -------------------------------------------------------------------------------------


@isolate_apps("tests.zoo")
def test_available_lists_what_the_user_may_do_with_the_row_or_the_collection() -> None:
    class Lion(models.Model):
        actions = Actions(
            feed=feed(),
            wash=wash(rules=[is_staff]),
            breed=feed(detail=False),
            count=feed(detail=False, rules=[is_staff]),
            ruleless=feed(rules=[]),
        )

        class Meta:
            app_label = "zoo"

    def names(found: list[Any]) -> list[str]:
        return [action.name for action in found]

    assert names(Lion(pk=1).actions.available(person())) == ["feed"]
    assert names(Lion(pk=1).actions.available(person(is_staff=True))) == ["feed", "wash"]
    assert names(Lion.actions.available(person())) == ["breed"]
    assert Lion.actions.available(None) == []
