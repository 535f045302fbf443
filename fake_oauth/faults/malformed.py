"""`MALFORMED`: replies with status 200 that no client must take for a token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from fake_oauth.faults.damage import (
    BrokenGzip,
    DuplicateKey,
    Empty,
    Field,
    Html,
    Missing,
    NotJSON,
    WrongCharset,
    WrongContentType,
)
from fake_oauth.faults.seams import Fault

Verdict = Literal["retryable", "terminal", "reauthenticate"]


@dataclass(frozen=True, slots=True)
class Malformed:
    """A malformed success, and what is left to a client that has recognized it.

    `retryable`: something on the way spoilt it, asking again may help. `terminal`: the server does
    not keep to RFC 6749, asking again will not help, somebody must look. `reauthenticate`: the
    grant is over, the user must log in again.
    """

    fault: Fault
    verdict: Verdict
    why: str


MALFORMED: Final[Mapping[str, Malformed]] = {
    "html": Malformed(Html(), "retryable", "a proxy or a captive portal answered"),
    "empty body": Malformed(Empty(), "retryable", "the body was lost on the way"),
    "broken off JSON": Malformed(NotJSON(), "retryable", "the body was cut on the way"),
    "broken gzip": Malformed(BrokenGzip(), "retryable", "the body was spoilt on the way"),
    "wrong charset": Malformed(WrongCharset(), "retryable", "something on the way recoded it"),
    "JSON array": Malformed(NotJSON("[]"), "terminal", "RFC 6749 section 5.1: an object"),
    "JSON null": Malformed(NotJSON("null"), "terminal", "RFC 6749 section 5.1: an object"),
    "not labelled as JSON": Malformed(
        WrongContentType("text/html"), "terminal", "RFC 6749 section 5.1: application/json"
    ),
    "no access_token": Malformed(
        Missing("access_token"), "terminal", "RFC 6749 section 5.1: REQUIRED"
    ),
    "null access_token": Malformed(
        Field("access_token", None), "terminal", "RFC 6749 section 5.1: a string"
    ),
    "empty access_token": Malformed(
        Field("access_token", ""), "terminal", "RFC 6749 appendix A.12: a character at least"
    ),
    "access_token a number": Malformed(
        Field("access_token", 12345), "terminal", "RFC 6749 section 5.1: a string"
    ),
    "access_token twice": Malformed(
        DuplicateKey("access_token"), "terminal", "RFC 6749 section 5: a parameter comes once"
    ),
    "no token_type": Malformed(Missing("token_type"), "terminal", "RFC 6749 section 5.1: REQUIRED"),
    "unknown token_type": Malformed(
        Field("token_type", "mac"), "terminal", "RFC 6749 section 7.1: not to be used"
    ),
    "expires_in a string": Malformed(
        Field("expires_in", "299"), "terminal", "RFC 6749 section 5.1: a number"
    ),
    "expires_in negative": Malformed(
        Field("expires_in", -1), "terminal", "RFC 6749 appendix A.14: no sign; beware of a loop"
    ),
    "expires_in huge": Malformed(
        Field("expires_in", 10**18), "terminal", "no date can be so far ahead"
    ),
    "refresh_token a number": Malformed(
        Field("refresh_token", 12345), "terminal", "RFC 6749 section 5.1: a string"
    ),
    "error in a 200": Malformed(
        NotJSON('{"error": "server_error"}'), "retryable", "an error in spite of its status"
    ),
    "invalid_grant in a 200": Malformed(
        NotJSON('{"error": "invalid_grant"}'), "reauthenticate", "an error in spite of its status"
    ),
}
