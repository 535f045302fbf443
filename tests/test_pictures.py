"""The diagrams of the manual: the script has drawn them, and the server does what they say."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from fake_oauth import ALL_POLICIES, Client, FakeOAuth, RefreshPolicy, Settings

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs/pictures"
DRAW: Mapping[str, Any] = runpy.run_path(str(FOLDER / "draw.py"))
PICTURES: Mapping[str, str] = dict(DRAW["pictures"]())
EXPLAINED = {page.name: page.read_text(encoding="utf-8") for page in ROOT.glob("docs/explained/*")}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_what_the_script_draws(name: str) -> None:
    """To draw them again: `python docs/pictures/draw.py`."""
    assert (FOLDER / name).read_text(encoding="utf-8") == PICTURES[name]


def test_no_picture_is_left_over() -> None:
    assert {path.name for path in FOLDER.glob("*.svg")} == set(PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_has_a_name_and_a_description_and_is_shown_with_a_text(name: str) -> None:
    svg = ElementTree.fromstring(PICTURES[name])  # noqa: S314
    texts = {one.get("id"): one.text for one in svg}
    assert texts["title"]
    assert texts["desc"]
    assert svg.get("aria-labelledby") == "title desc"
    shown = re.findall(rf"!\[([^]]+)\]\(\.\./pictures/{name}\)", "".join(EXPLAINED.values()))
    assert len(shown) == 1


def test_text_that_does_not_fit_is_not_drawn() -> None:
    picture = DRAW["Picture"]("title", "description")
    picture.text(0, 0, "12345", 40)
    with pytest.raises(ValueError, match="'123456' needs 44 of 40"):
        picture.text(0, 0, "123456", 40)


def test_every_policy_has_a_section() -> None:
    headings = re.findall(r"^## (\w+)$", EXPLAINED["policies.md"], re.MULTILINE)
    assert headings == list(ALL_POLICIES)


KINDS = [
    pytest.param(policy.for_client(is_public=secret is None), secret, id=f"{name}-{kind}")
    for name, policy in ALL_POLICIES.items()
    for kind, secret in (("confidential", "s"), ("public", None))
]
CUSTOM = [
    pytest.param(RefreshPolicy(return_unchanged=False), "s", id="not returned"),
    pytest.param(RefreshPolicy(sliding=True), "s", id="sliding"),
    pytest.param(RefreshPolicy(rotate=True, grace_seconds=90), "s", id="sibling"),
    pytest.param(RefreshPolicy(absolute_seconds=7200), "s", id="absolute"),
    pytest.param(
        RefreshPolicy(rotate=True, grace_seconds=90, grace_gives="access_token"),
        "s",
        id="access token alone",
    ),
    pytest.param(
        RefreshPolicy(
            rotate=True, grace_seconds=90, grace_after_use=True, until_successor_used=True
        ),
        "s",
        id="until time and use",
    ),
    pytest.param(
        RefreshPolicy(rotate=True, grace_seconds=90, until_successor_used=True),
        "s",
        id="until use",
    ),
    pytest.param(
        RefreshPolicy(rotate=True, grace_seconds=90, end_old_access_tokens=True),
        "s",
        id="siblings whose access tokens end",
    ),
    pytest.param(
        RefreshPolicy(
            rotate=True,
            keep_old=True,
            end_old_access_tokens=True,
            rotate_after_seconds=90,
            return_unchanged=False,
        ),
        "s",
        id="old tokens whose access tokens end",
    ),
    pytest.param(RefreshPolicy(max_families=2), "s", id="families with access tokens"),
]


class Web:
    """A client of a server with a policy, whose clock is frozen."""

    def __init__(self, server: FakeOAuth, secret: str | None) -> None:
        self.server, self.secret = server, secret
        server.clock.freeze()

    def refresh(self, token: str | None) -> httpx.Response:
        form = {"grant_type": "refresh_token", "client_id": "web", "refresh_token": token or ""}
        if self.secret is not None:
            form["client_secret"] = self.secret
        return httpx.post(self.server.token_url, data=form)

    def refreshed(self, token: str | None) -> str:
        """Return the refresh token to use after a refresh."""
        response = self.refresh(token)
        assert response.status_code == 200
        return str(response.json().get("refresh_token", token))

    def calls(self, access_token: str) -> bool:
        """Return whether a resource accepts an access token."""
        headers = {"Authorization": f"Bearer {access_token}"}
        return httpx.get(self.server.resource_url, headers=headers).status_code == 200


@pytest.fixture
def web(policy: RefreshPolicy, secret: str | None) -> Iterator[Web]:
    settings = Settings(
        dialect="rfc",
        clients=[Client(client_id="web", client_secret=secret)],
        refresh_policy=policy,
        refresh_token_seconds=7200,
        access_token_seconds=10**9,
    )
    with FakeOAuth(settings) as server:
        yield Web(server, secret)


def told(response: httpx.Response, first: str | None, second: str | None = None) -> str:
    """Return what the pictures say of the refresh token in a response."""
    given = response.json().get("refresh_token")
    if given is None:
        return "no refresh token"
    return {first: "r1 again", second: "r2 again"}.get(given, "new token, r")


@pytest.mark.parametrize(("policy", "secret"), KINDS + CUSTOM)
def test_the_server_does_at_a_refresh_and_a_replay_what_the_picture_says(
    policy: RefreshPolicy, web: Web
) -> None:
    replay = DRAW["at_replay"](policy)
    compare(policy, web, uses_second="or after" not in replay and "after r2" in replay)
    if "or after r2 was used" in replay:
        compare(policy, web, uses_second=True)


def compare(policy: RefreshPolicy, web: Web, *, uses_second: bool) -> None:
    """Follow the events of a picture. `uses_second` is whether r2 is used before the replay."""
    names = [event.name for event in DRAW["events"](policy)]
    other, tokens = web.server.issue_tokens(), web.server.issue_tokens()
    first, access_token = tokens.refresh_token, tokens.access_token

    def follow(says: str, second: str | None = None) -> httpx.Response:
        """Refresh with r1, and compare the response with the text of an event."""
        nonlocal access_token
        response, text = web.refresh(first), DRAW[says](policy)
        assert told(response, first, second) in text
        assert ("Earlier access tokens end" in text) == (not web.calls(access_token))
        access_token = response.json()["access_token"]
        return response

    if "Early refresh" in names:
        web.server.clock.advance(policy.rotate_after_seconds - 1)
        follow("at_early_refresh")
        web.server.clock.advance(1)
    second = follow("at_refresh").json().get("refresh_token")
    assert ("Old token again" in names) == policy.keep_old
    assert ("Replay" in names) == (policy.rotate and not policy.keep_old)
    if "Old token again" in names:
        follow("at_old_token")
        web.refreshed(first)
        web.refreshed(second)
    if "Replay in the grace period" in names:
        text = DRAW["in_grace"](policy)
        if "within" in text:
            web.server.clock.advance(policy.grace_seconds - 1)
        if "even if r2 was used" in text:
            response = web.refresh(second).json()
            second, access_token = response["refresh_token"], response["access_token"]
        follow("in_grace", second)
    if "Replay" in names:
        text = DRAW["at_replay"](policy)
        if "later" in text and not ("or after" in text and uses_second):
            web.server.clock.advance(policy.grace_seconds)
        if uses_second:
            response = web.refresh(second).json()
            second, access_token = response["refresh_token"], response["access_token"]
        assert web.refresh(first).status_code == 400
        assert ("with all access tokens" in text) == (not web.calls(access_token))
        assert ("revokes the family" in text) == (web.refresh(second).status_code == 400)
    assert web.calls(other.access_token)


LIMITED = [one for one in KINDS + CUSTOM if getattr(one.values[0], "max_families", None)]


@pytest.mark.parametrize(("policy", "secret"), LIMITED)
def test_a_user_has_as_many_families_as_the_picture_says(policy: RefreshPolicy, web: Web) -> None:
    text, most = DRAW["at_limit"](policy), policy.max_families or 0
    logins = [web.server.issue_tokens() for _ in range(most)]
    assert f"If a user has {most} families" in text
    web.refreshed(logins[0].refresh_token)
    web.server.issue_tokens()
    assert web.refresh(logins[0].refresh_token).status_code == 400
    assert ("with all access tokens" in text) == (not web.calls(logins[0].access_token))
    web.refreshed(logins[1].refresh_token)


@pytest.mark.parametrize(("policy", "secret"), KINDS + CUSTOM)
def test_a_family_lives_as_long_as_the_picture_says(policy: RefreshPolicy, web: Web) -> None:
    text, token = DRAW["at_expiry"](policy), web.server.issue_tokens().refresh_token
    limits = (policy.idle_seconds, policy.absolute_seconds)
    seconds = min([limit for limit in limits if limit is not None], default=7200)
    shown = DRAW["span"](seconds) if policy.has_lifetimes else "refresh_token_seconds"
    assert shown in text
    web.server.clock.advance(seconds - 1)
    token = web.refreshed(token)
    web.server.clock.advance(seconds // 2)
    is_extended = "after its last refresh" in text or "after it was issued" in text
    assert (web.refresh(token).status_code == 200) == is_extended
    web.server.clock.advance(seconds)
    assert web.refresh(token).status_code == 400
