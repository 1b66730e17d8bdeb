"""Rules: who may do an action with a row. Whatever is not a clear yes is a no."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from django.core.exceptions import FieldDoesNotExist
from django.db.models import ForeignKey, Model

from flowstate.exceptions import DeclarationInvalid

logger = logging.getLogger("flowstate.rules")

RuleFunction: TypeAlias = Callable[[Any, Any], object]


class Rule:
    """A question about a user and a row (None on collection actions); combine with `&`, `|` and `~`.

    A verdict is True, False, or None where the rule could not tell: it raised, or returned something that is
    not a bool, such as None or a coroutine. "Could not tell" stays that under `~`, so it never lets anybody in.
    """

    def __init__(self, function: RuleFunction, label: str = "") -> None:
        self.function = function
        self.label = label or f"rule({getattr(function, '__qualname__', repr(function))})"

    def __call__(self, user: Any, entity: Any) -> bool:
        """Return whether the user passes. Never raises for what the rule's own code does."""
        return self.verdict(user, entity) is True

    def verdict(self, user: Any, entity: Any) -> bool | None:
        """Return True, False, or None when the rule could not tell, which is logged."""
        try:
            answer = self.function(user, entity)
        except Exception:
            logger.warning("rule=%s denies because it raised", self, exc_info=True)
            return None
        if answer is True or answer is False:
            return answer
        if inspect.iscoroutine(answer):
            answer.close()  # nobody will await it, and Python would say so later at a random place
        logger.warning("rule=%s denies: it returned %s, expected True or False", self, type(answer).__name__)
        return None

    def leaves(self) -> Iterator[Rule]:
        """Yield the rules that this one is combined from, itself when it is simple."""
        yield self

    def __and__(self, other: Rule | RuleFunction) -> Rule:
        return AllOf((self, as_rule(other)))

    def __rand__(self, other: Rule | RuleFunction) -> Rule:
        return AllOf((as_rule(other), self))

    def __or__(self, other: Rule | RuleFunction) -> Rule:
        return AnyOf((self, as_rule(other)))

    def __ror__(self, other: Rule | RuleFunction) -> Rule:
        return AnyOf((as_rule(other), self))

    def __invert__(self) -> Rule:
        return Not(self)

    def __bool__(self) -> bool:
        # `a and b` would silently be b alone, and `not a` always False.
        message = f"{self} has no truth value: combine rules with &, | and ~ instead of and, or and not."
        raise TypeError(message)

    def __repr__(self) -> str:
        return self.label


class AllOf(Rule):
    """Every part passes. A clear no of one part decides, whatever the others cannot tell."""

    def __init__(self, parts: tuple[Rule, ...]) -> None:
        super().__init__(self.__call__, " & ".join(_bracketed(part, AnyOf) for part in parts))
        self.parts = parts

    def verdict(self, user: Any, entity: Any) -> bool | None:
        unclear = False
        for part in self.parts:
            verdict = part.verdict(user, entity)
            if verdict is False:
                return False
            unclear = unclear or verdict is None
        return None if unclear else True

    def leaves(self) -> Iterator[Rule]:
        for part in self.parts:
            yield from part.leaves()


class AnyOf(AllOf):
    """One part passes. A clear yes of one part decides, whatever the others cannot tell."""

    def __init__(self, parts: tuple[Rule, ...]) -> None:
        super().__init__(parts)
        self.label = " | ".join(map(repr, parts))

    def verdict(self, user: Any, entity: Any) -> bool | None:
        unclear = False
        for part in self.parts:
            verdict = part.verdict(user, entity)
            if verdict is True:
                return True
            unclear = unclear or verdict is None
        return None if unclear else False


class Not(Rule):
    """The part clearly does not pass."""

    def __init__(self, part: Rule) -> None:
        super().__init__(self.__call__, f"~{_bracketed(part, AllOf)}")
        self.part = part

    def verdict(self, user: Any, entity: Any) -> bool | None:
        verdict = self.part.verdict(user, entity)
        return None if verdict is None else not verdict

    def leaves(self) -> Iterator[Rule]:
        yield from self.part.leaves()


class Owner(Rule):
    """The row's field is the user. Cannot tell without a row, an owner, or an active, authenticated user.

    So `~is_owner("author")` lets in neither an anonymous user nor anybody on a row without an author.
    """

    def __init__(self, path: str, word: str = "is_owner") -> None:
        super().__init__(self.__call__, f"{word}({path!r})")
        self.path = path

    def verdict(self, user: Any, entity: Any) -> bool | None:
        if entity is None or not _is_active(user) or (isinstance(user, Model) and user.pk is None):
            return None
        try:
            row, last = self._end_of_path(entity)
            return None if row is None else _refers_to(row, last, user)
        except Exception:
            logger.warning("rule=%s denies because it raised", self, exc_info=True)
            return None

    def key(self, entity: Any) -> Any:
        """Return the key of the user that the row names now; None where there is none. Raises what the path does."""
        row, last = (None, "") if entity is None else self._end_of_path(entity)
        if row is None:
            return None
        field = _foreign_key(row, last) if isinstance(row, Model) else None
        if field is not None and field.target_field.primary_key:
            return getattr(row, field.attname)
        named = row if isinstance(row, Model) and last in {"pk", row._meta.pk.name} else getattr(row, last)
        return getattr(named, "pk", None)

    def _end_of_path(self, entity: Any) -> tuple[Any, str]:
        row = entity
        *through, last = self.path.split("__")
        for part in through:
            row = getattr(row, part)
            if row is None:
                break
        return row, last


class HasPerm(Rule):
    """The user has the permission at all, or else for this row."""

    def __init__(self, permission: str) -> None:
        super().__init__(self._ask, f"has_perm({permission!r})")
        self.permission = permission

    def _ask(self, user: Any, entity: Any) -> object:
        answer: object = user.has_perm(self.permission)
        if answer is False and entity is not None:
            return user.has_perm(self.permission, entity)
        return answer


class InGroup(Rule):
    """The user is active and in the group."""

    def __init__(self, name: str) -> None:
        super().__init__(self._ask, f"in_group({name!r})")
        self.name = name

    def _ask(self, user: Any, _entity: Any) -> object:
        return _is_active(user) and user.groups.filter(name=self.name).exists()


def rule(function: RuleFunction) -> Rule:
    """Make a rule of a function `(user, entity) -> bool`, to name it and to combine it; also a decorator."""
    return as_rule(function)


def as_rule(given: Any) -> Rule:
    """Return `given` as a rule. Raises DeclarationInvalid for what cannot be called."""
    if isinstance(given, Rule):
        return given
    if not callable(given):
        message = f"A rule is a Rule or a function (user, entity) -> bool, not {given!r}."
        raise DeclarationInvalid(message)
    return Rule(given)


def all_of(given: Any) -> Rule | None:
    """Return one rule that asks for all of them; None where there is none to ask, so nobody passes."""
    if given is None or isinstance(given, Rule) or callable(given):
        return None if given is None else as_rule(given)
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        message = f"rules= takes a list of rules, not {given!r}."
        raise DeclarationInvalid(message)
    parts = tuple(as_rule(part) for part in given)
    if len(parts) <= 1:
        return parts[0] if parts else None
    return AllOf(parts)


def is_owner(path: str) -> Rule:
    """Who the field is: `is_owner("customer")`, or over relations, `is_owner("customer__user")`.

    On a model of users, `is_owner("pk")` is the user's own row.
    """
    return _named_by(path, "is_owner", "customer__user")


def is_field(path: str) -> Rule:
    """Who the field names: `is_field("manager")`, or over relations, `is_field("customer__manager")`.

    The same question as `is_owner` asks, in the word for those who decide about a row.
    """
    return _named_by(path, "is_field", "customer__manager")


def _named_by(path: str, word: str, example: str) -> Rule:
    if not all(part.isidentifier() for part in _text(path).split("__")):
        message = f'{word} takes the path of a field, as {word}("{example}"), not {path!r}.'
        raise DeclarationInvalid(message)
    return Owner(path, word)


def has_perm(permission: str) -> Rule:
    """Who has the permission "app.codename" at all, or else for this row. Superusers pass, as in Django."""
    if not all(_text(permission).partition(".")):
        message = f'has_perm takes a permission as "app.codename", not {permission!r}.'
        raise DeclarationInvalid(message)

    return HasPerm(permission)


def in_group(name: str) -> Rule:
    """Who is active and in the group of that name; superusers only if they are in it."""
    if not _text(name):
        message = f"in_group takes the name of a group, not {name!r}."
        raise DeclarationInvalid(message)

    return InGroup(name)


def _allow_any(_user: Any, _entity: Any) -> bool:
    return True


def _is_active(user: Any) -> bool:
    return user.is_authenticated is True and user.is_active is True


def _is_authenticated(user: Any, _entity: Any) -> bool:
    return _is_active(user)


def _is_staff(user: Any, _entity: Any) -> bool:
    return _is_active(user) and user.is_staff is True


allow_any = Rule(_allow_any, "allow_any")
"""Everybody, also without a login."""

is_authenticated = Rule(_is_authenticated, "is_authenticated")
"""Who is logged in and active."""

is_staff = Rule(_is_staff, "is_staff")
"""Who is active and may enter the admin."""


def _text(given: object) -> str:
    return given if isinstance(given, str) else ""


def _bracketed(part: Rule, combined: type[Rule]) -> str:
    return f"({part})" if isinstance(part, combined) else repr(part)


def _refers_to(row: Any, name: str, user: Any) -> bool | None:
    """Return whether `row.name` is the user; None where it is null or of no kind that can be one."""
    if isinstance(row, Model):
        if name in {"pk", row._meta.pk.name}:
            return bool(row == user)
        field = _foreign_key(row, name)
        if field is not None:
            return _key_matches(row, field, user)
    value = getattr(row, name)
    return None if value is None else bool(value == user)


def _foreign_key(row: Model, name: str) -> ForeignKey[Any, Any] | None:
    try:
        field = row._meta.get_field(name)
    except FieldDoesNotExist:
        return None
    return field if isinstance(field, ForeignKey) else None


def _key_matches(row: Model, field: ForeignKey[Any, Any], user: Any) -> bool | None:
    # The key is compared, so that listing what a user may do reads no owner for each row. It is compared only
    # where the field points at users: customer 5 is not user 5.
    key = getattr(row, field.attname)
    if key is None:
        return None
    owners: Any = field.related_model
    if not issubclass(user._meta.concrete_model, owners._meta.concrete_model):
        return False
    return bool(key == getattr(user, field.target_field.attname))
