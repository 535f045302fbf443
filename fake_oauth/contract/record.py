"""`fake-oauth record`: write what another server answers as pages."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from threading import Event
from typing import Any

from fake_oauth.contract import options as common
from fake_oauth.contract.recording import Recorder
from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.web.listener import Listener


def add_to(commands: Any) -> None:
    """Add the command to a parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "record",
        help="pass requests on to a server, and write what it answers as pages",
        description="Point a client at it instead of the server. Secrets and tokens are not "
        "written: values that are given here stand as the documented ones, others as WRONG.",
    )
    parser.add_argument("--upstream", required=True, metavar="URL", help="the server")
    parser.add_argument(
        "--out", type=Path, default=Path("pages"), metavar="FOLDER", help="(%(default)s)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=int, default=8081, help="port to listen on (%(default)s); 0: a free one"
    )
    common.add_to(parser)
    parser.set_defaults(run=record)


def record(options: argparse.Namespace) -> int:
    """Pass on and write until Ctrl-C. Returns the exit code."""
    ended = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    upstream = common.wire_to(options.upstream, options)
    values = common.given_values(options)
    recorder = Recorder(upstream, options.out, values, watch=lambda told: _say(f"  {told}"))
    try:
        listener = Listener(options.host, options.port)
    except OSError as error:
        where = f"{options.host}, port {options.port}"
        raise FakeOAuthError(f"cannot listen on {where}: {error.strerror}") from None
    listener.start(recorder)
    _say(f"fake-oauth records {options.upstream} at {listener.url}, into {options.out}/")
    _say("Ctrl-C ends it.")
    ended.wait()
    listener.stop()
    return 0


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201
