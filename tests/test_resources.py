"""Protected resources: what an access token is for, and what clients learn from metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from werkzeug.test import Client as Browser
from werkzeug.test import TestResponse

from fake_oauth import Client, FakeOAuth, ProtectedResource, Settings, SettingsError, faults
from fake_oauth.provider.grants.device_code import DEVICE_CODE
from tests.support.client import claims

CALLBACK = "https://example.com/callback"
WEB = Client(client_id="web", client_secret="s", redirect_uris=[CALLBACK], scopes=["a", "b"])
FILES = ProtectedResource(path="/files", name="Files", scopes=["a", "b"], scope="a")
ELSEWHERE = ProtectedResource(identifier="https://api.example/mcp")
ISSUER = "https://issuer.example"
MCP = f"{ISSUER}/mcp"
CHALLENGE = {"code_challenge": "x", "code_challenge_method": "S256"}


class Site:
    """A server of the dialect `mcp`, and a client of it."""

    def __init__(self, **settings: Any) -> None:
        given = {"dialect": "mcp", "clients": [WEB], "refresh_tokens": [], "issuer": ISSUER}
        self.server = FakeOAuth(Settings(**given | settings))
        self.browser = Browser(self.server)

    def post(self, grant_type: str, **form: Any) -> TestResponse:
        data = {"grant_type": grant_type, **form}
        return self.browser.post("/token", data=data, auth=("web", "s"))

    def audience(self, grant_type: str, **form: Any) -> Any:
        response = self.post(grant_type, **form)
        assert response.status_code == 200, response.text
        return claims(response.get_json()["access_token"])["aud"]

    def authorize(self, *resources: str) -> Mapping[str, str]:
        self.server.login()
        sent = [("resource", resource) for resource in resources]
        query = {"response_type": "code", "client_id": "web", "redirect_uri": CALLBACK, **CHALLENGE}
        query["scope"] = "offline_access"
        response = self.browser.get("/authorize", query_string=[*query.items(), *sent])
        return dict(parse_qsl(urlsplit(response.headers["Location"]).query))

    def call(self, token: str | None, path: str = "/mcp") -> TestResponse:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self.browser.get(path, headers=headers)

    @property
    def reason(self) -> str:
        return str(self.server.journal[-1].reason)


@pytest.fixture
def site() -> Site:
    return Site()


# Resource indicators


@pytest.mark.parametrize(
    ("resources", "audience"),
    [
        ([], MCP),
        ([MCP], MCP),
        (["https://api.example"], "https://api.example"),
        (["https://api.example/"], "https://api.example"),
        (["https://api.example/x/"], "https://api.example/x/"),
        (["https://api.example/?q"], "https://api.example/?q"),
        (["urn:x:y", MCP, MCP], ["urn:x:y", MCP]),
    ],
)
def test_a_token_is_for_what_the_client_names(
    site: Site, resources: list[str], audience: Any
) -> None:
    assert site.audience("client_credentials", resource=resources) == audience


@pytest.mark.parametrize("resource", ["files", "", "/mcp", f"{MCP}#x", "https://a b"])
def test_a_resource_is_an_absolute_uri(site: Site, resource: str) -> None:
    response = site.post("client_credentials", resource=[MCP, resource])
    if resource == "":  # A blank counts as omitted.
        assert response.status_code == 200
        return
    assert (response.status_code, response.get_json()["error"]) == (400, "invalid_target")
    assert site.reason == f"resource {resource!r} is not an absolute URI without fragment"
    assert site.authorize(resource)["error"] == "invalid_target"


def test_with_configured_resources_others_are_unknown() -> None:
    site = Site(resources=[FILES, ELSEWHERE])
    for known in (MCP, f"{ISSUER}/files", "https://api.example/mcp", "https://api.example/mcp/"):
        assert site.audience("client_credentials", resource=known) == known.rstrip("/")
    response = site.post("client_credentials", resource="https://api.example")
    assert response.get_json()["error"] == "invalid_target"
    assert site.reason == (
        "resource 'https://api.example' is unknown; known: https://issuer.example/mcp, "
        "https://issuer.example/files, https://api.example/mcp"
    )


def exchanged(site: Site, **form: Any) -> TestResponse:
    code = site.authorize(MCP, "https://api.example")["code"]
    record = site.server._realm.store.codes.find(code)
    assert record is not None
    record.code_challenge = None
    return site.post("authorization_code", code=code, redirect_uri=CALLBACK, **form)


def test_the_token_request_names_some_of_the_granted_resources(site: Site) -> None:
    tokens = exchanged(site, resource="https://api.example").get_json()
    assert claims(tokens["access_token"])["aud"] == "https://api.example"
    refresh = {"refresh_token": tokens["refresh_token"]}
    assert site.audience("refresh_token", **refresh, resource=MCP) == MCP
    assert site.audience("refresh_token", **refresh) == MCP
    assert site.reason == (
        "refreshed, same refresh token; no resource named, so the token is for "
        "https://issuer.example/mcp"
    )
    refused = site.post("refresh_token", **refresh, resource="https://other.example")
    assert refused.get_json()["error"] == "invalid_target"
    assert site.reason == (
        "resource https://other.example was not granted; granted: https://issuer.example/mcp "
        "https://api.example"
    )


def test_a_refused_resource_spends_no_code(site: Site) -> None:
    code = site.authorize(MCP)["code"]
    record = site.server._realm.store.codes.find(code)
    assert record is not None
    record.code_challenge = None
    form = {"code": code, "redirect_uri": CALLBACK}
    refused = site.post("authorization_code", **form, resource="https://other.example")
    assert refused.get_json()["error"] == "invalid_target"
    assert site.post("authorization_code", **form).status_code == 200
    assert site.reason == "code exchanged"


def test_a_refused_resource_rotates_no_refresh_token() -> None:
    site = Site(refresh_policy="rotate")
    token = exchanged(site).get_json()["refresh_token"]
    refused = site.post("refresh_token", refresh_token=token, resource="x")
    assert refused.get_json()["error"] == "invalid_target"
    assert site.post("refresh_token", refresh_token=token).status_code == 200


def test_a_password_grant_is_for_a_resource(site: Site) -> None:
    form = {"username": "MOCK_USERNAME", "password": "MOCK_PASSWORD"}
    assert site.audience("password", **form, resource="urn:x:y") == "urn:x:y"


def test_in_rfc_a_resource_is_ignored_unless_it_is_set() -> None:
    assert Site(dialect="rfc").audience("client_credentials", resource="x") == "web"
    site = Site(dialect="rfc", indicate_resources=True)
    assert site.audience("client_credentials") == f"{ISSUER}/resource"


# What a resource does with a token


def test_a_resource_admits_only_its_own_tokens() -> None:
    site = Site(resources=[FILES])
    own = site.post("client_credentials", resource=f"{ISSUER}/files").get_json()["access_token"]
    assert site.call(own, "/files").status_code == 200
    refused = site.call(own)
    assert refused.status_code == 401
    assert site.reason == (
        "access token for https://issuer.example/files, not https://issuer.example/mcp"
    )
    counts = {name: (r.calls, r.refused) for name, r in site.server.resources.items()}
    assert counts == {MCP: (0, 1), f"{ISSUER}/files": (1, 0)}


def test_a_token_for_nobody_is_refused(site: Site) -> None:
    site.server.script(faults.MissingClaim("aud"))
    token = site.post("client_credentials").get_json()["access_token"]
    assert site.call(token).status_code == 401
    assert site.reason == "access token for nobody, not https://issuer.example/mcp"


@pytest.mark.parametrize("audience", [[None], [1, {}], [[MCP]], {"a": MCP}, 7, True, "", []])
def test_an_audience_that_is_no_text_is_nobody(site: Site, audience: Any) -> None:
    site.server.script(faults.Claim("aud", audience))
    token = site.post("client_credentials").get_json()["access_token"]
    assert site.call(token).status_code == 401
    assert site.reason == "access token for nobody, not https://issuer.example/mcp"


def test_an_audience_among_others_that_are_no_text_is_read(site: Site) -> None:
    site.server.script(faults.Claim("aud", [None, MCP, {}]))
    token = site.post("client_credentials").get_json()["access_token"]
    assert site.call(token).status_code == 200


def test_every_scope_is_needed(site: Site) -> None:
    token = site.post("client_credentials", scope="a").get_json()["access_token"]
    site.server.resource.scope = "a b"
    refused = site.call(token)
    assert refused.status_code == 403
    assert refused.headers["WWW-Authenticate"] == (
        'Bearer realm="fake_oauth", error="insufficient_scope", scope="a b", '
        f'resource_metadata="{ISSUER}/.well-known/oauth-protected-resource/mcp", '
        'error_description="access token without scope b"'
    )
    token = site.post("client_credentials", scope="b a").get_json()["access_token"]
    assert site.call(token).status_code == 200


def test_the_first_challenge_names_the_scopes(site: Site) -> None:
    site.server.resource.scope = "a b"
    assert site.call(None).headers["WWW-Authenticate"] == (
        'Bearer realm="fake_oauth", scope="a b", '
        f'resource_metadata="{ISSUER}/.well-known/oauth-protected-resource/mcp"'
    )


def test_a_scripted_refusal_of_a_resource_has_its_metadata() -> None:
    site = Site(resources=[FILES])
    rule = faults.Rule(faults.Refuse("insufficient_scope", "more"), endpoint="resource")
    site.server.script(rule)
    assert site.call(None, "/files").headers["WWW-Authenticate"] == (
        'Bearer realm="fake_oauth", error="insufficient_scope", scope="a", '
        f'resource_metadata="{ISSUER}/.well-known/oauth-protected-resource/files", '
        'error_description="more"'
    )


# Metadata


def test_the_metadata_of_each_resource() -> None:
    site = Site(resources=[FILES, ELSEWHERE])
    for suffix in ("/mcp", "", "/"):
        told = site.browser.get(f"/.well-known/oauth-protected-resource{suffix}").get_json()
        assert told == {
            "resource": MCP,
            "authorization_servers": [ISSUER],
            "bearer_methods_supported": ["header"],
        }
    files = site.browser.get("/.well-known/oauth-protected-resource/files").get_json()
    assert (files["resource"], files["resource_name"]) == (f"{ISSUER}/files", "Files")
    assert files["scopes_supported"] == ["a", "b"]
    site.server.resource.scope = "x y"
    told = site.browser.get("/.well-known/oauth-protected-resource").get_json()
    assert told["scopes_supported"] == ["x", "y"]


@pytest.mark.parametrize("suffix", ["/nothing", "/mcp/x", "/https://api.example/mcp", "x"])
def test_other_metadata_are_not_found(suffix: str) -> None:
    site = Site(resources=[ELSEWHERE])
    path = f"/.well-known/oauth-protected-resource{suffix}"
    assert site.browser.get(path).status_code == 404
    assert path in site.reason


def test_the_path_of_the_issuer_is_in_the_middle() -> None:
    site = Site(issuer=f"{ISSUER}/tenant")
    refused = site.call(None, "/tenant/mcp")
    url = f"{ISSUER}/.well-known/oauth-protected-resource/tenant/mcp"
    assert f'resource_metadata="{url}"' in refused.headers["WWW-Authenticate"]
    told = site.browser.get(url.removeprefix(ISSUER)).get_json()
    assert told["resource"] == f"{ISSUER}/tenant/mcp"
    token = site.server.issue_tokens().access_token
    for path in ("/tenant/mcp", "/mcp"):  # A proxy may have removed it.
        assert site.call(token, path).status_code == 200


@pytest.mark.parametrize(
    ("places", "statuses", "url"),
    [
        ([], (404, 404), None),
        (["root"], (200, 404), None),
        (["path"], (404, 200), None),
        (["challenge", "root"], (200, 404), "/.well-known/oauth-protected-resource"),
        (["challenge", "path"], (404, 200), "/.well-known/oauth-protected-resource/mcp"),
    ],
)
def test_pieces_can_be_left_out(
    places: list[Any], statuses: tuple[int, int], url: str | None
) -> None:
    site = Site(resource_metadata=places)
    paths = [f"/.well-known/oauth-protected-resource{suffix}" for suffix in ("", "/mcp")]
    assert tuple(site.browser.get(path).status_code for path in paths) == statuses
    challenge = site.call(None).headers["WWW-Authenticate"]
    named = "" if url is None else f', resource_metadata="{ISSUER}{url}"'
    assert challenge == f'Bearer realm="fake_oauth"{named}'


@pytest.mark.parametrize(
    ("indicates", "status"), [(True, 401), (False, 200)], ids=["indicated", "not_indicated"]
)
def test_a_token_of_another_server_with_the_same_key(*, indicates: bool, status: int) -> None:
    other = Site(issuer="https://other.example")
    token = other.post("client_credentials", resource=MCP).get_json()["access_token"]
    site = Site(indicate_resources=indicates)
    assert site.call(token).status_code == status
    if indicates:
        assert site.reason.endswith("this server: issued by 'https://other.example'")


def test_the_authorization_server_can_move(site: Site) -> None:
    site.server.resource.authorization_servers = ["https://other.example"]
    told = site.browser.get("/.well-known/oauth-protected-resource").get_json()
    assert told["authorization_servers"] == ["https://other.example"]


@pytest.mark.parametrize(
    ("resources", "problem"),
    [
        ([ProtectedResource()], "$.resources[0].path: missing; set path, or identifier for a "),
        ([ProtectedResource(path="x")], "$.resources[0].path: expected a path such as /files, got"),
        ([ProtectedResource(path="/x/")], "$.resources[0].path: expected a path such as /files"),
        ([ProtectedResource(identifier="x")], "$.resources[0].identifier: expected an absolute"),
        ([FILES, FILES], "$.resources: path '/files' is listed more than once"),
        ([ProtectedResource(path="/token")], "$.resources[0].path: /token is the path of an endp"),
    ],
)
def test_a_resource_that_cannot_be_used(resources: Any, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        FakeOAuth(Settings(dialect="mcp", resources=resources))
    assert str(caught.value).startswith(problem)


# The dialect


def test_every_client_of_mcp_needs_a_code_challenge(site: Site) -> None:
    query = {"response_type": "code", "client_id": "web", "redirect_uri": CALLBACK}
    response = site.browser.get("/authorize", query_string=query)
    told = dict(parse_qsl(urlsplit(response.headers["Location"]).query))
    assert (told["error"], told["iss"]) == ("invalid_request", ISSUER)
    assert site.reason == "client web needs a code_challenge"


def test_refresh_tokens_of_public_clients_rotate() -> None:
    site = Site(clients=[Client(client_id="app", redirect_uris=[CALLBACK])])
    first = site.server.issue_tokens().refresh_token

    def refresh(token: str | None) -> TestResponse:
        form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": "app"}
        return site.browser.post("/token", data=form)

    second = refresh(first).get_json()["refresh_token"]
    assert second != first
    assert refresh(first).status_code == 400
    assert refresh(second).status_code == 400, "the replay revoked the family"


def test_a_configured_resource_can_be_set_over_the_control_api() -> None:
    site = Site(resources=[FILES], control=True)
    listed = site.browser.get("/_fake/resources").get_json()["resources"]
    names = [one["identifier"] for one in listed]
    assert names == [MCP, f"{ISSUER}/files"]
    told = site.browser.put("/_fake/resource", json={"identifier": names[1], "scope": "b"})
    assert told.get_json()["scope"] == "b"
    assert site.server.resources[names[1]].scope == "b"
    wrong = site.browser.put("/_fake/resource", json={"identifier": "x"})
    assert wrong.status_code == 400
    assert wrong.get_json()["problems"][0]["path"] == "$.identifier"


def test_the_tokens_of_a_device_are_for_the_resource_that_it_named() -> None:
    site = Site(resources=[FILES])
    asked = {"scope": "a", "resource": f"{ISSUER}/files"}
    code = site.browser.post("/device_authorization", data=asked, auth=("web", "s")).get_json()
    site.server.approve_device(code["user_code"])
    polled = {"grant_type": DEVICE_CODE, "device_code": code["device_code"]}
    refused = site.post(**polled, resource=MCP)
    assert refused.get_json()["error"] == "invalid_target"
    assert site.audience(**polled) == f"{ISSUER}/files"


def test_a_device_cannot_name_an_unknown_resource() -> None:
    site = Site(resources=[FILES])
    asked = {"resource": "https://unknown.example"}
    refused = site.browser.post("/device_authorization", data=asked, auth=("web", "s"))
    assert refused.get_json()["error"] == "invalid_target"


def test_a_challenge_needs_metadata_that_are_served() -> None:
    with pytest.raises(SettingsError, match="resource_metadata: a challenge names the URL"):
        FakeOAuth(Settings(resource_metadata=["challenge"]))


def test_the_pieces_work_in_ciam_too() -> None:
    site = Site(dialect="ciam", indicate_resources=True, resource_metadata=["challenge", "path"])
    site.server.login()
    refused = site.browser.get("/resource").headers["WWW-Authenticate"]
    url = f"{ISSUER}/.well-known/oauth-protected-resource/resource"
    assert f'resource_metadata="{url}"' in refused
    told = site.browser.get(url.removeprefix(ISSUER)).get_json()
    assert told["resource"] == f"{ISSUER}/resource"
    form = {"grant_type": "client_credentials", "client_id": "web", "client_secret": "s"}
    tokens = site.browser.post("/oauth2/token", data=form | {"resource": told["resource"]})
    token = tokens.get_json()["access_token"]
    assert claims(token)["aud"] == told["resource"]
    assert site.call(token, "/resource").status_code == 200
    assert site.server.metadata()["protected_resources"] == [told["resource"]]


def test_ciam_says_nothing_of_what_no_setting_turns_on() -> None:
    site = Site(dialect="ciam")
    assert "protected_resources" not in site.server.metadata()
