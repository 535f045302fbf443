"""Throws what its own description allows, and what it does not, at a stub: `make fuzz`.

No reply may be a 5xx, have a status or a body that is not described, or miss a header. Runs twice
for each dialect: as a client that authenticates itself, and with an access token.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from fake_oauth import FakeOAuth, Settings, faults
from fake_oauth.contract.openapi import document
from fake_oauth.dialects import DIALECTS, Dialect

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "response_headers_conformance",
    "unsupported_method",
    "described_body",
)


def main() -> int:
    """Run it. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--examples", type=int, default=1000, help="an operation (%(default)s)")
    parser.add_argument("--seed", type=int, help="the same examples in every run")
    options = parser.parse_args()
    seed = [] if options.seed is None else ["--seed", str(options.seed)]
    return max(fuzz(dialect, options.examples, *seed) for dialect in DIALECTS.values())


def fuzz(dialect: Dialect, examples: int, *seed: str) -> int:
    """Fuzz a fake that speaks a dialect; see that what is wrong would be found."""
    with FakeOAuth(Settings(dialect=dialect, seed=0, journal_limit=1)) as server:
        server.resource.skew_seconds = -86400  # The access token is to last.
        identities = (
            ("--auth", "TENANT_CLIENT_ID:TENANT_CLIENT_SECRET"),
            ("--header", f"Authorization: Bearer {server.issue().access_token}"),
        )
        codes = [fuzzed(server, examples, *identity, *seed) for identity in identities]
        # And it can fail: a member of another type is found.
        server.always(faults.Rule(faults.Field("issuer", 7), endpoint="discovery", always=True))
        if fuzzed(server, 1, stdout=subprocess.DEVNULL) == 0:
            print("a reply outside its schema was not found")
            return 1
    return max(codes)


def fuzzed(server: FakeOAuth, examples: int, *options: str, stdout: int | None = None) -> int:
    """The exit code of a run against a server."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "openapi.json"
        path.write_text(json.dumps(document(server.url, server.dialect)), encoding="utf-8")
        command = [
            *(str(Path(sys.executable).with_name("schemathesis")), "run", str(path)),
            *("--url", server.url, "--checks", ",".join(CHECKS), *options),
            *("--max-examples", str(examples), "--max-redirects", "0", "--warnings", "off"),
            *("--phases", "coverage,fuzzing", "--generation-database", "none"),
            "--continue-on-failure",
        ]
        hooks = str(Path(__file__).with_name("hooks.py"))
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": hooks}
        return subprocess.run(command, env=environment, stdout=stdout, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
