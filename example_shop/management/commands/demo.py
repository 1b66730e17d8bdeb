"""Opens the shop with one command: database, bank, worker and web server in one process."""

from __future__ import annotations

import errno
import os
import signal
import threading
from argparse import ArgumentTypeError
from contextlib import suppress
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application

from example_shop.fake_bank import BankServer
from example_shop.models import Customer, Order, Product
from example_shop.seed import FirstOrder, seed
from example_shop.worker import EmbeddedWorker

OPEN = """
The shop is open.

  Shop    {url}/
          customers: ada / ada, bob / bob
  Staff   {url}/admin/
          admin / admin, clerk / clerk (may only ship and restock),
          manager / manager (approves orders over 1,000 euros),
          fay / fay, finn / finn, flora / flora (finance: two of them agree to a refund)
  API     {url}/api/
  Bank    {bank}/ledger

One run needs a person at first: two have changed a price. See who is right, and retry, force or waive it:
          {url}/admin/flowstate/run/?status__exact=attention

At first an order of bob waits for its parcel, too. Log in as bob, and say that it has arrived:
          {url}/orders/

And an order of ada waits for the manager. Log in as manager, and approve or reject it:
          {url}/admin/flowstate/approval/

Everything is kept in {data}. Ctrl+C closes the shop.
"""


def port_number(text: str) -> int:
    """Return a TCP port, for argparse; 0 takes a free one."""
    if not text.isdecimal() or int(text) > 65535:
        message = f"{text!r} is no port: a number from 0 to 65535 is expected."
        raise ArgumentTypeError(message)
    return int(text)


class Command(BaseCommand):
    help = "Open the example shop: migrate, fill it, start the bank, a worker and the web server."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--port",
            type=port_number,
            default=os.environ.get("PORT") or "8000",
            help="where the shop listens; 0 takes a free port (default: PORT, or 8000)",
        )

    def handle(self, *, port: int, **_options: Any) -> None:
        closing = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: closing.set())
        web = self.listen(port)  # before anything else: a port that is taken should not cost a migration
        call_command("migrate", verbosity=0)
        first_orders = seed()

        bank = BankServer(settings.BANK_LEDGER)
        bank.start()
        settings.BANK_URL = bank.url
        worker = EmbeddedWorker()
        if not worker.start():
            message = "The worker did not start: does CELERY_BROKER_URL answer?"
            raise CommandError(message)
        threading.Thread(target=web.serve_forever, name="web", daemon=True).start()
        pay(first_orders)
        if first_orders:
            send_off(first_orders[-1].order)
            disagree()
            ask_the_manager()
        self.announce(f"http://127.0.0.1:{web.server_port}", bank.url)

        closing.wait()
        self.close(web, worker, bank)

    def listen(self, port: int) -> ThreadedWSGIServer:
        """Return the web server, bound to its port. Raises CommandError when the port is taken."""
        try:
            server = ThreadedWSGIServer(("127.0.0.1", port), WSGIRequestHandler)
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
            why = "is taken" if error.errno == errno.EADDRINUSE else "is not for you"
            other = port + 1
            message = f"Port {port} {why}. Choose another: PORT={other} make demo, or demo --port {other}."
            raise CommandError(message) from error
        server.set_app(StaticFilesHandler(get_wsgi_application()))
        return server

    def announce(self, url: str, bank: str) -> None:
        self.stdout.write(OPEN.format(url=url, bank=bank, data=settings.DATA_DIR))
        self.stdout.flush()

    def close(self, web: ThreadedWSGIServer, worker: EmbeddedWorker, bank: BankServer) -> None:
        """Stop taking requests, let the worker finish, and let the bank go last."""
        self.stdout.write("Closing the shop ...")
        web.shutdown()
        web.server_close()
        stopped = worker.stop()
        bank.stop()
        if not stopped:
            # The journal knows how far every run has come; the next start goes on from there.
            self.stdout.write("The worker was still busy. What it was doing goes on at the next start.")
            self.stdout.flush()
            os._exit(0)
        self.stdout.write("Closed.")


def pay(first_orders: list[FirstOrder]) -> None:
    """Have the first orders paid by the worker, so that there are runs to look at."""
    runs = [
        first.order.actions.checkout.enqueue(user=first.order.customer.user, input={"card": first.card})
        for first in first_orders
    ]
    with suppress(TimeoutError):  # then they go on while people look around
        for run in runs:
            run.wait(timeout=3)


def send_off(order: Order) -> None:
    """Have the clerk ship the order, so that a run waits for its parcel; not before it is paid."""
    order.refresh_from_db()
    if order.status == Order.Status.PAID:
        parcel = {"carrier": "post", "tracking_code": f"P-{order.pk}"}
        order.actions.ship.run(user=User.objects.get(username="clerk"), input=parcel)


def ask_the_manager() -> None:
    """Have ada pay for more than a clerk may sell: that waits for a person too."""
    ada, machine = Customer.objects.get(user__username="ada"), Product.objects.get(sku="espresso")
    Order.objects.place(ada, {machine: 1}).actions.checkout.run(user=ada.user, input={"card": "good"})


def disagree() -> None:
    """Have two people change one price, and the first change called off: what to do takes a person."""
    admin, lamp = User.objects.get(username="admin"), Product.objects.get(sku="lamp")
    run = lamp.actions.reprice.run(user=admin, input={"price": "99.00"})
    Product.objects.filter(pk=lamp.pk).update(price=Decimal("119.00"))  # as in the admin
    run.cancel(admin, "The supplier has changed its mind.")
