"""`fake-oauth serve`: run a stub server until Ctrl-C.

A setting that several runs need belongs in the settings file, not in an option.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from textwrap import fill
from threading import Thread
from typing import Any, Final

from fake_oauth import __version__
from fake_oauth.commands.output import Output
from fake_oauth.commands.reload import LOOK_SECONDS, Reloader
from fake_oauth.contract.options import DIALECT_NAMES, port
from fake_oauth.control import PREFIX
from fake_oauth.control.access import VARIABLE, control_token_of
from fake_oauth.http.endpoints import methods_of
from fake_oauth.journal import printable
from fake_oauth.process import address_problem, signals
from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.server import FakeOAuth
from fake_oauth.settings import Settings

_WIDTH: Final = 80
# The addresses that stand for every address of this machine; a browser needs one of them.
_EVERY_ADDRESS: Final = re.compile(r"//(?:0\.0\.0\.0|\[::\])(?=:)")


def add(commands: Any) -> None:
    """Add the command to the program's parser."""
    parser = commands.add_parser(
        "serve",
        help="run a stub server until Ctrl-C",
        description="Run a stub server until Ctrl-C, and print one line per request.",
        examples=(
            ("fake-oauth serve --open", "show the console in a browser"),
            (
                "fake-oauth serve --settings fake_oauth.toml --reload",
                "serve your own clients and users, and follow changes of the file",
            ),
            ("fake-oauth serve --port 0", "listen on a free port, which the first lines name"),
            ("fake-oauth serve --tls --ca-file ca.pem", "serve HTTPS"),
        ),
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--port",
        type=port,
        default=8080,
        help="port to listen on, 0 for a free one (default: %(default)s)",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--settings", type=Path, metavar="FILE", help="TOML file with the settings")
    source.add_argument(
        "--documented",
        action="store_true",
        help="use the settings and the time of the documentation's example",
    )
    parser.add_argument(
        "--dialect",
        metavar="NAME",
        help=f"dialect to serve: {DIALECT_NAMES} (default: from the settings file, or ciam)",
    )
    parser.add_argument(
        "--issuer",
        metavar="URL",
        help="issuer of the tokens; {port} is replaced by the port (default: the URL served)",
    )
    parser.add_argument("--tls", action="store_true", help="serve HTTPS (requires fake_oauth[tls])")
    parser.add_argument(
        "--ca-file",
        type=Path,
        metavar="FILE",
        help="file to write the CA certificate to (requires HTTPS)",
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="seed of the IDs, to repeat a run (default: random)"
    )
    parser.add_argument(
        "--reload",
        action="store_true",
        help="reset the server whenever the settings file changes (requires --settings)",
    )
    parser.add_argument(
        "--open", action="store_true", help="open the console in a browser once the server listens"
    )
    parser.set_defaults(run=_run)


def _settings(options: argparse.Namespace) -> Settings:
    settings = Settings.documented() if options.documented else Settings()
    if options.settings is not None:
        settings = Settings.from_toml(options.settings)
    if options.ca_file is not None and not (options.tls or settings.tls):
        raise FakeOAuthError(
            "--ca-file: requires HTTPS; add --tls, or set tls = true in the settings file"
        )
    changes = {
        "dialect": options.dialect,
        "seed": options.seed,
        "issuer": options.issuer,
        "tls": options.tls or None,
        "control": True,
    }
    return settings.changed(**{name: value for name, value in changes.items() if value is not None})


def _run(options: argparse.Namespace) -> int:
    host, port, ca_file = options.host, options.port, options.ca_file
    path = options.settings
    if options.reload and (path is None or not path.is_file()):
        subject = "expected --settings FILE" if path is None else f"{path} is not a file"
        raise FakeOAuthError(f"--reload: {subject}; pass the settings file to watch")
    output = Output()
    try:
        token = control_token_of(os.environ)
        server = FakeOAuth(
            _settings(options), host=host, port=port, watch=output, control_token=token
        )
    except FakeOAuthError as error:
        raise FakeOAuthError(f"the server was not started\n{error}") from None
    reloader = None
    if options.reload:
        reloader = Reloader(server, path, lambda: _settings(options), output.say)
    ended = signals()
    try:
        server.start()
    except OSError as error:
        raise FakeOAuthError(address_problem(error, host, port)) from None
    try:
        if ca_file is not None:
            ca_file.write_text(server.ca_pem, encoding="utf-8")
    except OSError as error:
        print(f"fake-oauth: cannot write {ca_file}: {error.strerror}", file=sys.stderr)
        server.stop()
        return 2
    print(heading(server), flush=True)
    output.start()
    if options.open:
        # A browser in the terminal would hold up Ctrl-C.
        Thread(target=_open, args=(server, output), name="fake-oauth open", daemon=True).start()
    _wait(ended, reloader)
    server.stop()
    output.stop()
    return 0


def _wait(ended: SimpleQueue[int], reloader: Reloader | None) -> None:
    """Return at the first signal, and look at the settings file until then."""
    pause = None if reloader is None else LOOK_SECONDS
    while True:
        try:
            ended.get(timeout=pause)
        except Empty:
            assert reloader is not None, "without one, there is no timeout"
            reloader.look()
        else:
            return


def _open(server: FakeOAuth, output: Output) -> None:
    import webbrowser  # only for --open

    url = console_url(server)
    try:
        is_open = webbrowser.open(url)
    except webbrowser.Error:
        is_open = False
    if not is_open:
        output.say(f"--open: no browser was found; open {url} yourself")


def console_url(server: FakeOAuth) -> str:
    """Return where a browser on this machine finds the console."""
    return f"{_EVERY_ADDRESS.sub('//localhost', server.url)}{PREFIX}/"


def heading(server: FakeOAuth) -> str:
    """Return the lines that are printed once the server listens."""
    settings = server.settings
    served = [
        (", ".join(methods_of(server.dialect, name)), settings.issuer_path + path)
        for name, path in settings.paths.items()
    ]
    secret = server.control_token
    # The user who set the variable knows the token, and a log can keep what is printed.
    shown = f"${VARIABLE}" if secret == os.environ.get(VARIABLE) else secret
    token = "" if secret is None else f"  control token {shown} (Authorization: Bearer TOKEN)"
    lines = (
        f"fake-oauth {__version__}, for tests only: its keys are public, its tokens prove nothing.",
        f"fake-oauth listening on {server.url}",
        *(f"  {methods:9} {path}" for methods, path in served),
        f"  issuer {server.issuer}",
        f"  console {console_url(server)} (for programs: the control API)",
        token,
        _listed("clients", [client.client_id for client in settings.clients]),
        _listed("users", [user.login_name for user in settings.users]),
        f"  seed {server.seed} (--seed {server.seed} makes the same IDs again)",
        "Press Ctrl-C to stop.",
    )
    return "\n".join(line for line in lines if line)


def _listed(title: str, names: Sequence[str]) -> str:
    """Return lines with names from a file, for 80 columns."""
    text = f"{title} {', '.join(map(printable, names)) or 'none'}"
    return fill(
        text,
        _WIDTH,
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
