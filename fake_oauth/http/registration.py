"""The registration endpoint over HTTP (RFC 7591 section 3)."""

from __future__ import annotations

import json

from fake_oauth.http.request import HTTPRequest
from fake_oauth.provider import registration
from fake_oauth.provider.realm import Realm
from fake_oauth.reply import JSON, Reply


def register(realm: Realm, request: HTTPRequest) -> Reply:
    """Register the client that the JSON in the body describes."""
    registration.require_token(realm, request.bearer_token)
    members, reason = registration.register(realm, _document(request))
    return Reply(status=201, data=members, reason=reason)


def _document(request: HTTPRequest) -> object:
    """Return the JSON in the body. Raise OAuthError if there is none."""
    if request.flaw is not None:
        raise registration.unreadable(request.flaw.reason)
    if request.media_type != JSON:
        sent = request.media_type or "missing"
        raise registration.unreadable(f"the Content-Type is {sent}, not {JSON}")
    try:
        return json.loads(request.body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise registration.unreadable(f"the body is not JSON: {error}") from None


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON number (RFC 8259 section 6)")
