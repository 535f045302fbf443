"""TOML files, as editors save them: with a byte order mark, or with the quotes of prose."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

_AT_LINE: Final = re.compile(r"\(at line (\d+),")
# What an input method types for a quotation mark, and what TOML requires.
_QUOTES: Final = {"“": '"', "”": '"', "＂": '"', "‘": "'", "’": "'", "＇": "'"}


def read_toml(path: Path) -> dict[str, Any]:
    """Return the data of a TOML file. Raise OSError, or ValueError with the problem.

    A file is UTF-8 (TOML 1.0.0, "Spec"). A byte order mark is skipped.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8; save the file as UTF-8") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"not TOML: {error}{_hint(text, str(error))}") from None
    except RecursionError:
        raise ValueError("not TOML: nested too deeply") from None


def _hint(text: str, problem: str) -> str:
    """Return what to write for a quotation mark of prose, if the line at fault has one."""
    lines = text.split("\n")
    at = _AT_LINE.search(problem)
    line = lines[int(at[1]) - 1] if at else lines[-1]  # without a line, it is the end of the file
    for mark in line:
        if mark in _QUOTES:
            return f"; {mark} is not a quotation mark in TOML; use {_QUOTES[mark]}"
    return ""
