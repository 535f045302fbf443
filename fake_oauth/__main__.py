"""The command line: a stub server for development.

Options that more than one run would want belong into the settings file.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from threading import Event

from fake_oauth.contract import command as check
from fake_oauth.contract import record
from fake_oauth.controls import PREFIX
from fake_oauth.dialects import DIALECTS
from fake_oauth.fake import FakeOAuth
from fake_oauth.journal import Exchange
from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.settings import Settings
from fake_oauth.web.endpoints import ENDPOINTS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `fake-oauth`. Returns its exit code: 0, or 2 for what the caller can mend.

    1 is a server that differs, 130 an end by Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except FakeOAuthError as error:
        print(f"fake-oauth: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # What was to be printed; files have messages of their own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # No more of it, at exit.
        print(f"fake-oauth: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("fake-oauth: interrupted", file=sys.stderr)
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fake-oauth", description="A fake OAuth 2.0 / OpenID Connect server for tests."
    )
    parser.add_argument(
        "--version", action="version", version=f"fake-oauth {version('fake_oauth')}"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="run a stub server until Ctrl-C")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    serve.add_argument(
        "--port", type=_port, default=8080, help="port to listen on (%(default)s); 0: a free one"
    )
    source = serve.add_mutually_exclusive_group()
    source.add_argument("--config", type=Path, metavar="FILE", help="settings, as TOML")
    source.add_argument(
        "--documented",
        action="store_true",
        help="the documented moment: the first refresh answers the documentation's own body",
    )
    serve.add_argument(
        "--dialect", choices=list(DIALECTS), help="what it stands for; ciam unless the file says"
    )
    serve.add_argument("--tls", action="store_true", help="serve https (needs fake_oauth[tls])")
    serve.add_argument(
        "--ca-file", type=Path, metavar="FILE", help="write the certificate to trust to FILE"
    )
    serve.add_argument("--seed", type=int, metavar="N", help="make the same ids in every run")
    serve.set_defaults(run=_serve)
    check.add_to(commands)
    record.add_to(commands)
    described = commands.add_parser("openapi", help="print what is served as OpenAPI 3.1")
    described.add_argument(
        "--url", default="http://127.0.0.1:8080", help="where the server is (%(default)s)"
    )
    described.add_argument(
        "--dialect", choices=list(DIALECTS), default="ciam", help="(%(default)s)"
    )
    described.set_defaults(run=_describe)
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not from 0 to 65535")
    return port


def _settings(options: argparse.Namespace) -> Settings:
    settings = Settings.documented() if options.documented else Settings()
    if options.config is not None:
        settings = Settings.from_toml(options.config)
    if options.ca_file is not None and not (options.tls or settings.tls):
        raise FakeOAuthError("--ca-file needs --tls")
    changes = {
        "dialect": options.dialect,
        "seed": options.seed,
        "tls": options.tls or None,
        "control": True,
    }
    return settings.changed(**{name: value for name, value in changes.items() if value is not None})


def _serve(options: argparse.Namespace) -> int:
    host, port, ca_file = options.host, options.port, options.ca_file
    try:
        settings = _settings(options)
    except FakeOAuthError as error:
        raise FakeOAuthError(f"nothing started\n{error}") from None
    ended = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    server = FakeOAuth(settings, host=host, port=port, watch=_Output())
    try:
        server.start()
    except OSError as error:
        print(_address_problem(error, host, port), file=sys.stderr)
        return 2
    if ca_file is not None:
        try:
            ca_file.write_text(server.ca_pem, encoding="utf-8")
        except OSError as error:
            print(f"fake-oauth: cannot write {ca_file}: {error.strerror}", file=sys.stderr)
            server.stop()
            return 2
    print(_heading(server), flush=True)
    ended.wait()
    server.stop()
    return 0


def _describe(options: argparse.Namespace) -> int:
    from fake_oauth.contract.openapi import document

    print(json.dumps(document(options.url, DIALECTS[options.dialect]), indent=2))
    return 0


def _heading(server: FakeOAuth) -> str:
    settings = server.settings
    served = [
        f"  {method:4} {path}"
        for name, path in server.dialect.paths.items()
        for method in ENDPOINTS[name].methods
    ]
    secret = server.control_token
    token = "" if secret is None else f" (Authorization: Bearer {secret})"
    warning = "Its private keys are public: its tokens prove nothing."
    return "\n".join(
        (
            f"fake-oauth {version('fake_oauth')}, a fake for tests. {warning}",
            f"fake-oauth listening on {server.url}",
            *served,
            f"  issuer {server.issuer}",
            f"  control {server.url}{PREFIX}/{token}",
            f"  clients {', '.join(client.client_id for client in settings.clients)}",
            f"  users {', '.join(user.login for user in settings.users)}",
            f"  seed {server.seed} (--seed {server.seed} makes the same ids again)",
            "Ctrl-C ends it.",
        )
    )


def _address_problem(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"fake-oauth: port {port} on {host} is in use; "
            "take another with --port, or --port 0 for a free one"
        )
    return f"fake-oauth: cannot listen on {host}, port {port}: {error.strerror or error}"


class _Output:
    """A line an exchange on standard output, for as long as somebody reads it."""

    def __init__(self) -> None:
        self._is_open = True
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")

    def __call__(self, exchange: Exchange) -> None:
        if self._is_open:
            try:
                print(f"{exchange}\n", end="", flush=True)
            except OSError:
                self._is_open = False  # The pipe's reader has gone; the server has not.


if __name__ == "__main__":
    sys.exit(main())
