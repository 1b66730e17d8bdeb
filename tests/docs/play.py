"""Runs the blocks of a page in a scratch project, in their order and in one namespace.

python -m tests.docs.play PAGE [LINE]    with LINE only the block that begins there
"""

from __future__ import annotations

import doctest
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType

import django

from tests.docs.pages import Block, blocks_of


def play(page: Path) -> None:
    """Run all blocks without a file; raises what the first wrong one raises, with the page's own lines."""
    from django.core.management import call_command  # noqa: PLC0415 - needs the settings

    call_command("check", fail_level="WARNING")
    call_command("migrate", run_syncdb=True, verbosity=0)
    blocks = [block for block in blocks_of(page) if not block.file]
    module = ModuleType("page")
    sys.modules["page"] = module  # a workflow that a block defines is found there by its name
    text = page.read_text()
    with worker() if ".wait(" in text else nullcontext():  # the others carry what is due by themselves
        for block in blocks:
            if block.language == "python":
                code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
                exec(code, vars(module))  # noqa: S102 - the page under test
            elif block.language == "pycon":
                check(block, vars(module))


def check(block: Block, namespace: dict[str, object]) -> None:
    """Run a session and compare what it prints. Exits where it differs."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    name = str(block.page)
    examples = doctest.DocTestParser().get_examples(block.text, name)
    assert examples, f"{block.place}: a session without a prompt"
    test = doctest.DocTest(examples, namespace, name, str(block.page), block.line - 1, None)
    test.globs = namespace  # DocTest copies it; the next block is to see what this one sets
    result = doctest.DocTestRunner(optionflags=flags).run(test, clear_globs=False)
    if result.failed:
        sys.exit(1)


@contextmanager
def worker() -> Iterator[None]:
    """Have a Celery worker serve the queue in a thread of this process."""
    from celery.contrib.testing.worker import start_worker  # noqa: PLC0415
    from project.celery import app  # type: ignore[import-not-found]  # noqa: PLC0415 - the scratch project's

    with start_worker(app, pool="solo", queues=["flowstate"], perform_ping_check=False, loglevel="CRITICAL"):
        yield


def play_session(page: Path, line: int) -> None:
    """Run the one session that begins at this line."""
    check(next(block for block in blocks_of(page) if block.line == line), {})


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    django.setup()
    if len(sys.argv) == 2:
        play(Path(sys.argv[1]))
    else:
        play_session(Path(sys.argv[1]), int(sys.argv[2]))
