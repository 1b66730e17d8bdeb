"""A bank that can fail: a small HTTP service of its own, which knows nothing of the shop or of Django.

    POST /charges  {"card", "amount"}             with an Idempotency-Key header
    POST /refunds  {"reference" or "charge_key"}  with an Idempotency-Key header
    GET  /ledger   what moved, newest first

It keeps its own ledger in a file, as another company would: the shop may die, the bank remembers.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

# Seconds for which the bank keeps a client waiting when it does not mean to answer.
SILENCE = 10.0

Body = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the bank says: an HTTP status and a JSON body; `silent` ones are never sent."""

    status: int
    body: dict[str, Any]
    silent: bool = False

    def unsent(self) -> Answer:
        return Answer(status=self.status, body=self.body, silent=True)


class Ledger:
    """Charges and refunds by their keys, in a SQLite file; one request at a time."""

    def __init__(self, path: Path | str) -> None:
        self._path = path
        self._lock = threading.Lock()
        with closing(self._connect()) as db, db:
            db.execute(
                "CREATE TABLE IF NOT EXISTS charges (key TEXT PRIMARY KEY, reference TEXT UNIQUE, card TEXT,"
                " amount TEXT, status TEXT, asked INTEGER)"
            )
            db.execute(
                "CREATE TABLE IF NOT EXISTS refunds (key TEXT PRIMARY KEY, reference TEXT, amount TEXT,"
                " status TEXT, asked INTEGER)"
            )

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=10)
        db.row_factory = sqlite3.Row
        return db

    def charge(self, key: str, body: Body) -> Answer:
        with self._lock, closing(self._connect()) as db, db:
            known = db.execute("SELECT * FROM charges WHERE key = ?", [key]).fetchone()
            if known is None:
                return self._first_charge(db, key, body)
            db.execute("UPDATE charges SET asked = asked + 1 WHERE key = ?", [key])
            return self._again(known)

    def _first_charge(self, db: sqlite3.Connection, key: str, body: Body) -> Answer:
        card, amount = body.get("card", ""), body.get("amount", "")
        if card == "declined":
            return Answer(status=402, body={"code": "card_declined", "detail": "The card has no cover."})
        if card == "down":
            return Answer(status=504, body={}, silent=True)
        if card == "broken":
            return Answer(status=500, body={"code": "internal_error", "detail": "Traceback ..."})
        try:
            Decimal(amount)
        except InvalidOperation:
            return Answer(status=400, body={"code": "bad_amount", "detail": "The amount is no number."})
        reference = f"ch_{uuid4().hex[:12]}"
        db.execute(
            "INSERT INTO charges VALUES (?, ?, ?, ?, 'charged', 1)",
            [key, reference, card, amount],
        )
        answer = Answer(status=201, body={"reference": reference, "status": "charged"})
        return answer.unsent() if card in {"slow", "lost", "stuck"} else answer

    def _again(self, known: sqlite3.Row) -> Answer:
        if known["status"] == "void":
            return Answer(status=409, body={"code": "void", "detail": "This charge was called off before."})
        answer = Answer(status=200, body={"reference": known["reference"], "status": known["status"]})
        return answer.unsent() if known["card"] in {"lost", "stuck"} else answer

    def refund(self, key: str, body: Body) -> Answer:
        with self._lock, closing(self._connect()) as db, db:
            known = db.execute("SELECT * FROM refunds WHERE key = ?", [key]).fetchone()
            if known is not None and known["status"] != "refused":
                db.execute("UPDATE refunds SET asked = asked + 1 WHERE key = ?", [key])
                return Answer(status=200, body={"status": known["status"], "reference": known["reference"]})
            charge = db.execute(
                "SELECT * FROM charges WHERE reference = ? OR key = ?",
                [body.get("reference"), body.get("charge_key")],
            ).fetchone()
            if charge is None or charge["status"] == "void":
                return self._call_off(db, key, body)
            return self._give_back(db, key, charge, asked=known["asked"] + 1 if known else 1)

    def _call_off(self, db: sqlite3.Connection, key: str, body: Body) -> Answer:
        # The charge may still be on its way here. Its key is void from now on.
        void = body.get("charge_key")
        if void:
            db.execute("INSERT OR IGNORE INTO charges VALUES (?, NULL, '', '0', 'void', 0)", [void])
        db.execute("INSERT INTO refunds VALUES (?, '', '0', 'nothing_charged', 1)", [key])
        return Answer(status=200, body={"status": "nothing_charged", "reference": ""})

    def _give_back(self, db: sqlite3.Connection, key: str, charge: sqlite3.Row, asked: int) -> Answer:
        status = "refused" if charge["card"] == "stuck" and asked <= 3 else "refunded"
        row = [key, charge["reference"], charge["amount"], status, asked]
        db.execute("INSERT OR REPLACE INTO refunds VALUES (?, ?, ?, ?, ?)", row)
        if status == "refused":
            detail = "Refunds of this card are stopped. Try again later."
            return Answer(status=503, body={"code": "refunds_stopped", "detail": detail})
        db.execute("UPDATE charges SET status = 'refunded' WHERE key = ?", [charge["key"]])
        return Answer(status=201, body={"status": "refunded", "reference": charge["reference"]})

    def entries(self) -> dict[str, list[dict[str, Any]]]:
        """Return all charges and refunds, newest first."""
        with closing(self._connect()) as db:
            return {
                table: [dict(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY rowid DESC")]  # noqa: S608 two fixed names
                for table in ("charges", "refunds")
            }


class BankServer(ThreadingHTTPServer):
    """The bank at an address; port 0 takes a free one. `url` says where it is."""

    daemon_threads = True

    def __init__(self, ledger: Path | str, *, port: int = 0, silence: float = SILENCE) -> None:
        super().__init__(("127.0.0.1", port), BankHandler)
        self.ledger = Ledger(ledger)
        self.silence = silence
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        """Serve from a thread of its own until `stop`."""
        threading.Thread(target=self.serve_forever, name="bank", daemon=True).start()

    def stop(self) -> None:
        """Stop serving and free the port; who is kept waiting is let go."""
        self.closing.set()
        self.shutdown()
        self.server_close()


class BankHandler(BaseHTTPRequestHandler):
    server: BankServer
    timeout = 30

    def do_GET(self) -> None:
        if self.path != "/ledger":
            self._send(Answer(status=404, body={"code": "not_found", "detail": "There is only /ledger."}))
            return
        self._send(Answer(status=200, body=self.server.ledger.entries()))

    def do_POST(self) -> None:
        ledger = self.server.ledger
        desks: dict[str, Callable[[str, Body], Answer]] = {
            "/charges": ledger.charge,
            "/refunds": ledger.refund,
        }
        key = self.headers.get("Idempotency-Key", "")
        body = self._body()
        if self.path not in desks or not key or body is None:
            detail = "Path, key or body is missing."
            self._send(Answer(status=400, body={"code": "bad_request", "detail": detail}))
            return
        answer = desks[self.path](key, body)
        if answer.silent:
            self.server.closing.wait(self.server.silence)
            self.close_connection = True
            return
        self._send(answer)

    def _body(self) -> Body | None:
        try:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        except ValueError:
            return None
        return body if isinstance(body, dict) else None

    def _send(self, answer: Answer) -> None:
        payload = json.dumps(answer.body).encode()
        with suppress(ConnectionError):  # the client has hung up
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the ledger is the bank's log."""
