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


@pytest.fixture
def web(policy: RefreshPolicy, secret: str | None) -> Iterator[Web]:
    settings = Settings(
        dialect="rfc",
        clients=[Client(client_id="web", client_secret=secret)],
        refresh_policy=policy,
        refresh_token_seconds=7200,
        access_token_seconds=7200,
    )
    with FakeOAuth(settings) as server:
        yield Web(server, secret)


@pytest.mark.parametrize(("policy", "secret"), KINDS + CUSTOM)
def test_the_server_does_at_a_refresh_and_a_replay_what_the_picture_says(
    policy: RefreshPolicy, web: Web
) -> None:
    tokens = web.server.issue_tokens()
    response = web.refresh(tokens.refresh_token).json()
    second, text = response.get("refresh_token"), DRAW["at_refresh"](policy)
    assert ("has r1 again" in text) == (second == tokens.refresh_token)
    assert ("no refresh token" in text) == (second is None)
    assert ("new token, r2" in text) == (second not in (None, tokens.refresh_token))
    names = [event.name for event in DRAW["events"](policy)]
    assert ("Replay" in names) == policy.rotate
    if "Replay in the grace period" in names:
        web.server.clock.advance(policy.grace_seconds - 1)
        again, text = web.refreshed(tokens.refresh_token), DRAW["in_grace"](policy)
        assert ("r2 again" in text) == (again == second)
        web.server.clock.advance(1)
    if "Replay" in names:
        assert web.refresh(tokens.refresh_token).status_code == 400
        text = DRAW["at_replay"](policy)
        headers = {"Authorization": f"Bearer {response['access_token']}"}
        called = httpx.get(web.server.resource_url, headers=headers)
        assert ("with all access tokens" in text) == (called.status_code == 401)
        assert ("revokes the family" in text) == (web.refresh(second).status_code == 400)


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
