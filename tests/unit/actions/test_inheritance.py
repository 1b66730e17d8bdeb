"""Actions merge along the bases of a model; the key of a run is the concrete model that declares the action."""

from __future__ import annotations

from typing import Any

import pytest

from django.db import models
from django.test.utils import isolate_apps

from flowstate.actions import Action, Actions, actions_of, allow_any
from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows import Workflow, step


class Feed(Workflow):
    @step(transactional=True)
    def fill(self, ctx: Any) -> None: ...


class Wash(Workflow):
    @step(transactional=True)
    def rinse(self, ctx: Any) -> None: ...


def feed() -> Action:
    return Action(Feed, rules=[allow_any])


def wash() -> Action:
    return Action(Wash, rules=[allow_any])


@isolate_apps("tests.zoo")
def test_abstract_bases_give_their_actions_to_each_model_under_its_own_key() -> None:
    class Living(models.Model):
        actions = Actions(feed=feed(), wash=wash())

        class Meta:
            abstract = True
            app_label = "zoo"

    class Lion(Living):
        actions = Actions(feed=wash(), groom=feed())

        class Meta:
            app_label = "zoo"

    class Tiger(Living):
        class Meta:
            app_label = "zoo"

    assert {action.key for action in actions_of(Lion).values()} == {
        "zoo.lion.feed",
        "zoo.lion.wash",
        "zoo.lion.groom",
    }
    assert {action.key for action in actions_of(Tiger).values()} == {"zoo.tiger.feed", "zoo.tiger.wash"}
    assert Lion.actions.feed.workflow is Wash, "the child's wins"
    assert Tiger.actions.feed.workflow is Feed


@isolate_apps("tests.zoo")
def test_multi_table_children_share_the_runs_of_the_parent_unless_they_declare_their_own() -> None:
    class Cat(models.Model):
        actions = Actions(feed=feed(), wash=feed())

        class Meta:
            app_label = "zoo"

    class Lion(Cat):
        actions = Actions(wash=wash())

        class Meta:
            app_label = "zoo"

    lion = Lion(id=3, cat_ptr_id=3)

    assert (lion.actions.feed.key, lion.actions.feed.model) == ("zoo.cat.feed", Cat)
    assert lion.actions.feed.entity_id == 3
    assert (lion.actions.wash.key, lion.actions.wash.model) == ("zoo.lion.wash", Lion)
    assert Cat.actions.wash.key == "zoo.cat.wash"


@isolate_apps("tests.zoo")
def test_a_child_of_two_tables_names_the_row_of_the_parent_whose_action_it_is() -> None:
    class Cat(models.Model):
        cat_id = models.AutoField(primary_key=True)

        class Meta:
            app_label = "zoo"

    class Exhibit(models.Model):
        number = models.AutoField(primary_key=True)
        actions = Actions(feed=feed())

        class Meta:
            app_label = "zoo"

    class Lion(Cat, Exhibit):
        class Meta:
            app_label = "zoo"

    lion = Lion(cat_id=1, cat_ptr_id=1, number=2, exhibit_ptr_id=2)

    assert (lion.pk, lion.actions.feed.entity_id) == (1, 2)


@isolate_apps("tests.zoo")
def test_a_grandchild_of_an_abstract_base_shares_the_runs_of_the_first_concrete_model() -> None:
    class Living(models.Model):
        actions = Actions(feed=feed())

        class Meta:
            abstract = True
            app_label = "zoo"

    class Cat(Living):
        class Meta:
            app_label = "zoo"

    class Lion(Cat):
        class Meta:
            app_label = "zoo"

    assert Lion.actions.feed.key == Cat.actions.feed.key == "zoo.cat.feed"


@isolate_apps("tests.zoo")
def test_proxies_share_the_runs_of_the_model_behind_them() -> None:
    class Lion(models.Model):
        actions = Actions(feed=feed())

        class Meta:
            app_label = "zoo"

    class Cub(Lion):
        actions = Actions(wash=wash())

        class Meta:
            proxy = True
            app_label = "zoo"

    assert Cub.actions.feed.key == "zoo.lion.feed"
    assert (Cub.actions.wash.key, Cub.actions.wash.model) == ("zoo.lion.wash", Lion)
    assert Cub(pk=1).actions.wash.entity_id == 1
    assert Lion.actions.names() == ["feed"]


@isolate_apps("tests.zoo")
def test_plain_mixins_give_actions_too() -> None:
    class Washable:
        actions = Actions(wash=wash())

    class Lion(Washable, models.Model):
        class Meta:
            app_label = "zoo"

    assert Lion(pk=1).actions.wash.key == "zoo.lion.wash"


@isolate_apps("tests.zoo")
def test_one_declaration_may_stand_on_two_models() -> None:
    shared = Actions(feed=feed())

    class Lion(models.Model):
        actions = shared

        class Meta:
            app_label = "zoo"

    class Tiger(models.Model):
        flows = shared

        class Meta:
            app_label = "zoo"

    assert Lion.actions.feed.key == "zoo.lion.feed"
    assert Tiger.flows.feed.key == "zoo.tiger.feed"
    assert list(actions_of(Tiger)) == ["feed"], "whatever the attribute is called"


@isolate_apps("tests.zoo")
def test_two_attributes_with_actions_on_one_model_are_refused() -> None:
    with pytest.raises(DeclarationInvalid, match=r"Lion\.actions already"):

        class Lion(models.Model):
            actions = Actions(feed=feed())
            flows = Actions(wash=wash())

            class Meta:
                app_label = "zoo"


@isolate_apps("tests.zoo")
def test_another_attribute_than_the_parents_is_refused() -> None:
    class Cat(models.Model):
        actions = Actions(feed=feed())

        class Meta:
            app_label = "zoo"

    with pytest.raises(DeclarationInvalid, match=r"in Cat\.actions already"):

        class Lion(Cat):
            flows = Actions(wash=wash())

            class Meta:
                app_label = "zoo"
