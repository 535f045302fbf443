"""How a command is described in `--help`: a text, its options, and examples to copy."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from textwrap import fill
from typing import Any, Final

# Help is read at 80 columns; argparse itself leaves two of them free.
_WIDTH: Final = 78

Example = tuple[str, str]
"""A command line, and what it does."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose help ends with examples."""

    def __init__(self, *, description: str, examples: Sequence[Example] = (), **rest: Any) -> None:
        lines = [
            line for command, purpose in examples for line in (f"  {command}", f"      {purpose}")
        ]
        super().__init__(
            description=fill(description, _WIDTH),
            epilog="\n".join(["examples:", *lines]) if lines else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **rest,
        )
