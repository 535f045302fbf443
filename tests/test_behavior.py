"""Violations are found, correct clients are not blamed, and an empty journal proves nothing.

The checks are tested on exchanges that are written down here. Then they judge real clients of a
fake.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import Client as WSGIClient
from werkzeug.test import TestResponse

from fake_oauth import (
    ALL_POLICIES,
    BehaviorError,
    Client,
    FakeOAuth,
    RefreshPolicy,
    Settings,
    TokenSet,
    User,
    faults,
)
from fake_oauth.behavior.assertions import ClientAssertions
from fake_oauth.behavior.checks import CHECKS, Violation, judge, violations
from fake_oauth.behavior.history import History
from fake_oauth.dialects import CIAM
from fake_oauth.journal import Exchange, Journal
from fake_oauth.parameters import SECRET_IN_URL
from fake_oauth.provider.errors import Cause
from fake_oauth.provider.request import Parameters
from tests.support.client import DOCUMENTED, FORM, ask

TOKENS = {"access_token": "…", "token_type": "Bearer", "expires_in": 299, "refresh_token": "…"}
FIRST, ACCESS = "r1", "a1"
JSON = {"Content-Type": "application/json;charset=UTF-8"}


def exchange(number: int, *, overlaps: int | None = 0, **fields: Any) -> Exchange:
    """Return an exchange with the token endpoint.

    `overlaps` is how many requests arrive before its response; None is no response yet.
    """
    known: dict[str, Any] = {
        "at": float(number),
        "method": "POST",
        "path": "/token",
        "endpoint": "token",
        "query": Parameters(),
        "form": Parameters(),
        "client_id": "web",
        "content_type": FORM,
        "status": 200,
    }
    made = Exchange(number=number, **{**known, **fields})
    made.answered_before = None if overlaps is None else number + 1 + overlaps
    return made


def refresh(
    number: int,
    token: str | None = FIRST,
    gets: str = "",
    *,
    grant: str = "alice/1",
    error: str | None = None,
    sends: dict[str, str] | None = None,
    **fields: Any,
) -> Exchange:
    """Return a refresh that presents a token and gets others: `refresh(2, "r1", "r2 a2")`."""
    form = {"grant_type": "refresh_token", "refresh_token": str(token), **(sends or {})}
    if error is not None:
        fields = {"status": 400, "body": json.dumps({"error": error}).encode(), **fields}
    return exchange(
        number,
        form=Parameters(form.items()),
        tokens={} if token is None else {"refresh_token": f"{grant} {token}"},
        issued=tuple(f"{grant} {name}" for name in gets.split()),
        **fields,
    )


def call(
    number: int, status: int = 200, token: str = ACCESS, path: str = "/resource", **fields: Any
) -> Exchange:
    """Return a request to a protected resource."""
    return exchange(
        number,
        method="GET",
        path=path,
        endpoint="resource",
        client_id=None,
        content_type=None,
        tokens={"bearer": f"alice/1 {token}"},
        status=status,
        **fields,
    )


def lost(number: int, token: str = FIRST, **fields: Any) -> Exchange:
    """Return a refresh whose response was lost."""
    return refresh(number, token, status=None, **fields)


def judged(check: str, *exchanges: Exchange, **options: float) -> list[str | None]:
    """Return the judgments of a check: a violation as text, or None."""
    found = judge(check, History(exchanges), **options)
    return [None if violation is None else str(violation) for violation in found]


# A refresh token that was replaced


def test_a_token_presented_after_its_replacement_arrived() -> None:
    assert judged("never_presented_a_spent_token", refresh(1, "r1", "r2 a2"), refresh(2, "r1")) == [
        None,
        "request 2 presented alice/1 r1, which request 1 had already replaced with alice/1 r2",
    ]


@pytest.mark.parametrize("loser", [1, 2])
def test_the_loser_of_a_race_presented_a_spent_token(loser: int) -> None:
    race = [
        refresh(number, error="invalid_grant", overlaps=2 - number)
        if number == loser
        else refresh(number, gets="r2 a2", overlaps=2 - number)
        for number in (1, 2)
    ]
    text = (
        f"request {loser} presented alice/1 r1, which request {3 - loser} replaced at the same time"
    )
    assert set(judged("never_presented_a_spent_token", *race)) == {None, text}


@pytest.mark.parametrize(
    "requests",
    [
        pytest.param([refresh(1, gets="r1 a2"), refresh(2, gets="r1 a3")], id="no rotation"),
        pytest.param([refresh(1, gets="a2"), refresh(2)], id="no refresh token in the response"),
        pytest.param([lost(1), refresh(2, error="invalid_grant")], id="lost response"),
        pytest.param([refresh(1, error="server_error"), refresh(2, gets="r2 a2")], id="error"),
        pytest.param(
            [refresh(1, gets="r2 a2", overlaps=1), refresh(2, gets="r3 a3")], id="grace period"
        ),
        pytest.param([refresh(1, error="invalid_grant"), refresh(2, gets="r2 a2")], id="refused"),
        pytest.param(
            [refresh(1, gets="r2 a2", overlaps=None), refresh(2, "r3", error="invalid_grant")],
            id="another token",
        ),
        pytest.param(
            [refresh(1, gets="r2 a2"), refresh(2, client_id="other", error="invalid_grant")],
            id="another client",
        ),
        pytest.param([refresh(1, gets="r2 a2"), refresh(2, grant="bob/1")], id="another login"),
    ],
)
def test_no_token_was_spent(requests: list[Exchange]) -> None:
    assert not any(judged("never_presented_a_spent_token", *requests))


def test_of_many_responses_the_first_one_counts() -> None:
    requests = [refresh(1, gets="r2 a2", overlaps=2), refresh(2, gets="r3 a3"), refresh(3)]
    assert judged("never_presented_a_spent_token", *requests)[2] == (
        "request 3 presented alice/1 r1, which request 2 had already replaced with alice/1 r3"
    )
    # Both may be open when the loser arrives, and the one that is open longer is named.
    requests = [
        refresh(1, gets="r2 a2", overlaps=3),
        refresh(2, gets="r3 a3", overlaps=1),
        refresh(3, error="invalid_grant"),
    ]
    assert judged("never_presented_a_spent_token", *requests)[2] == (
        "request 3 presented alice/1 r1, which request 1 replaced at the same time"
    )


# The refresh token that was received last


def test_an_older_token_than_the_latest() -> None:
    requests = [refresh(1, "r1", "r2 a2"), refresh(2, "r2", "r3 a3"), refresh(3, "r2")]
    assert judged("used_the_latest_refresh_token", *requests) == [
        None,
        "request 3 presented alice/1 r2, although request 2 had received alice/1 r3",
    ]


@pytest.mark.parametrize(
    "requests",
    [
        pytest.param([refresh(1, gets="r2 a2", overlaps=1), refresh(2)], id="no response yet"),
        pytest.param([lost(1), refresh(2)], id="lost response"),
        pytest.param([refresh(1, gets="a2"), refresh(2)], id="no refresh token"),
        pytest.param([refresh(1, gets="r2 a2"), refresh(2, client_id="other")], id="other client"),
    ],
)
def test_no_token_was_received_before(requests: list[Exchange]) -> None:
    assert judged("used_the_latest_refresh_token", *requests) == []


@pytest.mark.parametrize("stored", ["r2", "r3"])
def test_of_responses_at_the_same_time_either_can_be_the_latest(stored: str) -> None:
    race = [refresh(1, gets="r2 a2", overlaps=1), refresh(2, gets="r3 a3")]
    assert judged("used_the_latest_refresh_token", *race, refresh(3, stored)) == [None]
    later = [refresh(3, stored, "r4 a4"), refresh(4, "r4", "r5 a5"), refresh(5, stored)]
    assert judged("used_the_latest_refresh_token", *race, *later)[2] == (
        f"request 5 presented alice/1 {stored}, although request 4 had received alice/1 r5"
    )


def test_a_response_that_overtakes_another_does_not_replace_its_token() -> None:
    race = [refresh(1, gets="r2 a2", overlaps=2), refresh(2, gets="r3 a3"), refresh(3, "r3")]
    assert judged("used_the_latest_refresh_token", *race, refresh(4, "r2")) == [None, None]


# A response without a refresh token


@pytest.mark.parametrize("token", ["", "None", "null", "undefined"])
def test_a_token_that_was_lost_with_a_response_that_had_none(token: str) -> None:
    requests = [
        refresh(1, gets="a2"),
        refresh(2, None, sends={"refresh_token": token}, error="invalid_grant"),
    ]
    assert judged("kept_its_refresh_token", *requests) == [
        "request 2 did not present alice/1 r1, which stayed valid because the response to request "
        "1 had no refresh token"
    ]


def test_an_older_token_instead_of_the_one_to_keep() -> None:
    requests = [refresh(1, "r1", "r2 a2"), refresh(2, "r2", "a3"), refresh(3, "r1")]
    assert judged("kept_its_refresh_token", *requests) == [
        "request 3 did not present alice/1 r2, which stayed valid because the response to request "
        "2 had no refresh token"
    ]


def test_a_token_that_was_kept() -> None:
    requests = [refresh(1, gets="a2"), refresh(2, error="server_error"), refresh(3)]
    assert judged("kept_its_refresh_token", *requests) == [None, None]


def test_a_token_that_was_received_in_the_grace_period_of_the_one_to_keep() -> None:
    requests = [refresh(1, gets="r2 a2", overlaps=1), refresh(2, gets="a3"), refresh(3, "r2")]
    assert judged("kept_its_refresh_token", *requests) == [None]


@pytest.mark.parametrize(
    "requests",
    [
        pytest.param([refresh(1, gets="a2", overlaps=1), refresh(2, "r0")], id="no response yet"),
        pytest.param([refresh(1, gets="r2 a2"), refresh(2, None)], id="a token in the response"),
        pytest.param([lost(1), refresh(2, None)], id="lost response"),
        pytest.param([refresh(1, gets="a2"), refresh(2, grant="bob/1")], id="another login"),
        pytest.param(
            [refresh(1, gets="a2"), refresh(2, None, client_id="other")], id="another client"
        ),
        pytest.param(
            [refresh(1, gets="a2"), refresh(2, None, sends={"refresh_token": "made up"})],
            id="a token of another server",
        ),
        pytest.param(
            [
                refresh(1, gets="a2", overlaps=1),
                refresh(2, gets="r2 a3"),
                refresh(3, None),
            ],
            id="a later token",
        ),
    ],
)
def test_no_token_was_to_be_kept(requests: list[Exchange]) -> None:
    assert judged("kept_its_refresh_token", *requests) == []


# One refresh per expiry


def test_a_refresh_right_after_another_one() -> None:
    requests = [
        refresh(1, gets="a2"),
        refresh(2, gets="a3", fresh_until=300),
        refresh(3, error="server_error", fresh_until=301),
    ]
    assert judged("refreshed_once_per_expiry", *requests) == [
        None,
        "request 2 refreshed alice/1, which request 1 had just refreshed",
        "request 3 tried to refresh alice/1, which request 2 had just refreshed",
    ]


def test_a_refresh_right_after_the_login() -> None:
    login = exchange(
        1,
        form=Parameters([("grant_type", "authorization_code")]),
        tokens={"code": "alice/1 c1"},
        issued=("alice/1 r1", "alice/1 a1"),
    )
    assert judged("refreshed_once_per_expiry", login, refresh(2, fresh_until=300)) == [
        "request 2 tried to refresh alice/1, which request 1 had just refreshed"
    ]


@pytest.mark.parametrize(
    "requests",
    [
        pytest.param([lost(1), refresh(2, gets="a2", fresh_until=300)], id="lost response"),
        pytest.param(
            [refresh(1, error="server_error"), refresh(2, gets="a2", fresh_until=300)], id="error"
        ),
        pytest.param([refresh(1, gets="a2"), refresh(2)], id="unknown expiry"),
        pytest.param(
            [refresh(1, gets="a2"), refresh(2, at=242.0, fresh_until=302)], id="within a minute"
        ),
        pytest.param(
            [refresh(1, gets="a2"), refresh(2, at=21.0, fresh_until=41)], id="half of 40 s"
        ),
        pytest.param(
            [
                refresh(1, gets="a2", sends={"scope": "mail openid"}),
                refresh(2, gets="a3", sends={"scope": "files"}, fresh_until=300),
            ],
            id="another scope",
        ),
        pytest.param(
            [refresh(1, gets="a2"), refresh(2, grant="bob/1", fresh_until=300)], id="another login"
        ),
    ],
)
def test_a_refresh_that_repeats_none(requests: list[Exchange]) -> None:
    assert not any(judged("refreshed_once_per_expiry", *requests))


def test_the_order_of_scopes_does_not_matter() -> None:
    requests = [
        refresh(1, gets="a2", sends={"scope": "mail openid"}),
        refresh(2, gets="a3", sends={"scope": "openid mail"}, fresh_until=300),
    ]
    assert judged("refreshed_once_per_expiry", *requests)[1] is not None


@pytest.mark.parametrize(
    ("left", "is_early"), [(60, False), (61, True)], ids=["within a minute", "before"]
)
def test_how_early_a_refresh_can_be(left: int, *, is_early: bool) -> None:
    requests = [refresh(1, gets="a2"), refresh(2, at=100.0, fresh_until=100 + left)]
    assert (judged("refreshed_once_per_expiry", *requests)[1] is not None) == is_early


def test_refreshes_at_the_same_time() -> None:
    requests = [
        refresh(1, gets="a2", overlaps=2),
        refresh(2, gets="a3", overlaps=1),
        refresh(3, error="server_error", overlaps=1),
        refresh(4, gets="a4"),
    ]
    assert judged("refreshed_once_per_expiry", *requests) == [
        None,
        "request 2 refreshed alice/1 at the same time as request 1",
        "request 3 tried to refresh alice/1 at the same time as request 1",
        "request 4 refreshed alice/1 at the same time as request 3",
    ]


@pytest.mark.parametrize(
    "requests",
    [
        pytest.param([lost(1, overlaps=1), refresh(2, gets="a2")], id="the first one was lost"),
        pytest.param(
            [refresh(1, error="server_error", overlaps=1), refresh(2, error="server_error")],
            id="both failed",
        ),
        pytest.param(
            [refresh(1, gets="a2", overlaps=1), refresh(2, grant="bob/1", gets="a2")],
            id="another login",
        ),
        pytest.param(
            [refresh(1, gets="a2", overlaps=1), refresh(2, gets="a3", sends={"scope": "mail"})],
            id="another scope",
        ),
        pytest.param(
            [refresh(1, gets="a2", overlaps=1), refresh(2, client_id="other")], id="another client"
        ),
        pytest.param(
            [refresh(1, status=None, overlaps=None), refresh(2, gets="a2")], id="no response yet"
        ),
    ],
)
def test_refreshes_at_the_same_time_that_repeat_nothing(requests: list[Exchange]) -> None:
    assert not any(judged("refreshed_once_per_expiry", *requests))


# After a 401


def test_a_refresh_after_a_401() -> None:
    requests = [refresh(1, gets="a2"), call(2, 401, "a2"), refresh(3, gets="a3", fresh_until=300)]
    assert judged("refreshed_once_per_expiry", *requests) == [None, None]
    assert judged("refreshed_only_when_needed", *requests) == [None, None]


def test_a_failed_refresh_does_not_use_up_the_401() -> None:
    requests = [
        refresh(1, gets="a2"),
        call(2, 401, "a2"),
        refresh(3, error="server_error", fresh_until=300),
        lost(4, fresh_until=300),
        refresh(5, gets="a3", fresh_until=300),
        refresh(6, gets="a4", fresh_until=300),
    ]
    assert judged("refreshed_once_per_expiry", *requests) == [
        *[None] * 4,
        "request 6 refreshed alice/1, which request 5 had just refreshed",
    ]
    assert judged("refreshed_only_when_needed", *requests) == [
        *[None] * 4,
        "request 6 refreshed alice/1, whose access token was valid for another 294 s",
    ]


def test_a_401_for_the_token_before_is_no_reason_to_refresh_again() -> None:
    """Two calls are refused, and the client refreshes for each of them."""
    requests = [
        refresh(1, gets="a2"),
        call(2, 401, "a2", overlaps=2),
        call(3, 401, "a2", overlaps=0),
        refresh(4, gets="a3", fresh_until=300),
        call(5, 401, "a2"),
        refresh(6, gets="a4", fresh_until=300),
    ]
    assert judged("refreshed_once_per_expiry", *requests) == [
        None,
        None,
        "request 6 refreshed alice/1, which request 4 had just refreshed",
    ]


def test_a_401_for_the_token_before_the_last_refresh() -> None:
    requests = [
        refresh(1, gets="a2"),
        refresh(2, gets="a3"),
        call(3, 401, "a2"),
        refresh(4, gets="a4", fresh_until=300),
    ]
    assert judged("refreshed_once_per_expiry", *requests)[2] == (
        "request 4 refreshed alice/1, which request 2 had just refreshed"
    )


def test_a_401_for_a_token_that_the_test_issued() -> None:
    requests = [call(1, 401), refresh(2, gets="a2"), call(3, 401), refresh(4, fresh_until=300)]
    assert judged("refreshed_once_per_expiry", *requests) == [
        None,
        "request 4 tried to refresh alice/1, which request 2 had just refreshed",
    ]


@pytest.mark.parametrize("status", [403, 500, None])
def test_another_response_is_no_reason_to_refresh(status: Any) -> None:
    requests = [refresh(1, gets="a2"), call(2, status, "a2"), refresh(3, fresh_until=300)]
    assert judged("refreshed_once_per_expiry", *requests)[1] is not None
    assert judged("refreshed_only_when_needed", *requests)[1] is not None


def test_a_loop_of_401_and_refresh() -> None:
    requests = [
        call(1, 401),
        refresh(2, gets="a2"),
        call(3, 401, "a2"),
        refresh(4, gets="a3", fresh_until=300),
        call(5, 401, "a3"),
        refresh(6, error="server_error", fresh_until=300),
    ]
    assert judged("refreshed_once_per_expiry", *requests) == [
        None,
        "request 4 refreshed alice/1, although /resource had refused the new token of request 2 "
        "too",
        "request 6 tried to refresh alice/1, although /resource had refused the new token of "
        "request 4 too",
    ]


def test_a_loop_with_two_resources() -> None:
    paths = ("/resource", "/userinfo")
    requests = [
        *(call(number, 401, path=path) for number, path in enumerate(paths, 1)),
        refresh(3, gets="a2"),
        *(call(number, 401, "a2", path=path) for number, path in enumerate(paths, 4)),
        refresh(6, gets="a3", fresh_until=300),
    ]
    assert judged("refreshed_once_per_expiry", *requests)[1] == (
        "request 6 refreshed alice/1, although /resource and /userinfo had refused the new token "
        "of request 3 too"
    )


@pytest.mark.parametrize(
    "between",
    [
        pytest.param([call(3, 200, "a2"), call(4, 401, "a2")], id="accepted in between"),
        pytest.param([call(3, 401, "a2", path="/userinfo"), call(4)], id="another resource"),
        pytest.param([call(3, 401, "a1"), call(4, 401, "a1")], id="the token before"),
    ],
)
def test_a_401_that_makes_no_loop(between: list[Exchange]) -> None:
    requests = [call(1, 401), refresh(2, gets="a2"), *between, refresh(5, fresh_until=300)]
    assert "refused the new token" not in str(judged("refreshed_once_per_expiry", *requests))


# Only when needed


def test_a_refresh_that_is_not_needed() -> None:
    requests = [refresh(1, gets="a2"), refresh(2, gets="a3", at=240.0, fresh_until=301)]
    assert judged("refreshed_only_when_needed", *requests) == [
        None,
        "request 2 refreshed alice/1, whose access token was valid for another 61 s",
    ]
    assert judged("refreshed_only_when_needed", *requests, leeway_seconds=61) == [None, None]


@pytest.mark.parametrize(
    "requests",
    [
        pytest.param([refresh(1)], id="no access token received"),
        pytest.param([refresh(1, gets="a2"), refresh(2, fresh_until=62)], id="about to expire"),
        pytest.param([refresh(1, gets="a2"), refresh(2, fresh_until=1)], id="expired"),
        pytest.param([refresh(90, fresh_until=300)], id="the journal has forgotten the reason"),
        pytest.param(
            [refresh(1, gets="a2"), refresh(2, sends={"scope": "mail"}, fresh_until=300)],
            id="another scope",
        ),
    ],
)
def test_a_refresh_that_is_needed(requests: list[Exchange]) -> None:
    assert not any(judged("refreshed_only_when_needed", *requests))


# Malformed successes


def damaged(members: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the fields of an exchange with a scripted response."""
    return {
        "fault": "step 1 Field(…)",
        "body": json.dumps(members).encode(),
        "response_headers": JSON,
        **fields,
    }


UNCLEAR = {
    "another content type": damaged(TOKENS, response_headers={"Content-Type": "text/html"}),
    "another charset": damaged(
        TOKENS, response_headers={"Content-Type": "application/json;charset=UTF-16"}
    ),
    "a content coding": damaged(TOKENS, response_headers={**JSON, "Content-Encoding": "gzip"}),
    "no access token": damaged({**TOKENS, "access_token": None}),
    "no refresh token": damaged({**TOKENS, "refresh_token": ""}),
    "no token type": damaged({**TOKENS, "token_type": None}),
    "a lifetime in words": damaged({**TOKENS, "expires_in": "299"}),
    "a negative lifetime": damaged({**TOKENS, "expires_in": -1}),
    "a huge lifetime": damaged({**TOKENS, "expires_in": 10**18}),
    "an error": damaged({**TOKENS, "error": "server_error"}),
    "a terminal error": damaged({**TOKENS, "error": "invalid_grant"}),
    "an array": damaged(TOKENS, body=b"[]"),
    "no JSON": damaged(TOKENS, body=b"{"),
    "another encoding": damaged(TOKENS, body=json.dumps(TOKENS).encode("utf-16")),
    "deep JSON": damaged(TOKENS, body=b"[" * 100_000),
    "a repeated member": damaged(
        TOKENS, body=b'{"a":1,' + json.dumps({**TOKENS, "a": 2}).encode()[1:]
    ),
}


@pytest.mark.parametrize("kept", ["r1", "r2"])
@pytest.mark.parametrize("response", UNCLEAR.values(), ids=UNCLEAR)
def test_a_malformed_success_can_be_used_or_ignored(response: dict[str, Any], kept: str) -> None:
    requests = [refresh(1, "r1", "r2 a2", **response), refresh(2, kept, "r3 a3", fresh_until=300)]
    assert violations(requests) == []
    assert judged("used_the_latest_refresh_token", *requests) == []
    assert judged("stopped_after_a_terminal_error", *requests) == []


@pytest.mark.parametrize(
    "members", [TOKENS, {**TOKENS, "expires_in": 0}, {**TOKENS, "expires_in": 10**9}]
)
def test_a_response_that_a_fault_left_alone_is_clear(members: dict[str, Any]) -> None:
    requests = [refresh(1, "r1", "r2 a2", **damaged(members)), refresh(2, "r1", fresh_until=300)]
    assert {violation.check for violation in violations(requests)} == {
        "never_presented_a_spent_token",
        "used_the_latest_refresh_token",
        "refreshed_once_per_expiry",
        "refreshed_only_when_needed",
    }


def test_a_client_that_ignored_a_later_response_has_the_token_before() -> None:
    unclear = damaged({**TOKENS, "token_type": None})
    requests = [refresh(1, "r1", "r2 a2"), refresh(2, "r2", "r3 a3", **unclear)]
    for kept in ("r2", "r3"):
        assert judged("used_the_latest_refresh_token", *requests, refresh(3, kept)) == [None, None]
    assert judged("used_the_latest_refresh_token", *requests, refresh(3, "r1"))[1] is not None


# Terminal errors


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_client", "unauthorized_client"])
@pytest.mark.parametrize("status", [400, 401, 200])
def test_a_retry_after_a_terminal_error(error: str, status: int) -> None:
    requests = [refresh(number, error=error, status=status) for number in (1, 2, 3)]
    assert judged("stopped_after_a_terminal_error", *requests) == [
        None,
        f"request 2 presented alice/1 r1 again, after request 1 got {error}",
        f"request 3 presented alice/1 r1 again, after request 2 got {error}",
    ]


def test_a_retry_of_a_token_that_the_server_never_issued() -> None:
    requests = [refresh(number, None, error="invalid_grant") for number in (1, 2)]
    assert judged("stopped_after_a_terminal_error", *requests)[1] == (
        "request 2 presented a refresh token again, after request 1 got invalid_grant"
    )


@pytest.mark.parametrize(
    "requests",
    [
        pytest.param(
            [refresh(1, error="invalid_grant", overlaps=1), refresh(2, error="invalid_grant")],
            id="at the same time",
        ),
        pytest.param([refresh(1, error="invalid_grant"), refresh(2, "r2")], id="another token"),
        pytest.param(
            [refresh(1, error="invalid_grant"), refresh(2, client_id="other")], id="another client"
        ),
        pytest.param(
            [refresh(1, error="invalid_client", digest="a"), refresh(2, digest="b")],
            id="other credentials",
        ),
    ],
)
def test_no_retry_after_a_terminal_error(requests: list[Exchange]) -> None:
    found = judged("stopped_after_a_terminal_error", *requests)
    assert found
    assert not any(found)


def test_an_error_that_not_every_client_can_read_is_not_terminal() -> None:
    headers = {"Content-Type": "text/html"}
    first = refresh(1, error="invalid_grant", fault="step 1 …", response_headers=headers)
    assert judged("stopped_after_a_terminal_error", first, refresh(2)) == []


@pytest.mark.parametrize("fields", [{"endpoint": "revoke"}, {"sends": {"grant_type": "password"}}])
def test_a_token_in_another_request_is_not_a_refresh(fields: dict[str, Any]) -> None:
    requests = [refresh(1, gets="r2 a2"), refresh(2, error="invalid_grant", **fields)]
    assert judged("never_presented_a_spent_token", *requests) == [None]
    assert judged("stopped_after_a_terminal_error", *requests) == []


@pytest.mark.parametrize("error", ["server_error", "slow_down", "invalid_request", None])
def test_another_error_is_not_terminal(error: str | None) -> None:
    requests = [refresh(number, error=error) for number in (1, 2)]
    assert judged("stopped_after_a_terminal_error", *requests) == []


def test_a_success_ends_the_terminal_error() -> None:
    requests = [refresh(1, error="invalid_grant"), refresh(2, gets="a2"), refresh(3)]
    assert [bool(text) for text in judged("stopped_after_a_terminal_error", *requests)] == [
        False,
        True,
    ]


# Retries

WAIT_10: dict[str, Any] = {"status": 429, "response_headers": {"Retry-After": "10"}}


def test_requests_before_retry_after() -> None:
    requests = [refresh(1, **WAIT_10), refresh(2, status=503), refresh(3), refresh(4)]
    assert judged("honored_retry_after", *requests) == [
        None,
        "request 2 was sent 9 s before the Retry-After of request 1",
        "request 3 was sent 8 s before the Retry-After of request 1",
    ]


def test_a_refusal_does_not_end_the_wait() -> None:
    requests = [refresh(1, **WAIT_10), refresh(2, error="invalid_grant"), refresh(3)]
    assert judged("honored_retry_after", *requests)[2] is not None


def test_a_request_at_retry_after() -> None:
    requests = [refresh(1, **WAIT_10), refresh(2, at=11.0, **WAIT_10), refresh(3, at=21.0)]
    assert judged("honored_retry_after", *requests) == [None, None, None]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(refresh(2, grant="bob/1"), id="another login"),
        pytest.param(refresh(2, client_id="other"), id="another client"),
        pytest.param(call(2), id="another endpoint"),
        pytest.param(refresh(2, at=1.0), id="at the same time"),
    ],
)
def test_a_request_that_retry_after_is_not_for(other: Exchange) -> None:
    first = refresh(1, **WAIT_10, overlaps=1 if other.at == 1.0 else 0)
    assert judged("honored_retry_after", first, other) == [None]


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("Thu, 01 Jan 1970 00:00:11 GMT", "9"),
        ("Thu, 01 Jan 1970 00:00:11 -0000", "9"),
        ("Thu, 01 Jan 1970 02:00:11 +0200", "9"),
        ("9" * 400, "inf"),
    ],
)
def test_how_retry_after_is_written(value: str, wait: str) -> None:
    first = refresh(1, status=300, response_headers={"retry-after": value})
    assert judged("honored_retry_after", first, refresh(2))[1] == (
        f"request 2 was sent {wait} s before the Retry-After of request 1"
    )


@pytest.mark.parametrize("value", ["soon", "", "-1", "²"])
def test_a_retry_after_that_says_nothing(value: str) -> None:
    first = refresh(1, status=503, response_headers={"Retry-After": value})
    assert judged("honored_retry_after", first, refresh(2)) == []


def test_retry_after_of_a_success_says_nothing() -> None:
    assert judged("honored_retry_after", refresh(1, **{**WAIT_10, "status": 200})) == []


def test_an_error_that_the_browser_takes_to_the_client_is_judged_by_no_check() -> None:
    sent: Any = {"browser_error": "invalid_grant", "tokens": {"refresh_token": FIRST}}
    error = exchange(1, endpoint="authorize", status=302, **sent)
    assert error.error == "invalid_grant"
    (request,) = History([error]).requests
    assert (request.error, request.is_terminal) == (None, False)


def anonymous(number: int, **fields: Any) -> Exchange:
    return exchange(number, client_id=None, method="GET", endpoint="jwks", path="/jwks", **fields)


def test_requests_that_name_no_client_are_those_of_the_only_one() -> None:
    requests = [anonymous(1, **WAIT_10), anonymous(2), refresh(3)]
    assert judged("honored_retry_after", *requests)[1] is not None
    assert judged("honored_retry_after", *requests, refresh(4, client_id="other")) == []


def test_requests_for_different_users() -> None:
    def login(number: int, username: str, **fields: Any) -> Exchange:
        form = {"grant_type": "password", "username": username}
        return exchange(number, form=Parameters(form.items()), **fields)

    requests = [login(1, "alice", **WAIT_10), login(2, "bob"), login(3, "alice")]
    assert judged("honored_retry_after", *requests) == [
        None,
        "request 3 was sent 8 s before the Retry-After of request 1",
    ]


@pytest.mark.parametrize(
    "failure",
    [
        lost(1),
        refresh(1, status=429),
        refresh(1, status=500),
        refresh(1, error="server_error", status=200),
        refresh(1, error="temporarily_unavailable"),
    ],
)
def test_a_request_right_after_a_failure(failure: Exchange) -> None:
    requests = [failure, refresh(2, at=1.5), refresh(3, at=1.5)]
    assert judged("backed_off", *requests) == [
        "request 2 was sent 0.5 s after request 1 had failed"
    ]
    assert judged("backed_off", *requests, at_least_seconds=0.5) == [None]
    assert violations(requests) == [], "an immediate retry is sound"


@pytest.mark.parametrize("status", [200, 400, 401])
def test_a_request_after_none_that_failed(status: int) -> None:
    assert judged("backed_off", refresh(1, status=status), refresh(2)) == []


# What is sent where


@pytest.mark.parametrize("name", SECRET_IN_URL)
def test_a_secret_in_a_url(name: str) -> None:
    query = Parameters([("state", "x"), (name, "y")])
    assert judged("sent_no_secret_in_a_url", exchange(1, query=query), exchange(2)) == [
        f"request 1 sent {name} in the URL",
        None,
    ]


def test_all_secrets_in_a_url_are_named() -> None:
    query = Parameters([("refresh_token", "x"), ("client_secret", "y")])
    assert judged("sent_no_secret_in_a_url", exchange(1, query=query)) == [
        "request 1 sent client_secret and refresh_token in the URL"
    ]


def test_an_empty_parameter_is_no_secret() -> None:
    query = Parameters([("password", "")])
    assert judged("sent_no_secret_in_a_url", exchange(1, query=query)) == [None]


@pytest.mark.parametrize("endpoint", ["token", "revoke"])
def test_a_body_that_cannot_be_read(endpoint: str) -> None:
    requests = [
        exchange(1, endpoint=endpoint, content_type=None),
        exchange(2, endpoint=endpoint, content_type="text/plain"),
        exchange(3, endpoint=endpoint, form=Parameters([("a", "b")])),
        exchange(4, endpoint=endpoint, method="GET"),
        exchange(5, endpoint="resource", content_type=None),
    ]
    assert judged("sent_readable_bodies", *requests) == [
        "request 1 sent no Content-Type",
        "request 2 sent no readable parameters, as text/plain",
        None,
    ]


def test_a_wider_scope() -> None:
    requests = [
        refresh(1, error="invalid_scope", sends={"scope": "admin"}),
        refresh(2, sends={"scope": "openid"}),
        refresh(3, error="invalid_scope", sends={"scope": "openid"}, fault="step 1 Refuse(…)"),
        refresh(4, error="invalid_scope"),
    ]
    assert judged("requested_no_wider_scope", *requests) == [
        "request 1 requested scope 'admin', which was not granted",
        None,
    ]


def test_a_code_verifier_for_two_codes() -> None:
    def redeem(number: int, **fields: str) -> Exchange:
        client_id = fields.pop("client_id", "web")
        return exchange(number, form=Parameters(fields.items()), client_id=client_id)

    requests = [
        redeem(1, code="one", code_verifier="v"),
        redeem(2, code="one", code_verifier="v"),
        redeem(3, code="two", code_verifier="v"),
        redeem(4, code="two", code_verifier="v", client_id="other"),
        redeem(5, code_verifier="v"),
        redeem(6, code="three"),
    ]
    assert judged("used_each_code_verifier_once", *requests) == [
        None,
        None,
        "request 3 used the code_verifier of request 1 for another code",
        None,
    ]


@pytest.mark.parametrize(
    ("endpoint", "tokens", "text"),
    [
        ("token", {"refresh_token": "r1"}, None),
        ("token", {"code": "c1"}, None),
        ("resource", {"bearer": "a1"}, None),
        ("userinfo", {"access_token": "a1"}, None),
        ("revoke", {"token": "r1"}, None),
        ("introspect", {"token": "a1"}, None),
        (
            "token",
            {"refresh_token": "a1"},
            "alice/1 a1 as refresh_token, which must be a refresh token",
        ),
        ("token", {"code": "r1"}, "alice/1 r1 as code, which must be a code"),
        ("resource", {"bearer": "r1"}, "alice/1 r1 as bearer, which must be an access token"),
        (
            "userinfo",
            {"access_token": "r1"},
            "alice/1 r1 as access_token, which must be an access token",
        ),
        ("revoke", {"refresh_token": "r1"}, "alice/1 r1 to the revoke endpoint"),
        ("revoke", {"code": "c1"}, "alice/1 c1 to the revoke endpoint"),
        (None, {"bearer": "a1"}, "alice/1 a1 to /token, which is not an endpoint"),
        (
            "revoke",
            {"code": "c1", "refresh_token": "r1"},
            "alice/1 c1 to the revoke endpoint and sent alice/1 r1 to the revoke endpoint",
        ),
    ],
)
def test_where_a_token_belongs(
    endpoint: str | None, tokens: dict[str, str], text: str | None
) -> None:
    named = {parameter: f"alice/1 {name}" for parameter, name in tokens.items()}
    assert judged(
        "sent_each_token_where_it_belongs",
        exchange(1, endpoint=endpoint, tokens=named),
        exchange(2),
    ) == [text and f"request 1 sent {text}"]


# The table


def test_every_check_is_an_assertion_of_the_same_name() -> None:
    assertions = [name for name in vars(ClientAssertions) if not name.startswith("_")]
    assert assertions == [*CHECKS, "behaved"]
    assert [check.find.__name__ for check in CHECKS.values()] == list(CHECKS)


def test_the_page_has_the_sentence_of_every_check() -> None:
    page = (Path(__file__).parents[1] / "docs/reference/behavior.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)\(.*\)` \| (.+) \|$", page, re.MULTILINE)
    assert rows[: len(CHECKS)] == [(name, check.sentence) for name, check in CHECKS.items()]


def test_the_message_on_the_page_is_real() -> None:
    page = (Path(__file__).parents[1] / "docs/reference/behavior.md").read_text(encoding="utf-8")
    fake = FakeOAuth()
    token = fake.issue_tokens().refresh_token
    for _ in range(2):
        ask(fake, {**DOCUMENTED, "refresh_token": token})
    with pytest.raises(BehaviorError) as caught:
        fake.assert_client.refreshed_once_per_expiry()
    message = str(caught.value).partition("\n#1")[0]
    shown = page.replace("\nE       ", "\n")
    assert f"```text\n{message}\n```" in shown


def test_only_the_pauses_between_retries_do_not_count_by_default() -> None:
    assert [name for name, check in CHECKS.items() if not check.counts_by_default] == ["backed_off"]


def test_violations_are_in_the_order_of_requests_and_name_their_check() -> None:
    query = Parameters([("token", "x")])
    assert violations([exchange(2, query=query), exchange(1, content_type=None)]) == [
        Violation("sent_readable_bodies", 1, "sent no Content-Type"),
        Violation("sent_no_secret_in_a_url", 2, "sent token in the URL"),
        Violation("sent_readable_bodies", 2, f"sent no readable parameters, as {FORM}"),
    ]


# How long it takes


def busy(count: int) -> Iterator[Exchange]:
    """Yield the refreshes of a client that repeats itself, with calls that are refused."""
    for number in range(1, count, 2):
        token = f"a{number}"
        yield refresh(number, gets=f"r1 {token}", fresh_until=number + 300.0)
        yield call(number + 1, 401, token)


def rotating(count: int) -> Iterator[Exchange]:
    return (refresh(n, f"r{n}", f"r{n + 1} a{n}", fresh_until=n + 300.0) for n in range(1, count))


def replaying(count: int) -> Iterator[Exchange]:
    return (refresh(n, "r1", f"r{n + 1} a{n}", overlaps=n % 7) for n in range(1, count))


def racing(count: int) -> Iterator[Exchange]:
    """Yield requests that all arrive before the first response."""
    for n in range(1, count):
        error = None if n % 2 else "invalid_grant"
        yield refresh(n, "r1", "" if error else f"r2 a{n}", error=error, overlaps=count)


def failing(count: int) -> Iterator[Exchange]:
    return (refresh(n, error="invalid_client", **WAIT_10, digest=n) for n in range(1, count))


def growing(count: int) -> Iterator[Exchange]:
    return (refresh(n, gets=f"a{n}", grant=f"user/{n}") for n in range(1, count))


@pytest.mark.parametrize("journal", [busy, rotating, replaying, racing, failing, growing])
def test_the_work_grows_with_the_journal_and_not_with_its_square(
    journal: Callable[[int], Iterator[Exchange]],
) -> None:
    few, many = steps(list(journal(250))), steps(list(journal(2000)))
    assert many < 1.5 * 8 * few


def steps(exchanges: list[Exchange]) -> int:
    """Return how many lines the checks run."""
    count = 0

    def trace(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        violations(exchanges)
    finally:
        sys.settrace(before)
    return count


def test_each_response_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    exchanges = [refresh(number, error="invalid_grant") for number in range(1, 11)]
    decoded, loads = [], json.loads

    def counting(text: str, **options: Any) -> Any:
        decoded.append(text)
        return loads(text, **options)

    monkeypatch.setattr("json.loads", counting)
    assert violations(exchanges)
    assert len(decoded) == 10


# Real clients of a fake

CALLBACK = "https://web.example/callback"
WEB = Client(client_id="web", client_secret="s3cret", redirect_uris=[CALLBACK])
SETTINGS = Settings(
    clients=[WEB],
    users=[User(sub="u-1", username="alice"), User(sub="u-2", username="bob")],
    start_time=1_700_000_000,
    freeze_time=True,
    seed=1,
)
SECRET = {"client_id": "web", "client_secret": "s3cret"}
GRACE = RefreshPolicy(rotate=True, grace_seconds=30)


class App:
    """A client that does what it is told, correct or not."""

    def __init__(self, fake: FakeOAuth | None = None, **changes: Any) -> None:
        self.fake = FakeOAuth(SETTINGS.changed(**changes)) if fake is None else fake
        tokens = self.fake.issue_tokens("alice")
        self.token, self.access_token = tokens.refresh_token or "", tokens.access_token
        self.assertions = self.fake.assert_client

    def refresh(self, token: str | None = None, **more: str) -> TestResponse:
        """Refresh with the latest token, or with another one."""
        presented = self.token if token is None else token
        form = {**SECRET, "grant_type": "refresh_token", "refresh_token": presented, **more}
        response = ask(self.fake, form)
        members = response.get_json(silent=True)
        if isinstance(members, dict):
            self.token = members.get("refresh_token", self.token)
            self.access_token = members.get("access_token", self.access_token)
        return response

    def wait(self, seconds: float) -> None:
        self.fake.clock.advance(seconds)

    def call(self, token: str | None = None) -> int:
        headers = {"Authorization": f"Bearer {token or self.access_token}"}
        return WSGIClient(self.fake).get("/resource", headers=headers).status_code

    def at_once(self, *tokens: str, order: list[int]) -> list[int]:
        """Refresh with these tokens at the same time."""
        with ThreadPoolExecutor() as pool, self.fake.barrier(len(tokens), order=order):
            sent = [pool.submit(self.refresh, token) for token in tokens]
        return [future.result().status_code for future in sent]

    def found(self) -> list[str]:
        return [str(violation) for violation in self.fake.violations()]


def test_a_correct_client_passes() -> None:
    app = App(refresh_policy="rotate")
    for _ in range(3):
        app.wait(300)
        assert app.refresh().status_code == 200
        assert app.call() == 200
    app.assertions.never_presented_a_spent_token()
    app.assertions.refreshed_once_per_expiry()
    app.assertions.refreshed_only_when_needed()
    app.assertions.used_the_latest_refresh_token()
    app.assertions.sent_no_secret_in_a_url()
    app.assertions.sent_readable_bodies()
    app.assertions.sent_each_token_where_it_belongs()
    app.assertions.behaved()


def test_the_first_refresh_with_tokens_of_the_test_is_needed() -> None:
    app = App()
    app.refresh()
    assert app.found() == []
    app.refresh()
    assert app.found() != []


def test_an_assertion_with_nothing_to_judge_fails() -> None:
    app = App()
    with pytest.raises(BehaviorError) as caught:
        app.assertions.never_presented_a_spent_token()
    assert str(caught.value) == (
        "never_presented_a_spent_token: nothing to judge; the journal has no refresh request\n"
        "no request arrived"
    )
    assert caught.value.violations == ()


@pytest.mark.parametrize("check", [*CHECKS, "behaved"])
def test_no_assertion_passes_for_an_empty_journal(check: str) -> None:
    with pytest.raises(BehaviorError, match=f"^{check}: nothing to judge; the journal has no "):
        getattr(ClientAssertions(Journal(10)), check)()


def test_an_assertion_that_fails_shows_violations_and_journal() -> None:
    app = App(refresh_policy="rotate")
    first = app.token
    app.refresh()
    app.refresh(first)
    with pytest.raises(AssertionError) as caught:
        app.assertions.never_presented_a_spent_token()
    assert isinstance(caught.value, BehaviorError)
    lines = str(caught.value).splitlines()
    assert lines[:2] == [
        "never_presented_a_spent_token: the client misbehaved:",
        "  request 2 presented alice/1 r1, which request 1 had already replaced with alice/1 r2",
    ]
    assert [line[:2] for line in lines[2:]] == ["#1", "#2"]
    assert [violation.number for violation in caught.value.violations] == [2]


def test_the_assertion_of_everything_has_all_violations() -> None:
    app = App()
    app.refresh()
    app.refresh(scope="openid admin")
    app.refresh()
    with pytest.raises(BehaviorError, match=r"^the client misbehaved:\n") as caught:
        app.assertions.behaved()
    assert [str(violation) for violation in caught.value.violations] == [
        "request 2 requested scope 'openid admin', which was not granted",
        "request 3 refreshed alice/1, which request 1 had just refreshed",
        "request 3 refreshed alice/1, whose access token was valid for another 299 s",
    ]


def test_an_assertion_passes_its_options_on() -> None:
    app = App()
    app.refresh()
    app.wait(199)
    app.fake.script(faults.Status(503))
    app.refresh()
    app.wait(0.5)
    app.refresh()
    with pytest.raises(BehaviorError):
        app.assertions.refreshed_only_when_needed()
    app.assertions.refreshed_only_when_needed(leeway_seconds=100)
    with pytest.raises(BehaviorError):
        app.assertions.backed_off()
    app.assertions.backed_off(at_least_seconds=0.5)


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_a_race_is_found_whoever_wins(order: list[int]) -> None:
    app = App(refresh_policy="rotate")
    app.wait(300)
    assert sorted(app.at_once(app.token, app.token, order=order)) == [200, 400]
    winner, loser = (1, 2) if order == [0, 1] else (2, 1)
    assert set(app.found()) == {
        f"request {loser} presented alice/1 r1, which request {winner} replaced at the same time",
        f"request 2 {'tried to refresh' if loser == 2 else 'refreshed'} alice/1 at the same time "
        "as request 1",
    }


def test_refreshes_of_two_logins_at_once_are_correct() -> None:
    app = App(refresh_policy="rotate")
    other = app.fake.issue_tokens("bob").refresh_token or ""
    app.wait(300)
    assert app.at_once(app.token, other, order=[1, 0]) == [200, 200]
    assert app.found() == []


def test_a_refresh_for_each_caller_is_found_without_rotation() -> None:
    app = App()
    app.wait(300)
    for _ in range(3):
        app.refresh()
    with pytest.raises(BehaviorError) as caught:
        app.assertions.refreshed_once_per_expiry()
    assert [violation.number for violation in caught.value.violations] == [2, 3]


def test_a_loop_of_401_and_refresh_is_found_in_a_fake() -> None:
    app = App()
    app.fake.resource.skew_seconds = 3600
    for _ in range(3):
        assert app.call() == 401
        app.refresh()
    assert [violation.number for violation in app.fake.violations()] == [4, 6]


def test_each_refresh_after_a_revocation_is_correct() -> None:
    app = App(refresh_policy="rotate")
    for _ in range(3):
        app.fake.expire(app.access_token)
        assert app.call() == 401
        app.fake.script(faults.Status(503))
        app.refresh()
        app.refresh()
        assert app.call() == 200
    assert app.found() == []


def test_a_token_that_a_fault_made_expire_can_be_refreshed() -> None:
    app = App()
    app.fake.script(
        faults.Expired(), faults.Field("expires_in", 1), faults.MissingField("expires_in")
    )
    for _ in range(4):
        app.wait(1)
        app.refresh()
    assert app.found() == []


@pytest.mark.parametrize("is_strict", [True, False])
@pytest.mark.parametrize("name", faults.MALFORMED)
def test_both_ways_to_read_a_malformed_success_are_correct(name: str, *, is_strict: bool) -> None:
    app = App(refresh_policy=GRACE)
    first = app.token
    app.wait(300)
    app.fake.script(faults.MALFORMED[name].fault)
    response = app.refresh()
    members = response.get_json(silent=True)
    is_used = isinstance(members, dict) and isinstance(members.get("refresh_token"), str)
    app.wait(1)
    if name == "invalid_grant in a 200":
        assert app.found() == []
        return
    app.refresh(first if is_strict or not is_used else app.token)
    app.wait(300)
    app.refresh()
    assert app.found() == []


def test_a_retry_of_invalid_grant_in_a_200_is_found() -> None:
    app = App()
    app.fake.script(faults.Refuse("invalid_grant", status=200))
    app.refresh()
    app.refresh()
    assert [violation.check for violation in app.fake.violations()] == [
        "stopped_after_a_terminal_error"
    ]


def test_a_second_attempt_with_another_secret_is_correct() -> None:
    app = App()
    app.refresh(client_secret="of last month")
    app.refresh()
    assert [exchange.error for exchange in app.fake.journal] == ["invalid_client", None]
    assert app.found() == []


def test_two_clients_and_a_stolen_token_in_one_journal() -> None:
    other = Client(client_id="other", client_secret="0ther")
    app = App(clients=[WEB, other], refresh_policy="rotate")
    app.wait(300)
    with ThreadPoolExecutor() as pool, app.fake.barrier(2, order=[1, 0]):
        pool.submit(app.refresh)
        pool.submit(app.refresh, client_id="other", client_secret="0ther")
    app.wait(300)
    app.refresh()
    assert sorted(exchange.status or 0 for exchange in app.fake.journal) == [200, 200, 401]
    assert app.found() == []


def test_a_preconfigured_token_was_never_delivered() -> None:
    fake = FakeOAuth()
    ask(fake)
    assert fake.violations() == []


def test_a_login_with_a_code_and_a_refresh_in_time_are_correct() -> None:
    app = App(refresh_policy="rotate")
    code = app.fake.issue_code("alice", redirect_uri=CALLBACK)
    form = {**SECRET, "grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    app.token = ask(app.fake, form).json["refresh_token"]  # type: ignore[index]
    app.wait(240)
    app.refresh()
    assert app.found() == []


@pytest.mark.parametrize(
    "fault",
    [
        faults.HangUp(),
        faults.HangUp(after_commit=True),
        faults.Reset(after_commit=True),
        faults.Garbage(after_commit=True),
        faults.BadChunk(after_commit=True),
        faults.Truncated(20),
    ],
    ids=str,
)
def test_a_retry_after_a_lost_response_is_correct(fault: faults.Fault) -> None:
    with FakeOAuth(SETTINGS.changed(refresh_policy=GRACE)) as server:
        token = server.issue_tokens("alice").refresh_token
        form = {**SECRET, "grant_type": "refresh_token", "refresh_token": token}
        server.script(fault)
        with pytest.raises(Exception):  # noqa: B017, PT011 (each library has its own)
            urlopen(server.token_url, urlencode(form).encode()).read()
        with urlopen(server.token_url, urlencode(form).encode()) as response:
            form["refresh_token"] = json.load(response)["refresh_token"]
        server.clock.advance(300)
        urlopen(server.token_url, urlencode(form).encode()).close()
        assert server.violations() == []


# What a policy allows


def test_an_old_token_that_stays_valid_is_not_spent() -> None:
    app = App(refresh_policy="entra")
    first = app.token
    for _ in range(2):
        assert app.refresh(first).status_code == 200
        app.wait(300)
    app.assertions.never_presented_a_spent_token()
    # RFC 6749 section 6 wants the latest one nevertheless.
    assert {violation.check for violation in app.fake.violations()} == {
        "used_the_latest_refresh_token"
    }
    app.wait(90 * 86400)
    assert app.refresh(first).status_code == 400
    app.assertions.never_presented_a_spent_token()


def test_refreshes_with_an_old_token_at_once_are_no_replay() -> None:
    app = App(refresh_policy="keycloak")
    assert app.at_once(app.token, app.token, order=[0, 1]) == [200, 200]
    app.assertions.never_presented_a_spent_token()


def test_a_client_may_meet_a_401_because_its_refresh_ended_the_access_token() -> None:
    app = App(refresh_policy="github")
    former = app.access_token
    app.wait(290)
    app.refresh()
    assert app.call(former) == 401
    assert app.fake.journal[-1].reason == "access token ended by request 1"
    assert app.call() == 200
    app.wait(300)
    app.refresh()
    assert app.fake.violations() == []


def test_a_token_that_rotates_by_its_age_is_spent_by_its_rotation_only() -> None:
    app = App(refresh_policy="intuit")
    first = app.token
    for _ in range(3):
        app.wait(300)
        assert app.refresh().status_code == 200
    app.wait(86400)
    app.refresh()
    app.wait(300)
    app.refresh()
    assert app.fake.violations() == []
    assert app.refresh(first).status_code == 400
    assert "never_presented_a_spent_token" in {one.check for one in app.fake.violations()}


def test_a_retry_that_gets_an_access_token_alone_is_correct() -> None:
    policy = RefreshPolicy(rotate=True, grace_seconds=600, grace_gives="access_token")
    with FakeOAuth(SETTINGS.changed(refresh_policy=policy)) as server:
        server.script(faults.HangUp(after_commit=True))
        token = server.issue_tokens("alice").refresh_token
        form = {**SECRET, "grant_type": "refresh_token", "refresh_token": token}
        with pytest.raises(Exception):  # noqa: B017, PT011 (each library has its own)
            urlopen(server.token_url, urlencode(form).encode()).read()
        for _ in range(2):
            with urlopen(server.token_url, urlencode(form).encode()) as response:
                assert "refresh_token" not in json.load(response)
            server.clock.advance(300)
        assert server.violations() == []


def test_a_session_that_a_further_login_ended_is_not_its_fault() -> None:
    app = App(refresh_policy=RefreshPolicy(max_families=1))
    app.fake.issue_tokens("alice")
    app.wait(300)
    assert app.refresh().status_code == 400
    assert app.fake.violations() == []


# A client without mistakes

STEPS = st.lists(
    st.one_of(
        st.floats(1, 400).map(lambda seconds: ("wait", seconds)),
        st.sampled_from(
            [
                ("call", None),
                ("expire", None),
                ("revoke", None),
                ("skew", 3600),
                ("skew", 0),
                ("fault", faults.Status(503, retry_after_seconds=5)),
                ("fault", faults.Status(429)),
                ("fault", faults.Refuse("server_error", status=200)),
                ("fault", faults.Refuse("invalid_grant")),
                ("fault", faults.Expired()),
                ("fault", faults.Field("expires_in", 30)),
                *(("fault", row.fault) for row in faults.MALFORMED.values()),
            ]
        ),
    ),
    max_size=25,
)


class CorrectClient:
    """A client that makes no mistakes; it accepts or ignores responses that are malformed."""

    def __init__(self, policy: Any, *, is_strict: bool) -> None:
        self.fake = FakeOAuth(SETTINGS.changed(refresh_policy=policy))
        self._is_strict = is_strict
        tokens = self.fake.issue_tokens("alice")
        self._refresh_token, self._access_token = tokens.refresh_token, tokens.access_token
        self._expires_at = 0.0
        self._is_over = False
        self._is_in_vain = False
        """Whether the resource refused a new access token as well."""

    def call(self) -> None:
        if self._is_over or (self._expires_at <= self.fake.clock.now() and not self._refresh()):
            return
        is_refused = self._status() == 401
        if is_refused and not self._is_in_vain and self._refresh():
            is_refused = self._status() == 401
        self._is_in_vain = is_refused

    def _status(self) -> int:
        headers = {"Authorization": f"Bearer {self._access_token}"}
        return WSGIClient(self.fake).get("/resource", headers=headers).status_code

    def _refresh(self) -> bool:
        """Refresh, and try three times."""
        for _ in range(3):
            form = {**SECRET, "grant_type": "refresh_token", "refresh_token": self._refresh_token}
            response = ask(self.fake, form)
            members = response.get_json(silent=True)
            members = members if isinstance(members, dict) else {}
            if members.get("error") == "invalid_grant":
                self._is_over = True
                return False
            is_usable = isinstance(members.get("access_token"), str) and members["access_token"]
            is_clear = b"token_type" in response.data and isinstance(members.get("expires_in"), int)
            if response.status_code == 200 and is_usable and (is_clear or not self._is_strict):
                self._store(members)
                return True
            self.fake.clock.advance(float(response.headers.get("Retry-After", 1)))
        return False

    def _store(self, members: dict[str, Any]) -> None:
        self._access_token = members["access_token"]
        if isinstance(members.get("refresh_token"), str):
            self._refresh_token = members["refresh_token"]
        seconds = members.get("expires_in")
        self._expires_at = self.fake.clock.now()
        if isinstance(seconds, int) and seconds < 10**9:
            self._expires_at += seconds - min(30, seconds / 2)

    def follow(self, step: tuple[str, Any]) -> None:
        match step:
            case "wait", seconds:
                self.fake.clock.advance(seconds)
                self.call()
            case "call", _:
                self.call()
            case "expire", _:
                self.fake.expire("alice/1 a1")
            case "revoke", _:
                self.fake.revoke(self._access_token)
            case "skew", seconds:
                self.fake.resource.skew_seconds = seconds
            case _, fault:
                self.fake.script(fault)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    steps=STEPS,
    policy=st.sampled_from([*ALL_POLICIES, GRACE]),
    is_strict=st.booleans(),
)
def test_a_correct_client_is_never_blamed(
    steps: list[tuple[str, Any]], policy: Any, *, is_strict: bool
) -> None:
    client = CorrectClient(policy, is_strict=is_strict)
    for step in steps:
        client.follow(step)
    assert client.fake.violations() == [], client.fake.journal


def test_a_client_waits_after_slow_down() -> None:
    app = App()
    for pause in (5, 4.9):
        app.fake.script(faults.Refuse("slow_down"))
        app.refresh()
        app.wait(pause)
        app.refresh()
    with pytest.raises(BehaviorError, match=r"was sent 4\.9 s after request 3 got slow_down"):
        app.assertions.slowed_down()
    app.assertions.slowed_down(at_least_seconds=4)
    assert "slowed_down" in {violation.check for violation in app.fake.violations()}


class Thrifty(CIAM):
    """A server that rotates, and whose responses nonetheless have no refresh token."""

    name = "thrifty"

    def token_reply(self, tokens: TokenSet) -> dict[str, Any]:
        return {"access_token": tokens.access_token, "expires_in": 300, "token_type": "Bearer"}


class Nested(CIAM):
    """A server with the tokens inside of another member, and with error codes of its own."""

    name = "nested"
    codes: ClassVar[Mapping[Cause, str | None]] = {"refresh_token_spent": "bad_refresh_token"}

    def token_reply(self, tokens: TokenSet) -> dict[str, Any]:
        return {"ok": True, "scopes": ["a"], "user": super().token_reply(tokens)}


def test_a_client_keeps_its_token_if_a_dialect_sends_none() -> None:
    app = App(dialect=Thrifty, refresh_policy="ciam")
    for _ in range(2):
        assert app.refresh().status_code == 200
        app.wait(300)
    assert [exchange.issued for exchange in app.fake.journal] == [("alice/1 a2",), ("alice/1 a3",)]
    app.assertions.behaved()
    app.assertions.kept_its_refresh_token()


def test_tokens_inside_of_another_member_are_known_to_the_client() -> None:
    app = App(dialect=Nested, refresh_policy="rotate")
    first = app.token
    reply = app.refresh().json
    assert reply is not None
    assert app.fake.journal[-1].issued == ("alice/1 r2", "alice/1 a2")
    app.refresh(reply["user"]["refresh_token"])
    assert {violation.check for violation in app.fake.violations()} == {
        "refreshed_once_per_expiry",
        "refreshed_only_when_needed",
    }
    app.refresh(first)
    app.refresh(first)
    assert app.fake.journal[-1].error == "bad_refresh_token"
    assert app.fake.journal[-1].cause == "refresh_token_spent"
    with pytest.raises(BehaviorError, match="after request 3 got bad_refresh_token"):
        app.assertions.stopped_after_a_terminal_error()


def test_a_null_is_no_refresh_token() -> None:
    app = App()
    app.fake.script(faults.Field("refresh_token", None))
    app.refresh()
    app.refresh("None")
    with pytest.raises(BehaviorError, match="kept_its_refresh_token"):
        app.assertions.kept_its_refresh_token()
