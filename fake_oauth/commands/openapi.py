"""`fake-oauth openapi`: print a description of the endpoints."""

from __future__ import annotations

import argparse
import json
from typing import Any

from fake_oauth.contract.options import DIALECT_NAMES
from fake_oauth.dialects import load_dialect


def add(commands: Any) -> None:
    """Add the command to the program's parser."""
    parser = commands.add_parser(
        "openapi",
        help="print an OpenAPI 3.1 description",
        description="Print an OpenAPI 3.1 description of the endpoints of a dialect, as JSON.",
        examples=(
            ("fake-oauth openapi > openapi.json", "describe the default dialect, ciam"),
            ("fake-oauth openapi --dialect rfc", "describe the endpoints of the standards"),
        ),
    )
    parser.add_argument(
        "--url", default="http://127.0.0.1:8080", help="URL of the server (default: %(default)s)"
    )
    parser.add_argument(
        "--dialect",
        metavar="NAME",
        default="ciam",
        help=f"dialect to describe: {DIALECT_NAMES} (default: %(default)s)",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from fake_oauth.openapi import document  # the server starts without it

    print(json.dumps(document(options.url, load_dialect(options.dialect)), indent=2))
    return 0
