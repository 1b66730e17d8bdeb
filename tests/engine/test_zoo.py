"""The zoo has what makes undoing hard: each type of column, and each sort of model and of link."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.db import models

from tests.zoo.models import Everything

ELSEWHERE = {
    "AutoField": "a key, as BigAutoField is",
    "SmallAutoField": "a key, as BigAutoField is",
    "ImageField": "a FileField, and needs Pillow",
    "ForeignObject": "what ForeignKey is made of",
    "Field": "what all are made of",
}
MODELS = list(apps.get_app_config("zoo").get_models(include_auto_created=True))
FIELDS: list[Any] = [field for model in MODELS for field in model._meta.get_fields()]


def types_of_django() -> Iterator[str]:
    for name in dir(models):
        found = getattr(models, name)
        if not (isinstance(found, type) and issubclass(found, models.Field)) or name in ELSEWHERE:
            continue
        if found.system_check_removed_details is None:
            yield name


def test_there_is_a_column_of_every_type_that_django_has() -> None:
    there = {type(field).__name__ for field in FIELDS}

    assert set(types_of_django()) - there == set()


def test_there_is_a_link_of_every_sort() -> None:
    links = [field for field in FIELDS if isinstance(field, models.ForeignKey)]
    handlers = {getattr(link.remote_field.on_delete, "__name__", "") for link in links}
    many: list[Any] = [field for field in FIELDS if isinstance(field, models.ManyToManyField)]

    assert handlers >= {"CASCADE", "PROTECT", "RESTRICT", "SET_NULL", "SET_DEFAULT", "set_on_delete"}
    assert any(link.remote_field.model is link.model for link in links)
    assert any(not link.target_field.primary_key for link in links)
    assert {
        (bool(m2m.remote_field.through._meta.auto_created), m2m.remote_field.symmetrical) for m2m in many
    } == {
        (True, False),
        (True, True),
        (False, False),
    }


def test_there_is_a_model_of_every_sort() -> None:
    metas = [model._meta for model in MODELS]

    assert any(meta.proxy for meta in metas)
    assert any(len(meta.all_parents) == 2 for meta in metas)
    assert any(meta.unique_together for meta in metas)
    assert {type(constraint) for meta in metas for constraint in meta.constraints} == {
        models.CheckConstraint,
        models.UniqueConstraint,
    }
    assert {type(meta.pk) for meta in metas} >= {
        models.UUIDField,
        models.CharField,
        models.OneToOneField,
        models.CompositePrimaryKey,
    }
    assert any(meta.order_with_respect_to for meta in metas)
    assert any(type(model._default_manager) is not models.Manager for model in MODELS)
    assert any(model.delete is not models.Model.delete for model in MODELS)
    assert any(model.save is not models.Model.save for model in MODELS)


def test_there_are_columns_that_somebody_else_fills() -> None:
    columns: list[Any] = list(Everything._meta.concrete_fields)

    for name in ("auto_now", "auto_now_add", "generated"):
        assert any(getattr(column, name, False) for column in columns), name
    assert any(column.has_db_default() for column in columns)
