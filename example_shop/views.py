"""The pages: what there is to buy, my orders, one order with its runs."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from example_shop.forms import ActionForm, CheckoutForm, OrderForm
from example_shop.models import Customer, Order, Product
from example_shop.progress import progress_of
from flowstate import deliver_event
from flowstate.exceptions import InputInvalid, StartRefused
from flowstate.models import Run

# The buttons of an order's page: which action, in which status, with which form.
BUTTONS = {
    "checkout": ({Order.Status.OPEN}, CheckoutForm),
    "cancel_order": ({Order.Status.OPEN, Order.Status.PAID}, ActionForm),
}


class AuthenticatedRequest(HttpRequest):
    """A request behind `login_required`."""

    user: User


def products(request: HttpRequest) -> HttpResponse:
    """Show what there is to buy, and take an order."""
    if request.method != "POST":
        return render(request, "shop/products.html", {"form": OrderForm(Product.objects.all())})
    if not request.user.is_authenticated:
        return redirect_to_login(request.path)
    form = OrderForm(Product.objects.all(), request.POST)
    if not form.is_valid():
        return render(request, "shop/products.html", {"form": form}, status=400)
    return redirect(Order.objects.place(Customer.objects.of(request.user), form.quantities()))


@login_required
@require_GET
def orders(request: AuthenticatedRequest) -> HttpResponse:
    """List the orders of the one who asks, newest first."""
    mine = Order.objects.filter(customer__user=request.user).prefetch_related("lines__product")
    return render(request, "shop/orders.html", {"orders": mine[:100]})


@login_required
@require_GET
@never_cache
def order(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Show one order, what can be done with it, and its runs."""
    return render(request, "shop/order.html", _order_context(request.user, pk))


@login_required
@require_GET
@never_cache
def order_fragment(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Return the changing part of an order's page, which asks for it while a run is live."""
    return render(request, "shop/_order.html", _order_context(request.user, pk))


@login_required
@require_POST
def act(request: AuthenticatedRequest, pk: int, name: str) -> HttpResponse:
    """Start an action of an order and show the order; what it comes to stands there, step by step."""
    entity = get_object_or_404(Order.objects.visible_to(request.user), pk=pk)
    if name not in BUTTONS:
        raise Http404(name)
    form = BUTTONS[name][1](request.POST)
    if not form.is_valid():
        messages.error(request, "Please fill in the form.")
        return redirect(entity)
    given = dict(form.cleaned_data)
    key = given.pop("key")
    try:
        # The rules are asked in there; ActionDenied is a PermissionDenied, which Django answers with 403.
        entity.actions[name].run(user=request.user, input=given, idempotency_key=key)
    except (InputInvalid, StartRefused) as error:
        messages.error(request, str(error))
    return redirect(entity)


@login_required
@require_POST
def arrived(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Hear from a customer that the parcel has arrived, which the parcel service says over HTTP."""
    on_the_way = Order.objects.visible_to(request.user).filter(status=Order.Status.SHIPPED)
    entity = get_object_or_404(on_the_way.exclude(shipment__tracking_code=""), pk=pk, shipment__isnull=False)
    form = ActionForm(request.POST)
    if form.is_valid():
        said = {"said_by": request.user.get_username()}
        # The key of the form: a double click is one event.
        event_id = f"order-{pk}-{form.cleaned_data['key']}"
        deliver_event("parcel.arrived", entity.shipment.tracking_code, said, event_id=event_id)
    return redirect(entity)


def _order_context(user: User, pk: int) -> dict[str, Any]:
    # The runs before the order: of two reads the later one sees more, and a page whose run has ended is not
    # fetched again. The other way round it might show the order of a moment ago for good.
    runs = [progress_of(run) for run in Run.objects.for_entity(Order(pk=pk)).with_steps()[:10]]
    visible = Order.objects.visible_to(user).select_related("customer", "shipment", "payment")
    entity = get_object_or_404(visible.prefetch_related("lines__product"), pk=pk)
    busy = any(not progress.run.finished for progress in runs)
    may = set() if busy else {action.name for action in entity.actions.available(user)}
    buttons = {
        name: form()
        for name, (statuses, form) in BUTTONS.items()
        if name in may and entity.status in statuses
    }
    live = any(progress.live for progress in runs)
    expected = any("arrived" in progress.expected for progress in runs)
    context = {"order": entity, "runs": runs, "live": live, "buttons": buttons}
    return {**context, "arrived": ActionForm() if expected else None}
