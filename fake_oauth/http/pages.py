"""The pages that a person sees: templates in `templates/`, and their headers."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from fake_oauth.provider.realm import Realm
from fake_oauth.reply import HTML, Headers, Reply

if TYPE_CHECKING:
    from jinja2 import Environment

_SUBMIT: Final = "document.forms[0].submit()"
_SUBMIT_HASH: Final = b64encode(sha256(_SUBMIT.encode()).digest()).decode()


def page(
    template: str,
    *,
    reason: str,
    form_targets: tuple[str, ...] = (),
    status: int = 200,
    headers: Headers = (),
    **values: Any,
) -> Reply:
    """Return a page, escaped, that loads nothing and cannot be framed.

    Its forms are sent to this server. The server may redirect them to `form_targets`, because a
    form's redirect counts as its action (CSP 3, section 6.4).
    """
    sources = " ".join(["'self'", *map(_source, form_targets)])
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action {sources}"
    )
    made = _reply(template, policy, status=status, reason=reason, values=values)
    return replace(made, headers=(*made.headers, *headers))


def action(realm: Realm, endpoint: str) -> str:
    """Return where the forms of an endpoint's page are sent.

    It is relative, because a proxy can add a path before that of the endpoint.
    """
    return realm.paths[endpoint].rpartition("/")[2] or "."


def client_name(realm: Realm, client_id: str | None) -> str | None:
    """Return the name of a client for people; None if it has none."""
    client = realm.clients.get(client_id or "")
    return None if client is None else client.name


def form_post(uri: str, parameters: dict[str, str], *, reason: str) -> Reply:
    """Return the page that sends parameters to a URI (OAuth 2.0 Form Post Response Mode).

    A silent login loads it in a frame.
    """
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
        f"script-src 'sha256-{_SUBMIT_HASH}'; form-action {_source(uri)}"
    )
    values = {"uri": uri, "parameters": parameters, "script": _SUBMIT}
    return _reply("form_post.html", policy, status=200, reason=reason, values=values)


def _reply(template: str, policy: str, *, status: int, reason: str, values: Any) -> Reply:
    return Reply(
        status=status,
        page=_environment().get_template(template).render(values),
        content_type=HTML,
        headers=(("Content-Security-Policy", policy),),
        reason=reason,
    )


def _source(uri: str) -> str:
    """Return a source expression for a redirect URI: its origin, or its scheme for an app's own."""
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https") and parts.netloc.isascii():
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return f"{parts.scheme}:"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # only when a page is shown

    loader = PackageLoader("fake_oauth.http")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
