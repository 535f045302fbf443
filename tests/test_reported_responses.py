"""Public bug reports about unusual responses of real providers.

Each docstring names the report and says what happened, and then what the fake does to test it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlencode

import httpx
import pytest
from pytest_httpserver import HTTPServer
from werkzeug.wrappers import Request as WerkzeugRequest
from werkzeug.wrappers import Response as WerkzeugResponse

from fake_oauth import BehaviorError, FakeOAuth, RefreshPolicy, Settings, faults
from fake_oauth.dialects import RFC
from fake_oauth.journal import Exchange
from fake_oauth.provider.errors import Cause
from fake_oauth.provider.model import Terms
from fake_oauth.provider.tokens import TokenSet
from fake_oauth.reply import Response
from tests.my_app import Session
from tests.support.client import FORM, claims, form
from tests.support.reports import call, logged_in, refresh

# GitHub: forms, and errors in a 200


def as_form(response: Response) -> Response:
    """Return a token response as GitHub writes it."""
    body = urlencode(json.loads(response.body)).encode()
    return response.changed(body, content_type=FORM)


def accepts_anything(request: Exchange) -> bool:
    return "json" not in request.headers.get("Accept", "")


@pytest.mark.oauth_server(refresh_policy="rotate")
def test_a_token_response_can_be_a_form(oauth_server: FakeOAuth) -> None:
    """onyx-dot-app/onyx#13330, IBM/mcp-context-forge#4258: GitHub responds with a form, unless the
    client accepts only JSON. The client could not read it, and lost the rotated refresh token.

    The fake writes its own response as a form if the client does not ask for JSON. The tokens in
    it are valid.
    """
    oauth_server.always(faults.Rule(faults.Change(as_form), when=accepts_anything))
    response = refresh(oauth_server, logged_in(oauth_server))
    assert response.headers["Content-Type"] == FORM
    members = {name: values[0] for name, values in parse_qs(response.text).items()}
    assert call(oauth_server, members["access_token"]).status_code == 200
    headers = {"Accept": "application/json"}
    second = refresh(oauth_server, members["refresh_token"], headers=headers)
    assert second.json()["refresh_token"] != members["refresh_token"]
    oauth_server.assert_script_used()


@pytest.mark.parametrize("reads_forms", [True, False])
def test_a_client_of_a_provider_that_sends_forms_is_judged(
    httpserver: HTTPServer,
    *,
    reads_forms: bool,
) -> None:
    """onyx-dot-app/onyx#13330: the client discarded the form, and presented the old token again.

    A handler of pytest-httpserver rewrites the fake's responses. The journal has the tokens in
    them, so the assertion passes for a client that stored the new token, and fails for the other.
    """
    fake = FakeOAuth(Settings(issuer=httpserver.url_for(""), refresh_policy="rotate"))

    def handle(request: WerkzeugRequest) -> WerkzeugResponse:
        response = fake.handle(request)
        response.set_data(urlencode(response.get_json()))
        response.content_type = FORM
        return response

    httpserver.expect_request(re.compile(".*")).respond_with_handler(handle)
    token = logged_in(fake)
    for _ in range(2):
        url = httpserver.url_for("/oauth2/token")
        response = httpx.post(url, data=form(refresh_token=token))
        if reads_forms:
            (token,) = parse_qs(response.text)["refresh_token"]
        fake.clock.advance(300)
    if reads_forms:
        fake.assert_client.used_the_latest_refresh_token()
    else:
        with pytest.raises(BehaviorError, match="although request 1 had received"):
            fake.assert_client.used_the_latest_refresh_token()


@pytest.mark.oauth_server(refresh_policy="rotate")
def test_an_error_in_a_200_does_not_use_up_the_refresh_token(oauth_server: FakeOAuth) -> None:
    """lelylan/simple-oauth2#459, IBM/mcp-context-forge#4258: GitHub reports a refused refresh token
    with the status 200. The client took the response for a success.

    The fake refuses with any code and the status 200. Nothing was issued, so the refresh token
    stays valid, and a second attempt is not one refresh too many.
    """
    description = "The refresh token passed is incorrect or expired."
    oauth_server.script(faults.Refuse("bad_refresh_token", description, status=200))
    token = logged_in(oauth_server)
    refused = refresh(oauth_server, token)
    assert (refused.status_code, refused.json()) == (
        200,
        {"error": "bad_refresh_token", "error_description": description},
    )
    assert "access_token" in refresh(oauth_server, token).json()
    assert [exchange.error for exchange in oauth_server.journal] == ["bad_refresh_token", None]
    oauth_server.assert_client.refreshed_once_per_expiry()


@pytest.mark.oauth_server(refresh_policy="rfc9700")
def test_a_retryable_error_in_a_200_can_be_retried(oauth_server: FakeOAuth) -> None:
    """The catalog of malformed successes called an error in a 200 retryable. With rotation, the
    retry was refused, because the server had already rotated the refresh token.

    The entry now happens before the commit, so the retry gets tokens.
    """
    malformed = faults.MALFORMED["error in a 200"]
    oauth_server.script(malformed.fault)
    token = logged_in(oauth_server)
    assert refresh(oauth_server, token).json() == {"error": "server_error"}
    assert malformed.verdict == "retryable"
    assert refresh(oauth_server, token).status_code == 200
    assert oauth_server.violations() == []


class GitHub(RFC):
    """A server that refuses refresh tokens with a 200."""

    name = "github"
    codes: ClassVar[Mapping[Cause, str | None]] = {
        "refresh_token_unknown": "bad_refresh_token",
        "refresh_token_expired": "bad_refresh_token",
        "refresh_token_spent": "bad_refresh_token",
        "refresh_token_revoked": "bad_refresh_token",
    }
    statuses: ClassVar[Mapping[str | None, int]] = {**RFC.statuses, "bad_refresh_token": 200}


@pytest.mark.oauth_server(dialect=GitHub, refresh_policy="rotate")
def test_a_dialect_refuses_real_tokens_with_a_200(oauth_server: FakeOAuth) -> None:
    """lelylan/simple-oauth2#459: GitHub responds to a rotated, an expired, and an unknown refresh
    token alike, with the status 200 and `bad_refresh_token`.

    A dialect sets the code by cause and the status by code. The journal has the cause.
    """
    token = logged_in(oauth_server)
    successor = refresh(oauth_server, token).json()["refresh_token"]
    oauth_server.expire(successor)
    for presented in (token, successor, "gho_16C7e42F292c6912E7"):
        response = refresh(oauth_server, presented)
        assert (response.status_code, response.json()["error"]) == (200, "bad_refresh_token")
    assert [exchange.reason for exchange in oauth_server.journal[1:]] == [
        "refresh token rotated by request 1",
        "refresh token expired 0 s ago",
        "refresh token unknown",
    ]


# Salesforce: no lifetime, and no refresh token in a refresh


class Salesforce(RFC):
    """A server that does not say how long an access token lives."""

    name = "salesforce"
    terms: ClassVar[Terms] = replace(
        RFC.terms, refresh_policy=RefreshPolicy(return_unchanged=False)
    )

    def token_reply(self, tokens: TokenSet) -> dict[str, Any]:
        reply = super().token_reply(tokens) | {"instance_url": "https://na1.salesforce.com"}
        del reply["expires_in"]
        return reply


@pytest.mark.oauth_server(dialect=Salesforce)
def test_without_a_lifetime_a_401_says_that_the_session_has_ended(oauth_server: FakeOAuth) -> None:
    """NangoHQ/nango#327, xorbitsai/xagent#1540: Salesforce sends no `expires_in`, so the client
    never refreshed. Only a 401 from the API shows that the session has ended.

    A dialect omits the lifetime and adds `instance_url`. A refresh policy omits the unchanged
    refresh token. The protected resource decides when the client has to refresh.
    """
    token, access_token = logged_in(oauth_server), ""
    for _ in range(3):
        reply = refresh(oauth_server, token).json()
        assert sorted(reply) == [
            "access_token",
            "id_token",
            "instance_url",
            "scope",
            "token_type",
        ]
        access_token = reply["access_token"]
        assert call(oauth_server, access_token).status_code == 200
        oauth_server.revoke(access_token)
        assert call(oauth_server, access_token).status_code == 401
    oauth_server.assert_client.refreshed_once_per_expiry()
    oauth_server.assert_client.kept_its_refresh_token()


def test_several_members_of_one_response_can_differ(oauth_server: FakeOAuth) -> None:
    """NangoHQ/nango#327: one response lacks `expires_in` and `refresh_token`, and has another
    member instead.

    `Combined` makes all of these changes in one response. The next response is complete.
    """
    oauth_server.script(
        faults.Combined(
            [
                faults.MissingField("expires_in"),
                faults.MissingField("refresh_token"),
                faults.Field("instance_url", "https://na1.salesforce.com"),
            ]
        )
    )
    token = logged_in(oauth_server)
    odd, usual = (set(refresh(oauth_server, token).json()) for _ in range(2))
    assert odd - usual == {"instance_url"}
    assert usual - odd == {"expires_in", "refresh_token"}


# Slack: tokens inside of another member, other scopes, and errors in a 200


class Slack(RFC):
    """A server that puts the tokens of a user below `authed_user`."""

    name = "slack"

    def token_reply(self, tokens: TokenSet) -> dict[str, Any]:
        return {"ok": True, "scope": "", "authed_user": super().token_reply(tokens)}


@pytest.mark.oauth_server(dialect=Slack, refresh_policy="rotate")
def test_tokens_can_be_inside_of_another_member(oauth_server: FakeOAuth) -> None:
    """UsefulSoftwareCo/executor#1645, preset-io/agor#824: Slack puts the tokens of a user below
    `authed_user`, and the client looked for them at the top.

    A dialect lays out the response. The tokens in it are valid. A client that keeps the old refresh
    token is detected.
    """
    token = logged_in(oauth_server)
    reply = refresh(oauth_server, token).json()
    assert list(reply) == ["ok", "scope", "authed_user"]
    assert call(oauth_server, reply["authed_user"]["access_token"]).status_code == 200
    refresh(oauth_server, token)
    with pytest.raises(BehaviorError, match="although request 1 had received MOCK_USERNAME/1 r2"):
        oauth_server.assert_client.used_the_latest_refresh_token()


@pytest.mark.parametrize("scope", ["chat:write,search:read", ["chat:write", "search:read"]])
def test_scopes_can_be_separated_by_commas_or_be_a_list(
    oauth_server: FakeOAuth, scope: str | list[str]
) -> None:
    """UsefulSoftwareCo/executor#1652: Slack separates scopes by commas, and other servers send a
    list. The client split the text at spaces, and missed every scope that it had requested.

    The fake sends any value as `scope`.
    """
    oauth_server.script(faults.Field("scope", scope))
    assert refresh(oauth_server, logged_in(oauth_server)).json()["scope"] == scope


@pytest.mark.oauth_server(refresh_policy="rotate")
def test_ok_false_is_an_error_that_uses_up_nothing(oauth_server: FakeOAuth) -> None:
    """preset-io/agor#824: Slack reports an error as `{"ok": false}` with the status 200.

    The fake sends any JSON before the endpoint has done its work. The journal has the error.
    """
    body = {"ok": False, "error": "invalid_refresh_token"}
    oauth_server.script(faults.Status(200, body))
    token = logged_in(oauth_server)
    response = refresh(oauth_server, token)
    assert (response.status_code, response.json()) == (200, body)
    assert oauth_server.journal[0].error == "invalid_refresh_token"
    assert refresh(oauth_server, token).json()["refresh_token"] != token


# Errors with other statuses and members


@pytest.mark.parametrize("status", [200, 400, 401, 403])
def test_an_error_code_counts_whatever_its_status(oauth_server: FakeOAuth, status: int) -> None:
    """binarydev/ha-generac#296: Generac sends `invalid_grant` with the status 403. The client knew
    it only with 400, and tried again at each poll instead of asking the user to log in.

    The fake refuses with any status, and judges by the code: a second request is a violation.
    """
    token = logged_in(oauth_server)
    description = "Unknown or invalid refresh token."
    with oauth_server.always(faults.Refuse("invalid_grant", description, status=status)):
        response = refresh(oauth_server, token)
        assert (response.status_code, response.json()) == (
            status,
            {"error": "invalid_grant", "error_description": description},
        )
        oauth_server.assert_client.stopped_after_a_terminal_error()
        refresh(oauth_server, token)
    with pytest.raises(BehaviorError, match="again, after request 1 got invalid_grant"):
        oauth_server.assert_client.stopped_after_a_terminal_error()


def test_an_error_can_have_members_of_its_provider(oauth_server: FakeOAuth) -> None:
    """Google says in `error_subtype` why a user must log in again, such as `invalid_rapt`.

    The fake sends any members. A retry after `invalid_grant` is still a violation.
    """
    body = {
        "error": "invalid_grant",
        "error_description": "reauth related error (invalid_rapt)",
        "error_subtype": "invalid_rapt",
    }
    oauth_server.script(faults.Status(400, body))
    token = logged_in(oauth_server)
    response = refresh(oauth_server, token)
    assert (response.status_code, response.json()) == (400, body)
    oauth_server.assert_client.stopped_after_a_terminal_error()
    refresh(oauth_server, token)
    with pytest.raises(BehaviorError, match="again, after request 1 got invalid_grant"):
        oauth_server.assert_client.stopped_after_a_terminal_error()


@pytest.mark.oauth_server(refresh_policy="rotate")
def test_a_temporary_error_can_have_the_status_400(oauth_server: FakeOAuth) -> None:
    """googleapis/google-auth-library-python#368: Google sends `internal_failure` with the status
    400. A retry helps, but the library gave up.

    The fake refuses with this code, and the refresh token stays valid. A retry is no violation.
    """
    oauth_server.script(faults.Refuse("internal_failure"), faults.Refuse("internal_failure"))
    token = logged_in(oauth_server)
    assert [refresh(oauth_server, token).status_code for _ in range(3)] == [400, 400, 200]
    assert oauth_server.violations() == []


# Members that are missing or unexpected

MEMBERS: dict[str, faults.Field | faults.MissingField] = {
    "expires_at as text": faults.Field("expires_at", "2025-10-10T12:00:00Z"),
    "lifetime of the refresh token": faults.Field("refresh_token_expires_in", 3600),
    "no ID token": faults.MissingField("id_token"),
    "no refresh token": faults.MissingField("refresh_token"),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_a_client_can_use_a_response_with_other_members(oauth_server: FakeOAuth, name: str) -> None:
    """authlib/authlib#841: `expires_at` is a date as text, next to `expires_in`.
    oauthlib/oauthlib#852 and authlib/authlib#145: the response has the lifetime of the refresh
    token. oauth2-proxy/oauth2-proxy#318: a refresh returns no ID token. Clients failed at each.

    The fake changes one member. A correct client continues with the tokens that it has.
    """
    fault = MEMBERS[name]
    oauth_server.script(fault)
    session = Session(oauth_server.token_url, logged_in(oauth_server))
    session.refresh()
    first = oauth_server.journal[0].reply
    assert first.get(fault.name) == (fault.value if isinstance(fault, faults.Field) else None)
    oauth_server.clock.advance(300)
    session.refresh()
    assert [exchange.status for exchange in oauth_server.journal] == [200, 200]
    assert oauth_server.violations() == []


def test_a_client_that_needs_a_refresh_token_in_each_response_is_found(
    oauth_server: FakeOAuth,
) -> None:
    """obot-platform/obot#1564: Salesforce returned no refresh token in a refresh, and the client
    forgot the refresh token that it had.

    The fake leaves the member out. A client that then presents the text "None" is detected.
    """
    oauth_server.script(faults.MissingField("refresh_token"))
    reply = refresh(oauth_server, logged_in(oauth_server)).json()
    oauth_server.clock.advance(300)
    refresh(oauth_server, str(reply.get("refresh_token")))
    with pytest.raises(BehaviorError, match="request 2 did not present MOCK_USERNAME/1 r1"):
        oauth_server.assert_client.kept_its_refresh_token()


def test_an_id_token_can_lack_the_nonce(oauth_server: FakeOAuth) -> None:
    """authlib/authlib#763: LinkedIn sends ID tokens without the nonce of the authorization request,
    and the client refused them all.

    The fake removes the claim from the ID token of one login; that of the next login has it.
    """
    oauth_server.script(faults.MissingClaim("nonce", token="id_token"))
    callback = "https://example.com/callback"
    nonces = []
    for _ in range(2):
        code = oauth_server.issue_code(redirect_uri=callback, nonce="n-0S6_WzA2Mj")
        body = form(grant_type="authorization_code", code=code, redirect_uri=callback)
        reply = httpx.post(oauth_server.token_url, data=body).json()
        nonces.append(claims(reply["id_token"]).get("nonce"))
    assert nonces == [None, "n-0S6_WzA2Mj"]
