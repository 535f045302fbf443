"""`fake-oauth schema`: print the JSON Schema of a settings file."""

from __future__ import annotations

import argparse
import json
from typing import Any


def add(commands: Any) -> None:
    """Add the command to the program's parser."""
    parser = commands.add_parser(
        "schema",
        help="print the JSON Schema of a settings file",
        description="Print the JSON Schema of a settings file, with which editors complete and "
        "check it. `fake-oauth init` writes it next to the file.",
        examples=(("fake-oauth schema > fake_oauth.schema.json", "write the schema to a file"),),
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:  # noqa: ARG001
    from fake_oauth.schema import settings_schema  # most commands need none

    print(json.dumps(settings_schema(), ensure_ascii=False, indent=2))
    return 0
