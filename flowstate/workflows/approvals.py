"""ApprovalStep: people decide whether and with what the run goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias, get_args

from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows.functions import name_of, refuse_wrong_arity
from flowstate.workflows.policies import Duration, flag, limit, refuse_unknown
from flowstate.workflows.shown import Show, ShownField, shown_fields
from flowstate.workflows.step_options import ApprovalOptions, option_names
from flowstate.workflows.steps import Kind
from flowstate.workflows.waits import WaitStep

if TYPE_CHECKING:
    from typing import Unpack

Approvers: TypeAlias = "Callable[[Any, Any], object] | Iterable[Callable[[Any, Any], object]]"
OnExpiry: TypeAlias = Literal["reject", "approve", "escalate"]
OnReject: TypeAlias = Literal["fail", "continue"]

MOST_APPROVERS: Final = 1000
"""People of `approver_users` that one approval asks."""


class ApprovalStep(WaitStep[dict[str, Any]]):
    """Wait until `quorum` people have approved, or one has rejected.

    Who may decide is said by rules, `approvers=`, or by a function `(ctx)` that gives a queryset of users,
    `approver_users=`, which is asked once. `show=` is what they see and what the approval is bound to; `form=` a
    serializer class for what they add. The result holds `approved`, `shown`, `form`, `who`, `at`, `comment`
    and `decisions`. Raises DeclarationInvalid for what could never be decided.
    """

    approvers: tuple[Callable[[Any, Any], object], ...]
    """Rules that all must pass; empty where people are named."""
    approver_users: Callable[[Any], Any] | None
    quorum: int | Literal["all"]
    four_eyes: bool
    shown: tuple[ShownField, ...]
    form: type[Any] | None
    expires: float | None
    """Seconds in which it must be decided; None: for as long as it takes."""
    on_expiry: OnExpiry
    escalate_to: tuple[Callable[[Any, Any], object], ...]
    reminders: tuple[float, ...]
    """Seconds before it expires at which people are reminded, the earliest first."""
    on_reject: OnReject
    recheck: bool
    ask_again: bool
    """Whether who has voted already is asked again when what is shown changes."""
    known_options: ClassVar[frozenset[str]] = option_names(ApprovalOptions)
    word = "ApprovalStep"

    def __init__(  # noqa: PLR0913 - what people are asked has that many sides
        self,
        *,
        approvers: Approvers | None = None,
        approver_users: Callable[[Any], Any] | None = None,
        quorum: int | Literal["all"] = 1,
        four_eyes: bool = True,
        show: Show = (),
        form: type[Any] | None = None,
        expires: Duration | None = None,
        on_expiry: OnExpiry = "reject",
        escalate_to: Approvers | None = None,
        reminders: Iterable[Duration] = (),
        on_reject: OnReject = "fail",
        recheck: bool = True,
        ask_again: bool = True,
        **options: Unpack[ApprovalOptions],
    ) -> None:
        what = f"{self.word} {options.get('name') or ''}".rstrip()
        refuse_unknown(what, options, self.known_options)
        rules, users = _who(approvers, approver_users, what)
        within = limit(expires, f"{what}: expires")
        escalation = _rules(escalate_to, f"{what}: escalate_to")
        _refuse_wrong_expiry(on_expiry, within, escalation, what)
        self._declare(
            Kind.APPROVAL,
            options,
            approvers=rules,
            approver_users=users,
            quorum=_quorum(quorum, users, what),
            four_eyes=flag(four_eyes, f"{what}: four_eyes"),
            shown=shown_fields(show, f"{what}: show"),
            form=_form(form, what),
            expires=within,
            on_expiry=on_expiry,
            escalate_to=escalation,
            reminders=_reminders(reminders, within, what),
            on_reject=_one_of(on_reject, OnReject, f"{what}: on_reject"),
            recheck=flag(recheck, f"{what}: recheck"),
            ask_again=flag(ask_again, f"{what}: ask_again"),
        )

    def refuse_wrong_functions(self, label: str) -> None:
        """Raise DeclarationInvalid where a function of this step could not be called."""
        super().refuse_wrong_functions(label)
        what = f"{label}: step {self.name!r}"
        if self.approver_users is not None:
            refuse_wrong_arity(self.approver_users, ("ctx",), f"{what}: approver_users")
        for rule in (*self.approvers, *self.escalate_to):
            refuse_wrong_arity(rule, ("user", "entity"), f"{what}: the rule {name_of(rule)}")
        for field in self.shown:
            if callable(field.source):
                refuse_wrong_arity(field.source, ("ctx",), f"{what}: show {field.name!r}")


def _who(approvers: Any, users: Any, what: str) -> tuple[tuple[Any, ...], Any]:
    rules = _rules(approvers, f"{what}: approvers")
    if bool(rules) == (users is not None):
        given = "got both" if rules else "got neither"
        message = f"{what} takes either approvers= (rules) or approver_users= (a function), it {given}."
        raise DeclarationInvalid(message)
    if users is not None and not callable(users):
        message = (
            f"{what}: approver_users is a function (ctx) that returns a queryset of users, not {users!r}."
        )
        raise DeclarationInvalid(message)
    return rules, users


def _rules(given: Any, what: str) -> tuple[Any, ...]:
    if given is None:
        return ()
    rules = (given,) if callable(given) else given
    if isinstance(rules, list | tuple) and rules and all(callable(rule) for rule in rules):
        return tuple(rules)
    message = f"{what} is a rule or a list of rules, as has_perm('shop.approve_order'), not {given!r}."
    raise DeclarationInvalid(message)


def _quorum(given: Any, users: Any, what: str) -> int | Literal["all"]:
    if given == "all":
        if users is None:
            message = f"{what}: quorum='all' needs approver_users=: of those who pass a rule nobody knows how many there are."
            raise DeclarationInvalid(message)
        return "all"
    if isinstance(given, int) and not isinstance(given, bool) and 1 <= given <= MOST_APPROVERS:
        return given
    message = f"{what}: quorum is a whole number from 1 to {MOST_APPROVERS}, or 'all', not {given!r}."
    raise DeclarationInvalid(message)


def _form(given: Any, what: str) -> type[Any] | None:
    if given is None or isinstance(given, type):
        return given
    message = f"{what}: form is a serializer class, not {given!r}."
    raise DeclarationInvalid(message)


def _refuse_wrong_expiry(on_expiry: Any, within: float | None, escalation: Sequence[Any], what: str) -> None:
    _one_of(on_expiry, OnExpiry, f"{what}: on_expiry")
    if on_expiry == "escalate" and not escalation:
        message = f"{what}: on_expiry='escalate' needs escalate_to=, the rules of those who may decide then."
        raise DeclarationInvalid(message)
    if escalation and on_expiry != "escalate":
        message = f"{what}: escalate_to= is for on_expiry='escalate', not for {on_expiry!r}."
        raise DeclarationInvalid(message)
    if within is None and on_expiry != "reject":
        message = f"{what}: on_expiry={on_expiry!r} needs expires=: without it the step never expires."
        raise DeclarationInvalid(message)


def _reminders(given: Any, within: float | None, what: str) -> tuple[float, ...]:
    if not isinstance(given, list | tuple):
        message = f"{what}: reminders is a list of durations before it expires, not {given!r}."
        raise DeclarationInvalid(message)
    if given and within is None:
        message = f"{what}: reminders come before the step expires, so they need expires=."
        raise DeclarationInvalid(message)
    found = {limit(one, f"{what}: reminders") or 0.0 for one in given}
    if within is not None and any(before >= within for before in found):
        message = f"{what}: a reminder comes less than {within:g} seconds, which is expires, before the end."
        raise DeclarationInvalid(message)
    return tuple(sorted(found, reverse=True))


def _one_of(given: Any, words: Any, what: str) -> Any:
    known = get_args(words)
    if given in known:
        return given
    listed = " or ".join(map(repr, known))
    message = f"{what} is {listed}, not {given!r}."
    raise DeclarationInvalid(message)
