"""People who decide in the tests: made by name, with what they may."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth.models import Group, Permission, User

from flowstate import Workflow
from flowstate.engine.audit.fsck import find_broken
from flowstate.models import Approval, Run
from tests.kiosk.models import Product, Sale
from tests.kiosk.returns import diary
from tests.kiosk.stall import OnSale


def person(name: str, *, group: str = "", permission: str = "", superuser: bool = False) -> User:
    """Return a user, made where there is none yet, who is in the group and has the permission of sales."""
    user, _made = User.objects.get_or_create(username=name, defaults={"is_superuser": superuser})
    if group:
        user.groups.add(Group.objects.get_or_create(name=group)[0])
    if permission:
        user.user_permissions.add(
            Permission.objects.get(content_type__app_label="kiosk", codename=permission)
        )
    return user


def buyers(*names: str) -> list[User]:
    """Return people who are buyers."""
    return [person(name, group="buyers") for name in names]


def sale_of(owner: User, **columns: object) -> Sale:
    """Return another sale."""
    product = Product.objects.create(name="tea", stock=10)
    return Sale.objects.create(owner=owner, product=product, **{"quantity": 3, **columns})


def asked(on_sale: OnSale, workflow: type[Workflow], by: User) -> Approval:
    """Start the workflow for a person and return what it asks."""
    run = on_sale(workflow).run(user=by)
    return pending_of(run)


def pending_of(run: Run) -> Approval:
    """Return what the run waits to be decided now."""
    return run.approvals.pending().get()


def told(run: Run, *kinds: str) -> list[str]:
    """Return what the history says of approvals, of these kinds or all, without the word itself."""
    found = run.events.filter(kind__startswith="approval_").order_by("pk").values_list("kind", flat=True)
    words = [kind.removeprefix("approval_") for kind in found]
    return [word for word in words if not kinds or word in kinds]


def lines() -> list[str]:
    """Return what the steps have written into the diary."""
    return diary.lines


def broken() -> list[str]:
    """Return what does not hold of the journal."""
    return [f"{row.invariant} {row.words}" for row in find_broken(using="default", skew=timedelta(0))]
