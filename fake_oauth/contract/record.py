"""`fake-oauth record`: write what another server answers as pages."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

from fake_oauth.contract import options as common
from fake_oauth.contract.metadata import Metadata
from fake_oauth.contract.recording import Recorder, made
from fake_oauth.contract.transports import Transport
from fake_oauth.dialects import DIALECTS, Dialect
from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.web.listener import Listener

# How long a stop waits for answers that are under way.
_GRACE_SECONDS: Final = 2


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
    parser.add_argument(
        "--dialect",
        choices=list(DIALECTS),
        help="whose paths the pages have; left out, going by the server's metadata",
    )
    common.add_to(parser)
    parser.set_defaults(run=record)


def record(options: argparse.Namespace) -> int:
    """Pass on and write until Ctrl-C. Returns the exit code.

    Raises FakeOAuthError for what it cannot begin with: a server that does not answer, a folder,
    an address.
    """
    ended = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    upstream = common.wire_to(options.upstream, options)
    values, folder = common.given_values(options), made(options.out)
    dialect = DIALECTS[options.dialect] if options.dialect else spoken_by(upstream)
    paths = Metadata(upstream, dialect).paths
    try:
        listener = Listener(options.host, options.port)
    except OSError as error:
        where = f"{options.host}, port {options.port}"
        raise FakeOAuthError(f"cannot listen on {where}: {error.strerror}") from None
    recorder = Recorder(upstream, folder, values, lambda told: _say(f"  {told}"), paths)
    listener.start(recorder)
    _say(f"fake-oauth records {upstream.url} at {listener.url}, into {options.out}/")
    _say(f"To hold a server to it: fake-oauth check URL --pages {options.out}{_said(dialect)}")
    _say("Ctrl-C ends it.")
    ended.wait()
    # Whoever waits for the server need not be waited for.
    stopping = Thread(target=listener.stop, daemon=True)
    stopping.start()
    stopping.join(_GRACE_SECONDS)
    return 0


def spoken_by(server: Transport) -> Dialect:
    """The dialect whose token endpoint a server has, or the standards if it says where its own is.

    Raises UnreachableError.
    """
    told = Metadata(server, Dialect.RFC)
    is_ciam = not told.paths or Dialect.CIAM.paths["token"] in told.paths
    return Dialect.CIAM if is_ciam else Dialect.RFC


def _said(dialect: Dialect) -> str:
    return "" if dialect is Dialect.CIAM else f" --dialect {dialect.name}"


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201
