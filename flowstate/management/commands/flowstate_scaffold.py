"""`manage.py flowstate_scaffold FILE.mmd`: write the base class of the workflow that a diagram draws."""

from __future__ import annotations

import ast
import os
from argparse import ArgumentParser
from difflib import unified_diff
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from flowstate.exceptions import DiagramInvalid
from flowstate.workflows import mermaid, scaffold


class Command(BaseCommand):
    """The file is the diagram's and written by nobody else: what the steps do stands in a subclass of yours."""

    help = "Write an abstract workflow class with a method for each step of a Mermaid diagram."
    requires_system_checks = ()  # the class that others derive from may not be there yet

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the diagram, where the class goes, and whether to write over an older one."""
        parser.add_argument("diagram", type=Path, help="a file with a stateDiagram-v2 or a flowchart")
        parser.add_argument(
            "--output", type=Path, help="the module to write (FILE_base.py beside the diagram)"
        )
        parser.add_argument("--overwrite", action="store_true", help="replace a class that has drifted")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the module, or say that it is as drawn. Raises CommandError where it has drifted or cannot be made."""
        drawing: Path = options["diagram"]
        output: Path = options["output"] or _beside(drawing)
        try:
            plan = mermaid.planned(mermaid.read(mermaid.text_of(drawing)))
            name = scaffold.name_of(plan, drawing.stem)
            text = scaffold.scaffolded(plan, name=name, diagram=_from(output, drawing))
        except DiagramInvalid as error:
            message = f"{drawing}: {error}"
            raise CommandError(message) from error
        for remark in plan.remarks:
            self.stderr.write(self.style.WARNING(f"{drawing}: {remark}"))
        if output.exists() and _same(output.read_text(encoding="utf-8"), text):
            self.stdout.write(f"{output} is as {drawing} draws it.")
            return
        if output.exists() and not options["overwrite"]:
            message = (
                f"{output} is not as {drawing} draws it. Look at what differs, then give --overwrite:\n"
                f"{_difference(output, text)}"
            )
            raise CommandError(message)
        output.write_text(text, encoding="utf-8")
        self.stdout.write(f"{output} is written. Derive from {name}Base, and define what its steps do.")


def _beside(drawing: Path) -> Path:
    return drawing.with_name(f"{mermaid.snake_case(drawing.stem) or 'workflow'}_base.py")


def _from(output: Path, drawing: Path) -> str:
    """Return the path of the diagram from the module's folder, the same on all systems."""
    return Path(os.path.relpath(drawing.resolve(), output.resolve().parent)).as_posix()


def _same(there: str, wanted: str) -> bool:
    """Return whether two modules say the same, however they are laid out."""
    try:
        return ast.dump(ast.parse(there)) == ast.dump(ast.parse(wanted))
    except (SyntaxError, ValueError):
        return False


def _difference(output: Path, text: str) -> str:
    lines = unified_diff(
        output.read_text(encoding="utf-8").splitlines(),
        text.splitlines(),
        str(output),
        "as drawn",
        lineterm="",
        n=1,
    )
    return "\n".join(lines)
