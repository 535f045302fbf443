"""What the commands of the contract have in common: values for the documented ones."""

from __future__ import annotations

import argparse
import ssl
from math import inf
from pathlib import Path
from typing import Final

from fake_oauth.contract.transports import Wire, server_url
from fake_oauth.contract.values import NAMES, values_of
from fake_oauth.provider.errors import FakeOAuthError, unknown
from fake_oauth.settings import Settings
from fake_oauth.structuring import unstructured

_OWN: Final = ("client_id", "client_secret", "refresh_token")


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is known of a server, and how it is reached."""
    for name in _OWN:
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="VALUE")
    parser.add_argument(
        "--value",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"another value: {', '.join(name for name in NAMES if name not in _OWN)}",
    )
    parser.add_argument(
        "--settings", type=Path, metavar="FILE", help="settings, as TOML, to take values from"
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=10,
        metavar="SECONDS",
        help="how long an answer may take (%(default)s)",
    )
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="a certificate to trust")


def seconds(text: str) -> float:
    """A time to wait. Raises ArgumentTypeError for none at all, and for one without end."""
    try:
        told = float(text)
    except ValueError:
        told = 0
    if not 0 < told < inf:
        raise argparse.ArgumentTypeError(f"expected seconds, more than 0, got {text}")
    return told


def wire_to(url: str, options: argparse.Namespace) -> Wire:
    """The way to a server.

    Raises FakeOAuthError for what is no URL of one, and for a certificate that cannot be read.
    """
    context = None
    if options.ca_file is not None:
        try:
            context = ssl.create_default_context(cafile=options.ca_file)
        except OSError as error:
            raise FakeOAuthError(f"cannot read {options.ca_file}: {error.strerror}") from None
    return Wire(server_url(url), options.timeout, context)


def given_values(options: argparse.Namespace) -> dict[str, str]:
    """The values that were given, those by name last. Raises FakeOAuthError."""
    values: dict[str, str] = {}
    if options.settings is not None:
        settings = Settings.from_toml(options.settings)
        client, user = (next(iter(all_), None) for all_ in (settings.clients, settings.users))
        values |= values_of(
            {} if client is None else unstructured(client),
            {} if user is None else unstructured(user),
        )
        values |= {f"{source.kind}_auth_source": source.id for source in settings.auth_sources}
        if settings.refresh_tokens:
            values["refresh_token"] = settings.refresh_tokens[0].value
    for given in options.value:
        name, equals, value = given.partition("=")
        if not equals:
            raise FakeOAuthError(f"--value {given}: expected NAME=VALUE")
        if name not in NAMES:
            hint = unknown(name, NAMES)
            raise FakeOAuthError(f"--value {given}: there is no {name!r}, {hint}")
        values[name] = value
    return values | {name: told for name in _OWN if (told := getattr(options, name)) is not None}
