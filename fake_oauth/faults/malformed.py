"""`MALFORMED`: responses with status 200 that a client must not accept as a token response.

To add one, add a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from fake_oauth.faults.base import Fault
from fake_oauth.faults.refusals import Refuse
from fake_oauth.faults.responses import (
    BrokenGzip,
    DuplicateKey,
    EmptyBody,
    Field,
    HTMLBody,
    MissingField,
    NotJSONBody,
    WrongCharset,
    WrongContentType,
)

Verdict = Literal["retryable", "terminal", "reauthenticate"]


@dataclass(frozen=True, slots=True)
class Malformed:
    """A malformed success, and what a client can do that has recognized it.

    - `retryable`: the response was damaged on its way; a retry can help.
    - `terminal`: the server does not follow RFC 6749; a retry cannot help, a person must look.
    - `reauthenticate`: the grant has ended; the user must log in again.
    """

    fault: Fault
    verdict: Verdict
    why: str


MALFORMED: Final[Mapping[str, Malformed]] = {
    "HTML": Malformed(HTMLBody(), "retryable", "a proxy or a captive portal responded"),
    "empty body": Malformed(EmptyBody(), "retryable", "the body was lost on its way"),
    "truncated JSON": Malformed(NotJSONBody(), "retryable", "the body was cut on its way"),
    "broken gzip": Malformed(BrokenGzip(), "retryable", "the body was corrupted on its way"),
    "mismatched charset": Malformed(WrongCharset(), "retryable", "the body was recoded on its way"),
    "JSON array": Malformed(NotJSONBody("[]"), "terminal", "RFC 6749 section 5.1: an object"),
    "JSON null": Malformed(NotJSONBody("null"), "terminal", "RFC 6749 section 5.1: an object"),
    "not labeled as JSON": Malformed(
        WrongContentType("text/html"), "terminal", "RFC 6749 section 5.1: application/json"
    ),
    "no access_token": Malformed(
        MissingField("access_token"), "terminal", "RFC 6749 section 5.1: REQUIRED"
    ),
    "null access_token": Malformed(
        Field("access_token", None), "terminal", "RFC 6749 section 5.1: a string"
    ),
    "empty access_token": Malformed(
        Field("access_token", ""), "terminal", "RFC 6749 appendix A.12: at least one character"
    ),
    "access_token a number": Malformed(
        Field("access_token", 12345), "terminal", "RFC 6749 section 5.1: a string"
    ),
    "access_token twice": Malformed(
        DuplicateKey("access_token"), "terminal", "RFC 6749 section 5: no parameter is repeated"
    ),
    "no token_type": Malformed(
        MissingField("token_type"), "terminal", "RFC 6749 section 5.1: REQUIRED"
    ),
    "unknown token_type": Malformed(
        Field("token_type", "mac"), "terminal", "RFC 6749 section 7.1: must not be used"
    ),
    "expires_in a string": Malformed(
        Field("expires_in", "299"), "terminal", "RFC 6749 section 5.1: a number"
    ),
    "expires_in negative": Malformed(
        Field("expires_in", -1), "terminal", "RFC 6749 appendix A.14: no sign; beware of a loop"
    ),
    "expires_in huge": Malformed(
        Field("expires_in", 10**18), "terminal", "no date is that far in the future"
    ),
    "refresh_token a number": Malformed(
        Field("refresh_token", 12345), "terminal", "RFC 6749 section 5.1: a string"
    ),
    # An error, so nothing has changed: the refresh token is not rotated, unlike with the others.
    "error in a 200": Malformed(
        Refuse("server_error", status=200), "retryable", "an error in spite of its status"
    ),
    "invalid_grant in a 200": Malformed(
        Refuse("invalid_grant", status=200), "reauthenticate", "an error in spite of its status"
    ),
}
"""Each malformed success by its name. All but the errors in a 200 happen after the commit."""
