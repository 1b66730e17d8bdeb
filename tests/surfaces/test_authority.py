"""Rules with the users, groups and permissions of the database."""

from __future__ import annotations

from typing import Any

import pytest

from django.contrib.auth.models import AnonymousUser, Group, Permission, User

from flowstate.actions import Action, allows, find_action, has_perm, in_group, is_owner
from tests.unit.actions.binding import bound
from tests.zoo.models import Keeper

pytestmark = pytest.mark.django_db


def work(ctx: Any) -> None: ...


def test_a_group_admits_its_active_members_and_not_superusers() -> None:
    clerks = Group.objects.create(name="clerks")
    member, other = (
        User.objects.create(username="ada"),
        User.objects.create(username="bob", is_superuser=True),
    )
    member.groups.add(clerks)

    assert in_group("clerks")(member, None) is True
    assert in_group("clerks")(other, None) is False
    assert in_group("trainees")(member, None) is False

    member.is_active = False
    assert in_group("clerks")(member, None) is False


def test_a_permission_of_the_model_counts_for_each_row() -> None:
    keeper = Keeper.objects.create(name="K", email="k@example.org")
    user = User.objects.create(username="ada")
    user.user_permissions.add(Permission.objects.get(codename="change_keeper"))

    assert has_perm("zoo.change_keeper")(user, keeper) is True
    assert has_perm("zoo.delete_keeper")(user, keeper) is False
    assert has_perm("zoo.change_keeper")(AnonymousUser(), keeper) is False


def test_asking_who_owns_a_row_reads_nothing(django_assert_num_queries: Any) -> None:
    user = User.objects.create(username="ada")

    with bound(User, greet=Action(handler=work, rules=[is_owner("pk")])), django_assert_num_queries(0):
        assert allows(find_action("auth.user.greet"), user, user)
