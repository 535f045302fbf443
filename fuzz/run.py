"""Throws what its own description allows, and what it does not, at a stub: `make fuzz`.

No reply may be a 5xx, have a status or a body that is not described, or miss a header. Runs twice
for each dialect: as a client that authenticates itself, and with an access token. And that wrong
replies are found is tried with some.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fake_oauth import Dialect, FakeOAuth, Settings, faults
from fake_oauth.dialects import CIAM, DIALECTS, RFC
from fake_oauth.faults.base import Fault
from fake_oauth.openapi import document

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "response_headers_conformance",
    "unsupported_method",
    "described_body",
)
_DAY = 86400


class NoCacheControl(CIAM):
    """A server that leaves out a header."""

    headers = CIAM.headers[1:]


class WrongChallenge(RFC):
    """A server whose challenge is malformed."""

    client_challenge = "nonsense"


# Replies that are wrong, by the operation that gives them, and what is said of each.
WRONG: tuple[tuple[str, Fault | Dialect, str], ...] = (
    ("discovery", faults.Status(500), "Server error"),
    ("discovery", faults.Status(418), "Undocumented"),
    ("discovery", faults.Field("issuer", 7), '"issuer"'),
    ("discovery", faults.MissingField("issuer"), '"issuer" is a required property'),
    ("discovery", faults.WrongContentType("application/json;charset=UTF-8"), "The Content-Type is"),
    ("discovery", faults.EmptyBody(), "The body is empty"),
    ("userinfo_get", faults.HTMLBody(), "There is a body"),
    ("jwks", NoCacheControl(), "Cache-Control"),
    ("revoke", WrongChallenge(), "nonsense"),
)


def main() -> int:
    """Run it. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--examples", type=int, default=1000, help="an operation (%(default)s)")
    parser.add_argument("--seed", type=int, help="the same examples in every run")
    options = parser.parse_args()
    seed = [] if options.seed is None else ["--seed", str(options.seed)]
    right = [is_right(dialect, options.examples, *seed) for dialect in DIALECTS.values()]
    found = [is_found(*wrong) for wrong in WRONG]
    print(f"{sum(found)} of {len(found)} wrong replies were found")
    return 0 if all(right) and all(found) else 1


def is_right(dialect: Dialect, examples: int, *seed: str) -> bool:
    """Whether a fake that speaks a dialect answers as described, whoever asks."""
    settings = Settings(dialect=dialect, seed=0, journal_limit=1, access_token_seconds=_DAY)
    with FakeOAuth(settings) as server:
        identities = (
            ("--auth", "TENANT_CLIENT_ID:TENANT_CLIENT_SECRET"),
            ("--header", f"Authorization: Bearer {server.issue_tokens().access_token}"),
        )
        described = document(server.url, dialect)
        runs = [fuzzed(described, examples, *identity, *seed) for identity in identities]
    for ended in runs:
        print(ended.stdout, ended.stderr)
    return all(ended.returncode == 0 for ended in runs)


def is_found(operation: str, wrong: Fault | Dialect, said: str) -> bool:
    """Whether a reply that is wrong is found, and for what it is."""
    dialect = wrong if isinstance(wrong, Dialect) else DIALECTS["ciam"]
    with FakeOAuth(Settings(dialect=dialect, seed=0, journal_limit=1)) as server:
        if not isinstance(wrong, Dialect):
            endpoint = operation.partition("_")[0]
            server.always(faults.Rule(wrong, endpoint=endpoint))
        described = document(server.url, DIALECTS[dialect.name])
        ended = fuzzed(described, 1, "--include-operation-id", operation)
    if ended.returncode == 1 and said.lower() in ended.stdout.lower():
        return True
    print(f"{ended.stdout}{ended.stderr}\n{operation}: nothing says {said!r} of what is wrong")
    return False


def fuzzed(
    described: Mapping[str, Any], examples: int, *options: str
) -> subprocess.CompletedProcess[str]:
    """A run against the server of a description, with what it has said."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "openapi.json"
        path.write_text(json.dumps(described), encoding="utf-8")
        command = [
            *(str(Path(sys.executable).with_name("schemathesis")), "run", str(path)),
            *("--url", described["servers"][0]["url"], "--checks", ",".join(CHECKS), *options),
            *("--max-examples", str(examples), "--max-redirects", "0", "--warnings", "off"),
            *("--phases", "examples,coverage,fuzzing", "--generation-database", "none"),
            "--continue-on-failure",
        ]
        hooks = str(Path(__file__).with_name("hooks.py"))
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": hooks, "COLUMNS": "200"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
