"""Rules: only a clear yes lets somebody in."""

from __future__ import annotations

import copy
import gc
import itertools
import logging
import pickle
from types import SimpleNamespace
from typing import Any

import pytest

from django.contrib.auth.models import AnonymousUser, Group, User
from django.db import models
from django.test.utils import isolate_apps
from django.utils.functional import SimpleLazyObject

from flowstate.actions.rules import (
    all_of,
    allow_any,
    as_rule,
    has_perm,
    in_group,
    is_authenticated,
    is_owner,
    is_staff,
    rule,
)
from flowstate.actions.system import SYSTEM
from flowstate.exceptions import DeclarationInvalid
from tests.unit.actions.people import person


def yes(_user: Any, _entity: Any) -> bool:
    return True


def no(_user: Any, _entity: Any) -> bool:
    return False


def broken(_user: Any, _entity: Any) -> bool:
    raise LookupError("no such thing")


def silent(_user: Any, _entity: Any) -> None: ...


async def later(_user: Any, _entity: Any) -> bool:
    return True


def one(_user: Any, _entity: Any) -> int:
    return 1


def word(_user: Any, _entity: Any) -> str:
    return "yes"


def of_user(_user: Any) -> bool:
    return True


UNCLEAR = [broken, silent, later, one, word, of_user]


def test_a_function_that_returns_true_passes_and_one_that_returns_false_does_not() -> None:
    assert rule(yes)(None, None) is True
    assert rule(no)(None, None) is False


@pytest.mark.parametrize("function", UNCLEAR)
def test_whatever_is_not_true_denies_under_not_as_well(function: Any) -> None:
    assert rule(function)(None, None) is False
    assert (~rule(function))(None, None) is False
    assert (~~rule(function))(None, None) is False


@pytest.mark.parametrize("function", UNCLEAR)
def test_what_cannot_be_told_stays_so_in_combinations_that_depend_on_it(function: Any) -> None:
    combined = [~(allow_any & function), ~(rule(no) | function), allow_any & function, rule(no) | function]

    assert [each(None, None) for each in combined] == [False, False, False, False]


def test_a_clear_answer_decides_whichever_side_cannot_tell() -> None:
    assert (allow_any | broken)(None, None) is True
    assert (broken | allow_any)(None, None) is True
    assert (~(rule(no) & broken))(None, None) is True
    assert (~(broken & rule(no)))(None, None) is True


@pytest.mark.parametrize(("a", "b"), list(itertools.product([yes, no, broken], repeat=2)))
def test_the_combinations_follow_the_laws_of_de_morgan(a: Any, b: Any) -> None:
    this, that = rule(a), rule(b)

    assert (~(this & that)).verdict(None, None) is (~this | ~that).verdict(None, None)
    assert (~(this | that)).verdict(None, None) is (~this & ~that).verdict(None, None)


def test_a_coroutine_is_closed_so_nobody_is_warned_of_it(recwarn: pytest.WarningsRecorder) -> None:
    assert rule(later)(None, None) is False

    gc.collect()
    assert [str(warning.message) for warning in recwarn] == []


def test_a_rule_that_raises_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "flowstate.rules"):
        rule(broken)(None, None)

    assert "rule(broken)" in caplog.text
    assert "no such thing" in caplog.text


def test_an_unknown_answer_is_logged_with_what_was_expected(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "flowstate.rules"):
        rule(silent)(None, None)

    assert "returned NoneType, expected True or False" in caplog.text


def test_plain_functions_combine_with_rules_on_both_sides() -> None:
    assert (yes & allow_any)(None, None) is True
    assert (no | allow_any)(None, None) is True


def test_python_words_for_combining_are_refused() -> None:
    with pytest.raises(TypeError, match=r"combine rules with &, \| and ~"):
        _ = is_staff and is_authenticated


def test_a_combined_rule_reads_as_it_was_written() -> None:
    combined = (is_staff | has_perm("shop.change_order")) & ~in_group("trainees") & ~(is_staff & yes)

    assert repr(combined) == (
        "(is_staff | has_perm('shop.change_order')) & ~in_group('trainees') & ~(is_staff & rule(yes))"
    )


@pytest.mark.parametrize("given", ["is_staff", 1, True])
def test_what_cannot_be_called_is_no_rule(given: Any) -> None:
    with pytest.raises(DeclarationInvalid, match="function \\(user, entity\\)"):
        as_rule(given)


# --- lists ---------------------------------------------------------------------------------------


def test_a_list_means_all_of_them() -> None:
    both = all_of([yes, no])
    assert both is not None

    assert both(None, None) is False


@pytest.mark.parametrize("nothing", [None, [], ()])
def test_no_rules_are_no_rule(nothing: Any) -> None:
    assert all_of(nothing) is None


def test_one_rule_needs_no_list() -> None:
    assert all_of(is_staff) is is_staff


@pytest.mark.parametrize("given", ["is_staff", 5, [None]])
def test_a_list_of_something_else_is_refused(given: Any) -> None:
    with pytest.raises(DeclarationInvalid):
        all_of(given)


# --- who somebody is -----------------------------------------------------------------------------


def test_everybody_passes_allow_any() -> None:
    assert allow_any(AnonymousUser(), None) is True


def test_only_active_users_are_authenticated() -> None:
    assert is_authenticated(person(), None) is True
    assert is_authenticated(person(is_active=False), None) is False
    assert is_authenticated(AnonymousUser(), None) is False


def test_only_active_staff_is_staff() -> None:
    assert is_staff(person(is_staff=True), None) is True
    assert is_staff(person(is_staff=True, is_active=False), None) is False
    assert is_staff(person(is_superuser=True), None) is False


def test_a_group_admits_no_anonymous_user_and_asks_no_database_for_that() -> None:
    assert in_group("clerks")(AnonymousUser(), None) is False


def test_a_permission_is_asked_without_the_row_and_then_with_it() -> None:
    may_change = has_perm("shop.change_order")
    row = object()

    assert may_change(person(1, "shop.change_order"), row) is True
    assert may_change(person(1, ("shop.change_order", row)), row) is True
    assert may_change(person(1, ("shop.change_order", row)), object()) is False
    assert may_change(person(1, ("shop.change_order", None)), None) is False


def test_superusers_pass_permissions_only() -> None:
    root = person(is_superuser=True)
    row = SimpleNamespace(customer=person(2))

    assert has_perm("shop.change_order")(root, row) is True
    assert is_owner("customer")(root, row) is False
    assert is_staff(root, row) is False


def test_a_permission_denies_anonymous_and_inactive_users() -> None:
    assert has_perm("shop.change_order")(AnonymousUser(), None) is False
    assert has_perm("shop.change_order")(person(is_superuser=True, is_active=False), None) is False


@pytest.mark.parametrize("make", [has_perm, is_owner, in_group])
@pytest.mark.parametrize("argument", ["", None, 5])
def test_a_rule_that_names_nothing_is_refused(make: Any, argument: Any) -> None:
    with pytest.raises(DeclarationInvalid):
        make(argument)


def test_a_permission_without_its_app_is_refused() -> None:
    with pytest.raises(DeclarationInvalid, match=r'"app\.codename"'):
        has_perm("change_order")


# --- owners --------------------------------------------------------------------------------------


def test_the_owner_is_found_over_relations() -> None:
    order = SimpleNamespace(customer=SimpleNamespace(user=person(1)))

    assert is_owner("customer__user")(person(1), order) is True
    assert is_owner("customer__user")(person(2), order) is False
    assert (~is_owner("customer__user"))(person(2), order) is True


def test_a_lazy_user_is_the_user_it_stands_for() -> None:
    order = SimpleNamespace(customer=person(1))

    assert is_owner("customer")(SimpleLazyObject(lambda: person(1)), order) is True


@pytest.mark.parametrize(
    ("user", "order"),
    [
        (AnonymousUser(), SimpleNamespace(customer=None)),
        (AnonymousUser(), SimpleNamespace(customer=person(1))),
        (person(1), SimpleNamespace(customer=None)),
        (person(1), None),
        (person(1, is_active=False), SimpleNamespace(customer=person(1))),
        (person(1), SimpleNamespace()),
    ],
    ids=["nobody of nothing", "anonymous", "no owner", "no row", "inactive", "no such field"],
)
def test_where_ownership_cannot_be_told_nobody_passes_under_not_either(user: Any, order: Any) -> None:
    assert is_owner("customer")(user, order) is False
    assert (~is_owner("customer"))(user, order) is False


def test_an_unsaved_user_owns_nothing() -> None:
    nobody = person()
    nobody.pk = None

    assert is_owner("customer")(nobody, SimpleNamespace(customer=nobody)) is False


@isolate_apps("tests.zoo")
def test_a_foreign_key_is_compared_without_reading_the_owner() -> None:
    class Toy(models.Model):
        owner = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")

        class Meta:
            app_label = "zoo"

    toy = Toy(owner_id=1)  # without a database, reading toy.owner would raise

    assert is_owner("owner")(person(1), toy) is True
    assert is_owner("owner_id")(person(1), toy) is True
    assert is_owner("owner")(person(2), toy) is False
    assert is_owner("owner")(person(1), Toy()) is False


@isolate_apps("tests.zoo")
def test_a_key_of_something_else_is_no_owner_though_the_number_is_the_same() -> None:
    class Customer(models.Model):
        class Meta:
            app_label = "zoo"

    class Order(models.Model):
        customer = models.ForeignKey(Customer, on_delete=models.CASCADE)
        number = models.IntegerField(default=1)

        class Meta:
            app_label = "zoo"

    order = Order(pk=1, customer_id=1)

    assert [
        is_owner(path)(person(1), order) for path in ("customer", "customer_id", "number", "pk", "id")
    ] == [False] * 5


def test_on_a_model_of_users_the_key_is_the_own_row() -> None:
    assert is_owner("pk")(person(1), person(1)) is True
    assert is_owner("id")(person(1), person(2)) is False
    assert is_owner("pk")(person(1), Group(pk=1)) is False


# --- SYSTEM --------------------------------------------------------------------------------------


def test_there_is_one_system_after_copying_and_pickling() -> None:
    copies = [copy.copy(SYSTEM), copy.deepcopy(SYSTEM), pickle.loads(pickle.dumps(SYSTEM))]  # noqa: S301

    assert all(each is SYSTEM for each in copies)
    assert repr(SYSTEM) == "SYSTEM"
