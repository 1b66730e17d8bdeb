"""What happens when somebody pays, cancels, ships, waits for a parcel, restocks or changes a price."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.mail import send_mail
from django.db.models import F, QuerySet
from rest_framework import serializers

from example_shop import bank
from example_shop.models import Customer, Order, OrderLine, Payment, Product, Shipment
from flowstate import (
    ApprovalStep,
    ChoiceStep,
    Context,
    CreateStep,
    DelayStep,
    EventStep,
    Retry,
    StepError,
    UpdateStep,
    Workflow,
    has_perm,
    step,
)

# --- checkout ------------------------------------------------------------------------------------


class OrderNotOpen(StepError):
    status_code = 409
    default_code = "order_not_open"
    default_detail = "This order is not open: it was paid or cancelled already."


class OutOfStock(StepError):
    status_code = 409
    default_code = "out_of_stock"
    default_detail = "There is not enough in stock."


class CheckoutInput(serializers.Serializer[Any]):
    card = serializers.ChoiceField(choices=bank.CARDS, help_text="The card to charge.")


A_WEEK = timedelta(days=7)
LARGE = Decimal(1000)  # euros; a manager looks at orders above


def is_large(ctx: Context[Order]) -> bool:
    return ctx.entity.total > LARGE


def has_email(ctx: Context[Order]) -> bool:
    return bool(ctx.entity.customer.user.email)


class Checkout(Workflow):
    """Hold the order, reserve the goods, have a manager look at a large one, charge the card, tell the customer."""

    input = CheckoutInput

    class Meta:
        # One action at a time on an order: nobody cancels what is being paid.
        exclusive = "entity"
        timeout = A_WEEK + timedelta(days=1)  # a manager may take a week

    # The guard and the change are one locked write. Its undo is derived: the order is open again.
    hold = UpdateStep(
        "shop.Order",
        where=lambda ctx: {"pk": ctx.entity_id, "status": Order.Status.OPEN},
        values={"status": Order.Status.PAYING},
        missing=OrderNotOpen,
    )

    # Own ORM code over several rows: these writes and the step's journal row are one commit.
    @step(transactional=True, raises=[OutOfStock])
    def reserve(self, ctx: Context[Order]) -> dict[str, int]:
        return take_from_stock(ctx.entity)

    # A derived undo needs an entity step; for own code it is written by hand. It runs at most once.
    @reserve.compensate
    def put_back(self, ctx: Context[Order], reserved: dict[str, int]) -> None:
        return_to_stock(reserved)

    # Nobody holds a worker meanwhile. The decision is about these values: if one changes, it is asked again.
    review = ApprovalStep(
        approvers=has_perm("shop.approve_order"),
        when=is_large,
        reason="the order is not over 1,000 euros",
        show=["customer", "total", "goods"],
        expires=A_WEEK,
        reminders=[timedelta(days=1)],
    )

    # The outside world: called without any transaction open, and again under the same key if need be.
    @step(
        background=True,
        retry=Retry(max_attempts=3, delay=0.5, give_up_on=[bank.CardDeclined]),
        timeout=5,
        raises=[bank.CardDeclined, bank.BankTimeout, bank.BankClosed],
        unknown_on=[bank.BankTimeout],
    )
    def charge(self, ctx: Context[Order]) -> dict[str, str]:
        review = ctx.results["review"]
        # What was approved, not what stands in the row by now.
        total = review["shown"]["total"] if review else ctx.entity.total
        return bank.charge(card=ctx.input["card"], amount=total, key=ctx.idempotency_key)

    # Without an answer nobody knows whether the money moved (`charge` is None then). The bank knows the
    # payment by the key it was asked under, gives back what it took, and takes nothing under that key later.
    @charge.compensate(retry=Retry(max_attempts=3, delay=0.5))
    def refund(self, ctx: Context[Order], charge: dict[str, str] | None) -> None:
        bank.refund(charge_key=ctx.forward_key, key=ctx.idempotency_key)

    # Derived undo: the row is deleted again.
    payment = CreateStep(
        "shop.Payment",
        values=lambda ctx: {
            "order_id": ctx.entity_id,
            "reference": ctx.results["charge"]["reference"],
            "amount": ctx.entity.total,
        },
        store_as="payment_id",
    )

    mark_paid = UpdateStep(values={"status": Order.Status.PAID})

    # A mail that cannot be sent is no reason to give the money back.
    @step(
        optional=True,
        when=has_email,
        reason="the customer has no e-mail address",
    )
    def send_receipt(self, ctx: Context[Order]) -> None:
        order = ctx.entity
        send_mail(
            subject=f"Your receipt for order {order.pk}",
            message=f"Thank you, {order.customer.name}. We have received {order.total} euros.",
            from_email=settings.DEFAULT_FROM_EMAIL,
            recipient_list=[order.customer.user.email],
        )


def take_from_stock(order: Order) -> dict[str, int]:
    """Reserve every line of the order; return the quantity taken of each product, by primary key.

    Raises OutOfStock, which takes the earlier lines back too: the caller's transaction holds all of it.
    """
    taken: dict[str, int] = {}
    # Ordered by product, so that two orders for the same goods lock them in the same order.
    for line in order.lines.select_related("product").order_by("product_id"):
        enough = Product.objects.filter(pk=line.product_id, stock__gte=line.quantity)
        if not enough.update(stock=F("stock") - line.quantity):
            left = Product.objects.values_list("stock", flat=True).get(pk=line.product_id)
            message = f"Only {left} of {line.product.name} left, {line.quantity} wanted."
            raise OutOfStock(message)
        taken[str(line.product_id)] = line.quantity
    return taken


def return_to_stock(taken: dict[str, int]) -> None:
    """Put these quantities back, whatever else has been sold or delivered since."""
    for product_id, quantity in sorted(taken.items(), key=lambda item: int(item[0])):
        Product.objects.filter(pk=product_id).update(stock=F("stock") + quantity)


# --- cancelling, shipping, delivering, restocking ------------------------------------------------


class OrderNotCancellable(StepError):
    status_code = 409
    default_code = "order_not_cancellable"
    default_detail = "Only an open or a paid order can be cancelled."


class RefundUnclear(StepError):
    status_code = 502
    default_code = "refund_unclear"
    default_detail = "The bank did not say whether it gave the money back: look at its ledger."


def was_paid(ctx: Context[Order]) -> bool:
    return Payment.objects.filter(order=ctx.entity_id).exists()


def finance_people(ctx: Context[Order]) -> QuerySet[User]:
    return User.objects.filter(groups__name="Finance", is_active=True)


class CancelOrder(Workflow):
    """Call the order off; if it was paid, and two of finance agree, take the goods back and return the money."""

    class Meta:
        exclusive = "entity"

    call_off = UpdateStep(
        "shop.Order",
        where=lambda ctx: {"pk": ctx.entity_id, "status__in": [Order.Status.OPEN, Order.Status.PAID]},
        values={"status": Order.Status.CANCELLED},
        missing=OrderNotCancellable,
    )

    # Before anything goes back: if they say no, the order stands as before.
    agree = ApprovalStep(
        approver_users=finance_people,
        quorum=2,
        when=was_paid,
        reason="the order was not paid",
        show=["customer", ("Money to give back", "payment__amount"), "goods"],
        expires=A_WEEK,
    )

    @step(transactional=True, when=was_paid, reason="the order was not paid, so nothing was reserved")
    def return_goods(self, ctx: Context[Order]) -> dict[str, int]:
        lines = OrderLine.objects.filter(order=ctx.entity_id)
        taken = {str(line.product_id): line.quantity for line in lines}
        return_to_stock(taken)
        return taken

    @return_goods.compensate
    def take_again(self, ctx: Context[Order], taken: dict[str, int]) -> None:
        take_from_stock(ctx.entity)

    note_refund = UpdateStep(
        "shop.Payment",
        where=lambda ctx: {"order_id": ctx.entity_id},
        values={"status": Payment.Status.REFUNDED},
        when=was_paid,
        reason="the order was not paid",
    )

    # Last, because money that went back cannot be taken again.
    @step(
        background=True,
        when=was_paid,
        reason="the order was not paid",
        retry=Retry(max_attempts=5, delay=0.5),
        timeout=5,
        raises=[bank.BankTimeout, bank.BankClosed],
        unknown_on=[bank.BankTimeout],
    )
    def pay_back(self, ctx: Context[Order]) -> dict[str, str]:
        payment = Payment.objects.get(order=ctx.entity_id)
        return bank.refund(reference=payment.reference, key=ctx.idempotency_key)

    # Asked only if the outcome is unknown or a later step failed: then a person has to decide.
    @pay_back.compensate(retry=Retry(max_attempts=1))
    def ask_a_person(self, ctx: Context[Order], refund: dict[str, str] | None) -> None:
        raise RefundUnclear


class OrderNotPaid(StepError):
    status_code = 409
    default_code = "order_not_paid"
    default_detail = "Only a paid order can be shipped."


class ShipInput(serializers.Serializer[Any]):
    carrier = serializers.ChoiceField(choices=Shipment.Carrier.choices, default=Shipment.Carrier.POST)
    tracking_code = serializers.CharField(max_length=40, required=False, allow_blank=True, default="")


class Ship(Workflow):
    """Note the parcel, mark the order shipped and begin its delivery, all in one commit."""

    input = ShipInput

    class Meta:
        atomic = True
        exclusive = "entity"

    hand_over = UpdateStep(
        "shop.Order",
        where=lambda ctx: {"pk": ctx.entity_id, "status": Order.Status.PAID},
        values={"status": Order.Status.SHIPPED},
        missing=OrderNotPaid,
    )
    shipment = CreateStep(
        "shop.Shipment",
        values=lambda ctx: {"order_id": ctx.entity_id, **ctx.input},
        store_as="shipment_id",
    )

    # The delivery takes days and this takes one commit, so it is a run of its own. `enqueue` joins the
    # transaction: it begins if the parcel was handed over, and never was if that is rolled back.
    @step(transactional=True)
    def begin_delivery(self, ctx: Context[Order]) -> None:
        ctx.entity.actions.deliver.enqueue(user=ctx.user)


class Deliver(Workflow):
    """Tell the customer, wait until the parcel has arrived, and mark the order delivered."""

    # Two branches begin at once: a mail server that is slow holds up no parcel.
    @step(
        depends_on=(),
        background=True,
        optional=True,
        timeout=10,
        retry=Retry(max_attempts=3, delay=1),
        when=has_email,
        reason="the customer has no e-mail address",
    )
    def tell_customer(self, ctx: Context[Order]) -> None:
        order = ctx.entity
        send_mail(
            subject=f"Your order {order.pk} is on its way",
            message=f"{order.customer.name}, your parcel comes by: {order.shipment}.",
            from_email=settings.DEFAULT_FROM_EMAIL,
            recipient_list=[order.customer.user.email],
        )

    parcel = ChoiceStep(
        lambda ctx: "tracked" if ctx.entity.shipment.tracking_code else "untracked",
        options=["tracked", "untracked"],
        depends_on=(),
    )

    # The parcel service says so over HTTP, or the customer by a button: `POST /api/events/parcel.arrived/`.
    arrived = EventStep(
        "parcel.arrived",
        key=lambda ctx: ctx.entity.shipment.tracking_code,
        timeout=timedelta(days=14),
        depends_on=parcel["tracked"],
    )

    # Of a parcel that nobody can follow nobody hears.
    three_days = DelayStep(timedelta(days=3), depends_on=parcel["untracked"])

    mark_delivered = UpdateStep(
        values={"status": Order.Status.DELIVERED}, depends_on=[tell_customer, arrived, three_days]
    )

    def should_run(self, ctx: Context[Order]) -> bool:
        return ctx.entity.status == Order.Status.SHIPPED


class ProductUnknown(StepError):
    status_code = 404
    default_code = "product_unknown"
    default_detail = "There is no product with this SKU."


class RestockInput(serializers.Serializer[Any]):
    sku = serializers.SlugField(max_length=40)
    quantity = serializers.IntegerField(min_value=1, max_value=10_000)


class Restock(Workflow):
    """Add goods that were delivered to the stock of one product."""

    input = RestockInput

    # `F("stock") + n` is a delta: undoing it takes n away again, whoever has bought something since.
    add = UpdateStep(
        "shop.Product",
        where=lambda ctx: {"sku": ctx.input["sku"]},
        values=lambda ctx: {"stock": F("stock") + ctx.input["quantity"]},
        missing=ProductUnknown,
    )


# --- prices --------------------------------------------------------------------------------------


class RepriceInput(serializers.Serializer[Any]):
    price = serializers.DecimalField(max_digits=8, decimal_places=2, min_value=0)


class Reprice(Workflow):
    """Change a price at once, and tell the customers in an hour, unless it is called off before."""

    input = RepriceInput

    # A plain value is restored only where nobody else has changed it since. Otherwise a person is asked:
    # the default, as if it said on_conflict="attention".
    change = UpdateStep(values=lambda ctx: {"price": ctx.input["price"]})

    think_again = DelayStep(timedelta(hours=1))

    @step(optional=True)
    def tell_customers(self, ctx: Context[Product]) -> int:
        product = ctx.entity
        emails = Customer.objects.exclude(user__email="").values_list("user__email", flat=True)
        for email in emails:
            send_mail(
                subject=f"{product.name}: a new price",
                message=f"{product.name} costs {product.price} euros from now on.",
                from_email=settings.DEFAULT_FROM_EMAIL,
                recipient_list=[email],
            )
        return len(emails)
