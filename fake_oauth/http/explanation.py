"""The page of an error: what a program gets, why, and what a person can do about it.

`_BY_CAUSE` and `_BY_PARAMETER` have the explanations. To explain another refusal, add a row. Every
`Text` here has a Chinese one in `languages`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from fake_oauth.http.differences import Difference, difference, nearest, short
from fake_oauth.http.languages import Text
from fake_oauth.http.pages import LISTED, page
from fake_oauth.http.request import HTTPRequest
from fake_oauth.provider.errors import Cause, OAuthError
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.request import Parameters
from fake_oauth.reply import Reply, Response

VARY: Final = ("Vary", "Accept, Accept-Language")
"""The header of a page that programs get as something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What the page of an error says."""

    title: Text
    remedies: tuple[Text, ...] = ()
    """What a person can do."""
    sent: str | None = None
    """The value that was sent."""
    nearest: str | None = None
    """The known value that is most like it."""
    difference: Difference | None = None
    """How the two differ, if they are URIs."""
    known_title: Text | None = None
    known: tuple[str, ...] = ()
    """The values that can be sent."""


@dataclass(frozen=True, slots=True)
class RefusedRequest:
    """A request that was refused."""

    realm: Realm
    request: HTTPRequest
    error: OAuthError

    @property
    def sent(self) -> str | None:
        """The value of the parameter at fault; None if it is missing or blank."""
        value: str | None = _parameters(self.request).get(self.error.parameter or "")
        return value if value is not None and value.strip() else None


def error_page(
    realm: Realm, request: HTTPRequest, reply: Reply, error: OAuthError | None, body: str
) -> Reply:
    """Return an error response as a page, with the same status and headers.

    `body` is what a program gets. Without an `error`, the method was refused.
    """
    locales = None
    if "ui_locales" in realm.dialect.authorization_parameters:
        locales = _parameters(request).get("ui_locales")
    explained = (
        _method(request, reply) if error is None else explain(RefusedRequest(realm, request, error))
    )
    made = page(
        "error.html",
        realm,
        request,
        reason=reply.reason,
        ui_locales=locales,
        status=reply.status,
        explained=explained,
        status_line=Response(reply.status, (), b"").status_line,
        answered=[*reply.headers, *([("Content-Type", reply.content_type)] if body else [])],
        body=body,
    )
    headers = (*reply.headers, *made.headers, VARY)
    return replace(made, headers=headers, cause=reply.cause, data=reply.data)


def explain(refused: RefusedRequest) -> Explanation:
    """Return what the page of an error says."""
    error = refused.error
    times = len(_parameters(refused.request).all(error.parameter or ""))
    if times > 1:
        values: dict[str, str | int] = {"parameter": str(error.parameter), "times": times}
        return Explanation(
            title=Text("<code>%(parameter)s</code> was sent %(times)s times", values),
            remedies=(Text("Send <code>%(parameter)s</code> once.", values),),
        )
    row = _BY_CAUSE.get(error.cause) or _BY_PARAMETER.get(error.parameter or "", _OTHER)
    return row if isinstance(row, Explanation) else row(refused)


def _parameters(request: HTTPRequest) -> Parameters:
    return request.form if request.method == "POST" else request.query


def _client(refused: RefusedRequest) -> Explanation:
    """Explain a client that is missing, unknown, or disabled, or that another one is named for."""
    sent, clients = refused.sent, refused.realm.clients
    title = Text("The clients that are registered here")
    known = tuple(clients)[:LISTED]
    if sent is None:
        return Explanation(
            title=Text("The <code>client_id</code> is missing"),
            remedies=(Text("Send the <code>client_id</code> of a registered client."),),
            known_title=title,
            known=known,
        )
    values = {"client_id": short(sent)}
    if refused.error.client is not None:
        return Explanation(
            title=Text("The client <code>%(client_id)s</code> is disabled", values),
            remedies=(
                Text("Remove <code>enabled = false</code> from the client in the settings."),
            ),
        )
    if sent in clients:
        return Explanation(
            title=Text("The ID token is of another client than <code>%(client_id)s</code>", values),
            remedies=(
                Text("Send an <code>id_token_hint</code> that this client received, or omit it."),
            ),
        )
    return Explanation(
        title=Text("The client <code>%(client_id)s</code> is unknown", values),
        sent=short(sent),
        nearest=nearest(sent, clients),
        remedies=(
            Text("Correct the <code>client_id</code> in the application."),
            Text(
                "Or register the client here: add a <code>[[clients]]</code> table to the "
                "settings, or another <code>Client</code> in Python."
            ),
        ),
        known_title=title,
        known=known,
    )


def _redirect_uri(refused: RefusedRequest) -> Explanation:
    """Explain a redirect URI of a login or of a logout."""
    client, parameter, sent = refused.error.client, str(refused.error.parameter), refused.sent
    field = "redirect_uris" if parameter == "redirect_uri" else "logout_redirect_uris"
    registered: tuple[str, ...] = () if client is None else tuple(getattr(client, field))
    client_id = "" if client is None else client.client_id
    values = {"parameter": parameter, "field": field, "client_id": client_id}
    explained = Explanation(
        title=Text("The <code>%(parameter)s</code> is missing", values),
        remedies=(Text("Send one of the registered URIs as <code>%(parameter)s</code>.", values),),
        known_title=Text("Registered for the client <code>%(client_id)s</code>", values),
        known=registered[:LISTED],
    )
    if sent is None:
        return explained
    near = nearest(sent, registered[:LISTED], cutoff=0)
    add = Text(
        "Or add it to <code>%(field)s</code> of the client <code>%(client_id)s</code> in the "
        "settings.",
        values,
    )
    # The logout of CIAM compares every URI exactly.
    rule = (
        Text("URIs are compared character by character.")
        if parameter == "logout_redirect_uri"
        else Text(
            "URIs are compared character by character. Only those with "
            "<code>http://127.0.0.1</code> or <code>http://[::1]</code> match on any port, and "
            "with <code>localhost</code> if the settings have "
            "<code>accept_localhost_on_any_port</code>."
        )
    )
    return replace(
        explained,
        title=(
            Text("The redirect URI is not registered")
            if parameter == "redirect_uri"
            else Text("The post-logout redirect URI is not registered")
        ),
        sent=short(sent),
        nearest=near,
        difference=None if near is None else difference(sent, near),
        remedies=(*explained.remedies, add, rule),
    )


def _request_uri(refused: RefusedRequest) -> Explanation:
    values = {"seconds": refused.realm.pushed.seconds}
    return Explanation(
        title=Text("This <code>request_uri</code> cannot be used"),
        remedies=(
            Text(
                "Push the request again. A <code>request_uri</code> can be used once, within "
                "%(seconds)s seconds, and by the client that pushed it.",
                values,
            ),
        ),
    )


def _path(refused: RefusedRequest) -> Explanation:
    path, served = refused.request.path, refused.realm.paths.values()
    below = path.removeprefix(urlsplit(refused.realm.issuer).path.rstrip("/"))
    return Explanation(
        title=Text("There is nothing at <code>%(path)s</code>", {"path": short(path)}),
        nearest=nearest(below, served, cutoff=0.4),
        known_title=Text("The paths that are served"),
        known=tuple(served),
    )


def _method(request: HTTPRequest, reply: Reply) -> Explanation:
    values = {"method": short(request.method), "allowed": dict(reply.headers)["Allow"]}
    return Explanation(
        title=Text("The method <code>%(method)s</code> is not allowed here", values),
        remedies=(
            Text(
                "This address is for programs: a client sends <code>%(allowed)s</code>. A browser "
                "that opens it sends <code>GET</code>.",
                values,
            ),
        ),
    )


_RESPONSE_TYPE: Final = Explanation(
    title=Text("The <code>response_type</code> is not <code>code</code>"),
    remedies=(
        Text("Send <code>response_type=code</code>. The implicit and hybrid flows are not served."),
    ),
)
_DOCUMENT: Final = Explanation(
    title=Text("The document of the client cannot be used"),
    remedies=(
        Text(
            "The <code>client_id</code> is a URL, so the server reads the client's metadata there. "
            "Correct the document, or give it in <code>client_documents</code> of the settings."
        ),
    ),
)
_TOKEN: Final = Explanation(
    title=Text("An access token is needed here"),
    remedies=(
        Text(
            "A client calls this address with <code>Authorization: Bearer …</code>. A browser that "
            "opens it sends no access token."
        ),
    ),
)
_HINT: Final = Explanation(
    title=Text("The <code>id_token_hint</code> cannot be used"),
    remedies=(
        Text(
            "Send an ID token that this server issued. It can have expired. An access token, or an "
            "ID token from before a restart with another issuer, is refused."
        ),
    ),
)
_OTHER: Final = Explanation(
    title=Text("The request was refused"),
    remedies=(Text("Correct the request in the application, and start again there."),),
)

_Row = Explanation | Callable[[RefusedRequest], Explanation]

_BY_CAUSE: Final[Mapping[Cause, _Row]] = {
    "path_unknown": _path,
    "response_type": _RESPONSE_TYPE,
    "response_type_unsupported": _RESPONSE_TYPE,
    "request_uri": _request_uri,
    "client_document": _DOCUMENT,
    "client_document_unavailable": _DOCUMENT,
    "logout_client_id": _client,
    "bearer_missing": _TOKEN,
    "bearer_invalid": _TOKEN,
    "bearer_scope": _TOKEN,
    "bearer_user": _TOKEN,
}
# The other refusals of authorization and logout requests.
_BY_PARAMETER: Final[Mapping[str, _Row]] = {
    "client_id": _client,
    "redirect_uri": _redirect_uri,
    "post_logout_redirect_uri": _redirect_uri,
    "logout_redirect_uri": _redirect_uri,
    "id_token_hint": _HINT,
}
