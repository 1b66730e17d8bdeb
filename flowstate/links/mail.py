"""Mails to those who may decide: when something is asked, when time runs short, when others are asked too.

Off unless `FLOWSTATE["APPROVAL_MAIL"]` says where the site is. Receivers of `run_event` work after the commit.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.mail import send_mail
from django.db.models import Q
from django.template.loader import render_to_string

from flowstate.conf import settings
from flowstate.engine.approvals.inbox import standing_of
from flowstate.engine.approvals.judge import Voice
from flowstate.links.tokens import approval_link
from flowstate.models import Approval
from flowstate.signals import run_event

logger = logging.getLogger("flowstate.mail")

KINDS = ("approval_requested", "approval_reminded", "approval_escalated")
MOST_MAILS = 100
"""People who get a mail about one approval; more are a list, not people."""


def connect() -> None:
    """Have people told by mail, where the project wants that."""
    run_event.connect(tell, dispatch_uid="flowstate.links.mail")


def tell(*, run_id: str, kind: str, step: str, **_signal: Any) -> None:
    """Write to those who may decide what was asked just now."""
    site = settings().approval_mail
    if not site or kind not in KINDS:
        return
    pending = Approval.objects.pending().filter(run=UUID(run_id), step=step).select_related("run")
    for approval in pending:
        for person in _people(approval):
            _send(approval, person, site, kind)


def _send(approval: Approval, person: Any, site: str, kind: str) -> None:
    context = {
        "approval": approval,
        "run": approval.run,
        "shown": approval.shown_texts,
        "person": person,
        "reminder": kind == "approval_reminded",
        "url": site.rstrip("/") + approval_link(approval, person),
    }
    subject = render_to_string("flowstate/mail/approval_subject.txt", context)
    body = render_to_string("flowstate/mail/approval_body.txt", context)
    try:
        send_mail(" ".join(subject.split()), body, None, [person.email])
    except OSError:  # a mail server that is not there must not keep the mail from the others
        logger.exception("run=%s step=%s mail to user=%s failed", approval.run_id, approval.step, person.pk)


def _people(approval: Approval) -> Iterable[Any]:
    """Return whom known rules are for and who may vote now; nobody for rules that may be for everybody."""
    meant = Q(pk__in=[])
    for key in approval.inbox_entries.values_list("audience__key", flat=True):
        kind, _space, name = key.partition(" ")
        meant |= _meant_by(kind, name) if name else Q(pk__in=[])
    users = get_user_model()._default_manager
    found = users.filter(meant, is_active=True).exclude(email="").distinct().order_by("pk")[:MOST_MAILS]
    return [person for person in found if isinstance(standing_of(person, approval), Voice)]


def _meant_by(kind: str, name: str) -> Q:
    """Return whom a word of `actions.audiences` stands for. Superusers are not written to for being that."""
    if kind == "user":
        return Q(pk=name)
    if kind == "group":
        return Q(groups__name=name)
    app, _dot, codename = name.partition(".")
    permission = Permission.objects.filter(content_type__app_label=app, codename=codename)
    return Q(user_permissions__in=permission) | Q(groups__permissions__in=permission)
