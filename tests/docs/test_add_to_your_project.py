"""Follows `docs/guide/add-to-your-project.md` block by block in an empty directory."""

from __future__ import annotations

import base64
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from tests.docs import scratch
from tests.docs.pages import ROOT, Block, blocks_of

PAGE = ROOT / "docs" / "guide" / "add-to-your-project.md"
PATIENCE = 60.0  # seconds until a process that does not get ready has failed

BUTTON_AND_RUNS = """
from django.contrib.auth.models import User
from django.test import Client

client = Client(headers={"host": "localhost"})
client.force_login(User.objects.get(username="ada"))
page = client.get("/admin/shop/order/1/change/").content.decode()
assert "/admin/shop/order/1/actions/ship/" in page, page
assert "/admin/flowstate/run/" in page, page
form = client.get("/admin/shop/order/1/actions/ship/").content.decode()
assert "Service:" in form, form
runs = client.get("/admin/flowstate/run/").content.decode()
assert "shop.order.ship" in runs, runs
"""


@dataclass(slots=True)
class Reader:
    """Somebody who does what the page says, in a directory of their own."""

    folder: Path
    port: int
    running: list[subprocess.Popen[str]] = field(default_factory=list)
    answer: Any = None
    """What the last `curl` or command gave."""

    def follow(self, block: Block) -> None:
        """Do what a block says, or compare with what it shows."""
        if block.file:
            scratch.add(self.folder, block.file, f"\n\n{block.text}")
        elif block.language == "console":
            for line in block.text.splitlines():
                self.type(line.removeprefix("$ "))
        elif block.language == "pycon":
            self.python("-m", "tests.docs.play", str(PAGE), str(block.line))
        elif block.language == "json":
            shown = json.loads(block.text)
            assert {name: self.answer.get(name) for name in shown} == shown, block.place
        else:
            assert block.language == "text", f"{block.place}: nobody knows what to do with it"
            for line in block.text.splitlines():
                assert line in self.answer, f"{block.place}: {self.answer}"

    def type(self, line: str) -> None:
        """Do a line of a terminal."""
        words, more = shlex.split(line), dict[str, str]()
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            more[name] = value
        match words:
            case ["python", "-m", "pip", "install", *_]:
                pass  # it is installed, and the network is none of this test's business
            case ["django-admin" | "python", *arguments]:
                self.django(arguments[arguments[0] == "manage.py" :], more)
            case ["celery", *arguments]:
                self.start("-m", "celery", *arguments, "-P", "solo", ready="ready.")
            case ["curl", *arguments]:
                self.answer = fetch(request_of(arguments, self.port))
            case _:
                pytest.fail(f"nobody knows how to do {line!r}")

    def django(self, arguments: list[str], more: dict[str, str]) -> None:
        """Do a management command; the check for production is one that has something to say."""
        match arguments:
            case ["startproject", *_]:
                scratch.run(self.folder, "-m", "django", *arguments)
            case ["runserver", _port]:
                self.start("manage.py", "runserver", str(self.port), "--noreload", ready="Quit the server")
            case ["flowstate_check", "--deploy"]:
                self.answer = self.python("manage.py", *arguments, code=1)
            case _:
                self.python("manage.py", *arguments, more=more)

    def python(self, *arguments: str, code: int = 0, more: dict[str, str] | None = None) -> str:
        settings = {"DJANGO_SETTINGS_MODULE": "mysite.settings"}
        return scratch.run(self.folder, *arguments, code=code, more={**settings, **(more or {})})

    def start(self, *command: str, ready: str) -> None:
        """Start what goes on running, and return once it says so."""
        process = subprocess.Popen(  # noqa: S603 - the page's own command
            [sys.executable, "-u", *command],
            cwd=self.folder,
            env=scratch.environment(self.folder, {"DJANGO_SETTINGS_MODULE": "mysite.settings"}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.running.append(process)
        said: list[str] = []
        told = threading.Event()

        def read() -> None:
            assert process.stdout
            with process.stdout as lines:
                for line in lines:  # to the end, or the process blocks on a full pipe
                    said.append(line)
                    if ready in line:
                        told.set()
            told.set()

        threading.Thread(target=read, daemon=True).start()
        assert told.wait(PATIENCE), "".join(said)
        assert any(ready in line for line in said), "".join(said)

    def stop(self) -> None:
        """End what was started, and nothing else."""
        for process in self.running:
            process.send_signal(signal.SIGTERM)
        until = time.monotonic() + 15
        for process in self.running:
            try:
                process.wait(max(until - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def request_of(arguments: list[str], port: int) -> Request:
    """Return the request that `curl` with these arguments makes, to the port that the server really has."""
    headers, body, url = {}, None, ""
    left = iter(arguments)
    for word in left:
        match word:
            case "-u":
                headers["Authorization"] = "Basic " + base64.b64encode(next(left).encode()).decode()
            case "-H":
                name, _, value = next(left).partition(": ")
                headers[name] = value
            case "-d":
                body = next(left).encode()
            case _:
                url = re.sub(r"(?<=127\.0\.0\.1:)\d+", str(port), word)
    return Request(url, body, headers)  # noqa: S310 - http, on this machine


def fetch(request: Request) -> Any:
    """Return the JSON of an answer, whatever its status."""
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
            return json.load(answer)
    except HTTPError as error:
        return json.load(error)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    reader = Reader(tmp_path, port)
    yield reader
    reader.stop()


def test_every_step_of_the_page_does_what_it_says(reader: Reader) -> None:
    for block in blocks_of(PAGE):
        reader.follow(block)
        if block.file == "shop/admin.py":
            reader.python("manage.py", "shell", "--no-imports", "-c", BUTTON_AND_RUNS)

    assert [process.poll() for process in reader.running] == [None, None]
