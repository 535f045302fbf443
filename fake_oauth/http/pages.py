"""The pages that a person sees: templates in `templates/`, their headers, language, and links.

Each kind of page has a function in the module of its subject; here is what all pages share.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from fake_oauth.http.request import HTTPRequest
from fake_oauth.journal import printable
from fake_oauth.provider.model import User
from fake_oauth.provider.realm import Realm
from fake_oauth.reply import HTML, Headers, Reply

if TYPE_CHECKING:
    from jinja2 import Environment

    from fake_oauth.http.languages import Language

LISTED: Final = 200
"""How many users, clients, or URIs a page lists at most."""
# A page with more users than this has a search field.
_MANY: Final = 10
_SUBMIT: Final = "document.forms[0].submit()"
_SUBMIT_HASH: Final = b64encode(sha256(_SUBMIT.encode()).digest()).decode()


def page(
    template: str,
    realm: Realm,
    request: HTTPRequest,
    *,
    reason: str,
    ui_locales: str | None = None,
    form_targets: tuple[str, ...] = (),
    status: int = 200,
    headers: Headers = (),
    **values: Any,
) -> Reply:
    """Return a page, escaped, that loads nothing and cannot be framed.

    Its forms are sent to this server. The server may redirect them to `form_targets`, because a
    form's redirect counts as its action (CSP 3, section 6.4). `ui_locales` are the languages that
    the client asks for.
    """
    sources = " ".join(["'self'", *map(_source, form_targets)])
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        f"frame-ancestors 'none'; form-action {sources}"
    )
    shown = {
        "reason": printable(reason),
        "console": console_link(realm, request),
        "home": root(request),
        **values,
    }
    language = language_of(request, ui_locales)
    made = _reply(template, language, policy, status=status, reason=reason, values=shown)
    return replace(made, headers=(*made.headers, *headers))


def language_of(request: HTTPRequest, ui_locales: str | None = None) -> Language:
    """Return the language of a page for a request."""
    from fake_oauth.http.languages import preferred  # only for pages

    return preferred(ui_locales, request.header("HTTP_ACCEPT_LANGUAGE"))


def action(realm: Realm, endpoint: str) -> str:
    """Return where the forms of an endpoint's page are sent.

    It is relative, because a proxy can add a path before that of the endpoint.
    """
    return realm.paths[endpoint].rpartition("/")[2] or "."


def root(request: HTTPRequest) -> str:
    """Return the way from a page to the root of the server.

    It is relative, because a proxy can add a path before it.
    """
    return "../" * (request.path.count("/") - 1) or "./"


def console_link(realm: Realm, request: HTTPRequest) -> str | None:
    """Return the link from a page to its request in the console, if the console is served."""
    if realm.console is None:
        return None
    return f"{root(request)}{realm.console.lstrip('/')}#exchanges/{request.number}"


def client_name(realm: Realm, client_id: str | None) -> str | None:
    """Return the name of a client for people; None if it has none."""
    client = realm.clients.get(client_id or "")
    return None if client is None else client.name


@dataclass(frozen=True, slots=True, kw_only=True)
class UserList:
    """The users that a page offers, those who cannot log in included."""

    users: tuple[User, ...]
    left_out: int
    """How many more match."""
    has_search: bool
    """Whether there are so many users that a person can search them."""
    find: str
    """What was searched; empty for every user."""


def user_list(users: Iterable[User], find: str | None, hint: str | None = None) -> UserList:
    """Return the users with a text in a name, the one that `hint` names first."""
    every, wanted = list(users), (find or "").strip().casefold()
    found = [user for user in every if any(wanted in name.casefold() for name in _names(user))]
    found.sort(key=lambda user: hint not in _names(user))
    return UserList(
        users=tuple(found[:LISTED]),
        left_out=max(0, len(found) - LISTED),
        has_search=len(every) > _MANY,
        find=(find or "").strip(),
    )


def _names(user: User) -> list[str]:
    return [name for name in (user.login_name, user.email, user.phone, user.sub) if name]


def form_post(
    request: HTTPRequest | None, uri: str, parameters: dict[str, str], *, reason: str
) -> Reply:
    """Return the page that sends parameters to a URI (OAuth 2.0 Form Post Response Mode).

    A silent login loads it in a frame.
    """
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
        f"script-src 'sha256-{_SUBMIT_HASH}'; form-action {_source(uri)}"
    )
    values = {"uri": uri, "parameters": parameters, "script": _SUBMIT}
    language = "en" if request is None else language_of(request)
    return _reply("form_post.html", language, policy, status=200, reason=reason, values=values)


def _reply(
    template: str, language: Language, policy: str, *, status: int, reason: str, values: Any
) -> Reply:
    return Reply(
        status=status,
        page=_environment(language).get_template(template).render(values),
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
def _environment(language: Language) -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # only when a page is shown

    from fake_oauth.http.languages import translated

    environment = Environment(
        loader=PackageLoader("fake_oauth.http"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.globals["lang"] = language
    # For a text that is not written in a template. It is escaped.
    environment.filters["translated"] = lambda text: translated(language, text)
    # With the new style, values are escaped and inserted into the text as HTML.
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        lambda text: translated(language, text),
        lambda one, several, number: translated(language, one if number == 1 else several),
        newstyle=True,
    )
    return environment
