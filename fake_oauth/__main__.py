"""The command line: `fake-oauth serve`, `check`, `record`, and `openapi`.

A setting that several runs need belongs in the settings file, not in an option of `serve`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from threading import Condition, Thread
from typing import Final

from fake_oauth import __version__
from fake_oauth.contract.options import DIALECT_NAMES, add_commands, port
from fake_oauth.control import PREFIX
from fake_oauth.control.access import VARIABLE, control_token_of
from fake_oauth.dialects import load_dialect
from fake_oauth.http.endpoints import methods_of
from fake_oauth.journal import Exchange
from fake_oauth.process import address_problem, signals
from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.server import FakeOAuth
from fake_oauth.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `fake-oauth`. Return its exit code.

    0: success. 1: a server differs from the contract. 2: a problem that you can fix. 130: Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    # `--dialect package.module:Class` names a module of the caller's project.
    sys.path.insert(0, str(Path.cwd()))
    try:
        code: int = options.run(options)
    except FakeOAuthError as error:
        print(f"fake-oauth: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # From printing: files have messages of their own.
        # Nothing more can be printed, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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
    parser.add_argument("--version", action="version", version=f"fake-oauth {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="run a stub server until Ctrl-C")
    serve.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s)"
    )
    serve.add_argument(
        "--port",
        type=port,
        default=8080,
        help="port to listen on, 0 for a free one (default: %(default)s)",
    )
    source = serve.add_mutually_exclusive_group()
    source.add_argument("--settings", type=Path, metavar="FILE", help="TOML file with the settings")
    source.add_argument(
        "--documented",
        action="store_true",
        help="use the settings and the time of the documentation's example",
    )
    serve.add_argument(
        "--dialect",
        metavar="NAME",
        help=f"dialect to serve: {DIALECT_NAMES} (default: from the settings file, or ciam)",
    )
    serve.add_argument(
        "--issuer",
        metavar="URL",
        help="issuer of the tokens; {port} is replaced by the port (default: the URL served)",
    )
    serve.add_argument("--tls", action="store_true", help="serve HTTPS (requires fake_oauth[tls])")
    serve.add_argument(
        "--ca-file",
        type=Path,
        metavar="FILE",
        help="file to write the CA certificate to (requires HTTPS)",
    )
    serve.add_argument(
        "--seed", type=int, metavar="N", help="seed of the IDs, to repeat a run (default: random)"
    )
    serve.set_defaults(run=_serve)

    add_commands(commands, check=_check, record=_record)
    described = commands.add_parser("openapi", help="print an OpenAPI 3.1 description")
    described.add_argument(
        "--url", default="http://127.0.0.1:8080", help="URL of the server (default: %(default)s)"
    )
    described.add_argument(
        "--dialect",
        metavar="NAME",
        default="ciam",
        help=f"dialect to describe: {DIALECT_NAMES} (default: %(default)s)",
    )
    described.set_defaults(run=_describe)
    schema = commands.add_parser("schema", help="print the JSON Schema of a settings file")
    schema.set_defaults(run=_print_schema)
    return parser


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


def _serve(options: argparse.Namespace) -> int:
    host, port, ca_file = options.host, options.port, options.ca_file
    output = _Output()
    try:
        token = control_token_of(os.environ)
        server = FakeOAuth(
            _settings(options), host=host, port=port, watch=output, control_token=token
        )
    except FakeOAuthError as error:
        raise FakeOAuthError(f"the server was not started\n{error}") from None
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
    print(_heading(server), flush=True)
    output.start()
    ended.get()
    server.stop()
    output.stop()
    return 0


def _check(options: argparse.Namespace) -> int:
    from fake_oauth.contract.cli import check  # the server starts without it

    return check(options)


def _record(options: argparse.Namespace) -> int:
    from fake_oauth.contract.cli import record

    return record(options)


def _describe(options: argparse.Namespace) -> int:
    from fake_oauth.openapi import document

    print(json.dumps(document(options.url, load_dialect(options.dialect)), indent=2))
    return 0


def _print_schema(options: argparse.Namespace) -> int:  # noqa: ARG001
    from fake_oauth.schema import settings_schema

    print(json.dumps(settings_schema(), ensure_ascii=False, indent=2))
    return 0


def _heading(server: FakeOAuth) -> str:
    settings = server.settings
    served = [
        f"  {method:4} {settings.issuer_path}{path}"
        for name, path in settings.paths.items()
        for method in methods_of(server.dialect, name)
    ]
    secret = server.control_token
    # Whoever has set the variable knows the token, and logs may keep what is printed.
    shown = f"${VARIABLE}" if secret == os.environ.get(VARIABLE) else secret
    token = "" if secret is None else f" (Authorization: Bearer {shown})"
    warning = "Its private keys are public: its tokens prove nothing."
    return "\n".join(
        (
            f"fake-oauth {__version__}, a fake for tests. {warning}",
            f"fake-oauth listening on {server.url}",
            *served,
            f"  issuer {server.issuer}",
            f"  control {server.url}{PREFIX}/{token}",
            f"  clients {', '.join(client.client_id for client in settings.clients)}",
            f"  users {', '.join(user.login_name for user in settings.users)}",
            f"  seed {server.seed} (--seed {server.seed} makes the same IDs again)",
            "Press Ctrl-C to stop.",
        )
    )


class _Output:
    """One line per exchange on standard output, written by a separate thread.

    A request never waits for a reader. If the output is not read, the oldest lines are dropped.
    """

    _LIMIT: Final = 10_000

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=self._LIMIT)
        self._changed = Condition()
        self._is_stopped = False
        self._thread = Thread(target=self._write, name="fake-oauth output", daemon=True)
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")

    def __call__(self, exchange: Exchange) -> None:
        with self._changed:
            self._lines.append(f"{exchange}\n")
            self._changed.notify()

    def start(self) -> None:
        """Begin to write lines."""
        self._thread.start()

    def stop(self) -> None:
        """Write the remaining lines; give up after half a second."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()
        self._thread.join(0.5)

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._is_stopped)
                if not self._lines:
                    return
                line = self._lines.popleft()
            try:
                print(line, end="", flush=True)
            except (OSError, ValueError):
                return  # The reader closed the pipe; keep serving without output.


if __name__ == "__main__":
    sys.exit(main())
