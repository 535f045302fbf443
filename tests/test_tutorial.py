"""The tutorial: a reader who does what each block says gets the output that the next one shows.

The info string of a block says what the reader does with it: `python file=test_x.py` is a whole
file, and `python in=session.py` has the definitions that are replaced, or added if they are new.
A `console` block is a command with its output, in which a line `…` leaves lines out.
"""

from __future__ import annotations

import ast
import re
import shlex
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import dedent, indent

import httpx  # noqa: F401
import pytest

from tests.test_pytest_plugin import ALONE

# httpx is imported here, so that it stays: each run of pytest forgets what it imported.

ROOT = Path(__file__).parent.parent
TUTORIALS = sorted((ROOT / "docs").glob("**/tutorial.md"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    language: str
    info: dict[str, str]
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in re.finditer(r"^```(\w+)([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        info = dict(word.partition("=")[::2] for word in match[2].split())
        line = text[: match.start()].count("\n") + 1
        found.append(Block(language=match[1], info=info, text=match[3], line=line))
    return found


def changed(source: str, change: str) -> str:
    """Return a module with the definitions of `change` replaced or added, as a reader does it.

    An indented change has methods of the module's class `Session`.
    """
    lines = source.splitlines()
    body: Sequence[ast.stmt] = ast.parse(source).body
    first_import = next(node for node in body if isinstance(node, ast.Import | ast.ImportFrom))
    end, margin = len(lines), ""
    if change.startswith(" "):
        session = next(node for node in body if isinstance(node, ast.ClassDef))
        body, end, margin = session.body, session.end_lineno or 0, "    "
    places = {named(node): lines_of(node) for node in body}
    edits = []
    for name, text in definitions(dedent(change)).items():
        if text.startswith(("import ", "from ")):
            first, last = first_import.lineno - 1, first_import.lineno - 1
        else:
            first, last = places.get(name, (end, end))
        new = indent(text, margin).splitlines()
        edits.append((first, last, new if last > first or first < end else ["", *new]))
    for first, last, new in sorted(edits, key=lambda edit: edit[0], reverse=True):
        lines[first:last] = new
    return "\n".join(lines) + "\n"


def definitions(source: str) -> dict[str, str]:
    """Return the text of each import, function, class, and other statement by its name."""
    lines = source.splitlines()
    places = {named(node): lines_of(node) for node in ast.parse(source).body}
    return {name: "\n".join(lines[first:last]) for name, (first, last) in places.items()}


def named(node: ast.stmt) -> str:
    """Return the name that a statement defines, or its text if it defines none."""
    return node.name if isinstance(node, ast.FunctionDef | ast.ClassDef) else ast.unparse(node)


def lines_of(node: ast.stmt) -> tuple[int, int]:
    """Return the slice of a module's lines that has a statement, with its decorators."""
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
    return min([node.lineno, *(one.lineno for one in decorators)]) - 1, node.end_lineno or 0


def comparable(output: str) -> str:
    """Return output without what differs from run to run: ports, times, and lengths of lines."""
    output = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", output)
    output = re.sub(r"\d\d:\d\d:\d\d", "HH:MM:SS", output)
    output = re.sub(r"in \d+\.\d\ds", "in N s", output)
    output = re.sub(r"expired \d+ s ago", "expired N s ago", output)
    return re.sub(r"[-_=]{3,}", "---", output)


def is_shown(shown: str, output: str) -> bool:
    """Return whether the output has the lines that are shown, in order; `…` leaves lines out."""
    parts = [part.strip("\n") for part in re.split(r"^…\n", comparable(shown), flags=re.MULTILINE)]
    pattern = r"(?:.*\n)?".join(re.escape(part) + r"\n" for part in parts if part)
    return re.search(pattern, comparable(output), re.DOTALL) is not None


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_reader_gets_what_the_tutorial_shows(
    page: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Files change within a second, which the times in .pyc files don't show.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    # httpx reads all root certificates for each request, though none of them is for https.
    monkeypatch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))
    runs = 0
    for block in blocks(page):
        name = block.info.get("file") or block.info.get("in")
        if name is not None:
            path = pytester.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            before = path.read_text(encoding="utf-8") if path.exists() else None
            text = block.text
            if "in" in block.info:
                assert before is not None, block
                text = changed(before, text)
                assert text != before, block
            elif before is not None and name == "session.py":
                # The whole client, once more: what the changes have made of it.
                assert parsed(text) == parsed(before)
            path.write_text(text, encoding="utf-8")
        elif block.language == "console":
            command, _, shown = block.text.partition("\n")
            assert command.startswith("$ pytest"), block
            arguments = shlex.split(command.removeprefix("$ pytest"))
            result = pytester.runpytest_inprocess("-Werror", *ALONE, *arguments)
            output = result.stdout.str() + "\n"
            assert is_shown(shown, output), f"{page.name}:{block.line}\n{output}"
            runs += 1
    assert runs >= 20


def parsed(source: str) -> dict[str, str]:
    """Return the definitions of a module, and the parts of its classes, whatever their order."""
    found: dict[str, str] = {}
    for node in ast.parse(source).body:
        parts = node.body if isinstance(node, ast.ClassDef) else [node]
        found |= {f"{named(node)}.{named(part)}": ast.dump(part) for part in parts}
    return found
