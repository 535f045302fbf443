"""The explanation of a pasted text: a response, a token, or the claims of one."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from fake_oauth.explain import jwts, lines, names
from fake_oauth.explain.codes import CODES
from fake_oauth.explain.jwts import JWKS, claim_rows, shown
from fake_oauth.explain.members import MEMBERS
from fake_oauth.explain.moments import Now, duration
from fake_oauth.explain.names import causes_of
from fake_oauth.explain.page import Row, Section, Verbatim
from fake_oauth.explain.pasted import Pasted
from fake_oauth.explain.recorded import RecordedJournal
from fake_oauth.provider.errors import FakeOAuthError

Explanation = list[Section | Verbatim]

_TOKENS: Final = ("access_token", "refresh_token", "id_token")
# Values that a screen should not show.
_HIDDEN: Final = frozenset({*_TOKENS, "code", "client_secret", "device_code", "request_uri"})
_UNKNOWN: Final = "not one of OAuth's; clients ignore it (RFC 6749 section 5.1)"
_EXPECTED: Final = (
    "a JSON object, an HTTP response such as the output of curl -v, a redirect with its "
    "parameters, a token, or lines of the server's log"
)
_PARAMETER: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def has_token(pasted: Pasted) -> bool:
    """Return whether keys can be needed: there is a token, or a member that has one."""
    return pasted.token is not None or any(name in _TOKENS for name in pasted.members or ())


def is_refusal(pasted: Pasted) -> bool:
    """Return whether the journal can say why: it is a response with an error, or of a failure."""
    if _error_code(pasted) is not None:
        return True
    return (pasted.status or 0) >= 400 and not has_token(pasted)


def explained(
    pasted: Pasted,
    now: Now,
    jwks: JWKS | None = None,
    journal: RecordedJournal | None = None,
) -> Explanation:
    """Return the explanation of what was pasted: first of all, what the journal has about it.

    Raise FakeOAuthError if nothing is understood.
    """
    if pasted.problem is not None and pasted.status is None:
        raise FakeOAuthError(f"explain: not understood: {pasted.problem}; expected {_EXPECTED}")
    if pasted.lines:
        return lines.explained(pasted.lines, journal)
    if journal is None or not is_refusal(pasted):
        return _response(pasted, now, jwks, lists_causes=True)
    error = _error_code(pasted)
    found = journal.latest(error, pasted.status, _possible_causes(pasted, error))
    here = journal.without(error, pasted.status) if found is None else found.section()
    return [here, *_response(pasted, now, jwks, lists_causes=found is None)]


def _error_code(pasted: Pasted) -> str | None:
    """Return the error code of the body, or of the challenge; None if neither has one."""
    code = (pasted.members or {}).get("error")
    if not isinstance(code, str):
        code = dict(_PARAMETER.findall(pasted.header("WWW-Authenticate") or "")).get("error")
    return code


def _possible_causes(pasted: Pasted, error: str | None) -> Collection[str]:
    """Return the causes that an exchange can have whose error code is not in its body."""
    scheme = (pasted.header("WWW-Authenticate") or "").partition(" ")[0].lower()
    if scheme in ("bearer", "dpop") and error in (None, "invalid_request"):
        # Without a token, RFC 6750 section 3.1 has no code, and some servers have this one.
        return {"bearer_missing", *causes_of(error or "")}
    return causes_of(error or "")


def _response(pasted: Pasted, now: Now, jwks: JWKS | None, *, lists_causes: bool) -> Explanation:
    sections: Explanation = []
    if pasted.status is not None:
        sections.append(Section(f"HTTP response, status {pasted.status}", list(_http(pasted))))
    if pasted.token is not None:
        return [*sections, *jwts.explained(pasted.token, now, jwks)]
    if pasted.members is None:
        if pasted.problem is not None:
            sections.append(Section("Its body is not understood", [f"{pasted.problem}."]))
        return [*sections, *_challenge(pasted, lists_causes=lists_causes)]
    sections += _object(pasted, pasted.members, now, lists_causes=lists_causes)
    for name, value in pasted.members.items():
        if name in _TOKENS and isinstance(value, str) and value.count(".") == 2:
            first, *rest = jwts.explained(value, now, jwks)
            title = f"{name}: {first.title[0].lower()}{first.title[1:]}"
            sections += [Section(title, first.rows), *rest]
    return [*sections, *_challenge(pasted, lists_causes=lists_causes)]


# HTTP


def _http(pasted: Pasted) -> Iterator[Row]:
    """Yield what the status and the headers say to a client."""
    members, status = pasted.members or {}, pasted.status or 0
    if status >= 500:
        yield "The server or a gateway failed: wait, retry a few times, and keep the tokens."
    elif status == 429:
        yield "Too many requests: wait, and retry."
    elif 300 <= status < 400:
        yield "A redirect: clients do not follow it with a token request (RFC 9700)."
    elif status < 300 and "error" in members:
        yield "An error with a status of success: clients that only read the status are misled."
    elif status >= 400 and "access_token" in members:
        yield "Tokens with a status of failure: a client must not use them."
    if (retry := pasted.header("Retry-After")) is not None:
        yield "Retry-After", f"{retry} (retry no earlier; seconds, or a date by the server's clock)"
    if (location := pasted.header("Location")) is not None:
        where = re.split(r"[?#]", location, maxsplit=1)[0]
        yield "Location", f"{where} (where the browser goes; its parameters are left out here)"
    if pasted.members is not None or pasted.problem is not None:
        yield from _body_headers(pasted, members)


def _body_headers(pasted: Pasted, members: Mapping[str, Any]) -> Iterator[Row]:
    kind = pasted.header("Content-Type")
    if kind is None:
        yield "Content-Type", "missing; a response with JSON has application/json"
    elif pasted.is_json and "json" not in kind.lower():
        yield "Content-Type", f"{kind}; but the body is JSON, so strict clients refuse it"
    elif not pasted.is_json and "json" in kind.lower():
        yield "Content-Type", f"{kind}; but the body is not JSON"
    else:
        yield "Content-Type", kind
    stored = pasted.header("Cache-Control") or ""
    if "access_token" in members and "no-store" not in stored.lower():
        yield "Cache-Control", "lacks no-store, which tokens need (RFC 6749 section 5.1)"


def _challenge(pasted: Pasted, *, lists_causes: bool) -> Explanation:
    """Return the explanation of a WWW-Authenticate header (RFC 6750 section 3)."""
    challenge = pasted.header("WWW-Authenticate")
    if challenge is None:
        return []
    parameters = dict(_PARAMETER.findall(challenge))
    scheme = challenge.split(" ", 1)[0]
    rows: list[Row] = list(parameters.items())
    if scheme.lower() in ("bearer", "dpop") and "error" not in parameters:
        rows.append("Without an error: the request had no access token (RFC 6750 section 3.1).")
    section = Section(f"WWW-Authenticate: {scheme} challenge", rows)
    if parameters.get("error") in CODES:
        return [section, *names.code(parameters["error"], lists_causes=lists_causes)]
    return [section]


# Objects


def _object(
    pasted: Pasted, members: Mapping[str, Any], now: Now, *, lists_causes: bool
) -> Explanation:
    title, _, explain = next(kind for kind in _KINDS if kind[1](members))
    sections: Explanation = [Section(title, [*explain(members, now)])]
    problems = list(_problems(pasted, members))
    if problems:
        sections.append(Section("Problems", problems))
    missing = list(_missing(members))
    if missing:
        sections.append(Section("Not in the response", missing))
    error = members.get("error")
    if isinstance(error, str):
        sections += names.error(error, lists_causes=lists_causes)
    return sections


def _members(members: Mapping[str, Any], _: Now) -> Iterator[Row]:
    for name, value in members.items():
        meaning = MEMBERS.get(name, _UNKNOWN)
        if name in _HIDDEN and isinstance(value, str):
            dots = value.count(".")
            form = "a JWT, explained below" if dots == 2 and name in _TOKENS else "opaque"
            yield name, f"{form}, {len(value)} characters ({meaning})"
        elif name == "token_type":
            yield name, f"{shown(value)} ({_how(value)})"
        elif name == "expires_in" and isinstance(value, int) and not isinstance(value, bool):
            yield name, f"{value} ({meaning}: {duration(value)})"
        else:
            yield name, f"{shown(value)} ({meaning})"


def _how(token_type: Any) -> str:
    known = {
        "bearer": "Authorization: Bearer TOKEN, RFC 6750",
        "dpop": "Authorization: DPoP TOKEN, with a proof in the header DPoP, RFC 9449",
        "n_a": "not for an API: another kind of token was exchanged, RFC 8693",
    }
    return known.get(str(token_type).lower(), "a type that clients must understand, or not use")


def _problems(pasted: Pasted, members: Mapping[str, Any]) -> Iterator[Row]:
    for name in pasted.repeated:
        yield (
            name,
            "there more than once; parsers differ in which one they take (fault DuplicateKey)",
        )
    if pasted.rest:
        yield "More text follows the JSON; strict parsers refuse it."
    if "access_token" not in members:
        return
    if "error" in members:
        yield "It has both tokens and an error, which no standard allows."
    yield from _lifetime_problems(members)
    for name in ("access_token", "token_type", "refresh_token", "id_token", "scope"):
        value = members.get(name)
        if name in members and (not isinstance(value, str) or not value.strip()):
            what = "blank" if isinstance(value, str) else "not a string"
            yield name, f"{what}, so clients refuse the response"


def _lifetime_problems(members: Mapping[str, Any]) -> Iterator[Row]:
    if "expires_in" not in members:
        return
    value = members["expires_in"]
    if isinstance(value, str):
        yield "expires_in", "a string; it must be a number (RFC 6749 section 5.1), so some fail"
    elif isinstance(value, bool) or not isinstance(value, int | float):
        yield "expires_in", "not a number, so clients fail or ignore it"
    elif value <= 0:
        yield "expires_in", "not above 0: the access token has expired already"
    elif isinstance(value, float) and not value.is_integer():
        yield "expires_in", "not an integer; strict clients fail"


def _missing(members: Mapping[str, Any]) -> Iterator[Row]:
    """Yield what a token response lacks, and what that means for a client."""
    if "access_token" not in members or "error" in members:
        return
    if "token_type" not in members:
        yield "token_type", "required (RFC 6749 section 5.1), so clients refuse the response"
    if "expires_in" not in members:
        yield (
            "expires_in",
            (
                "the client does not know the lifetime: it uses the access token until an API "
                "responds with 401"
            ),
        )
    if "refresh_token" not in members:
        yield (
            "refresh_token",
            (
                "after a refresh, the client keeps its old one (RFC 6749 section 6); after a "
                "login, the user has to log in again when the access token expires"
            ),
        )
    if "scope" not in members:
        yield "scope", "the granted scopes are those requested (RFC 6749 section 5.1)"
    if "id_token" not in members:
        yield "id_token", "the login was without the scope openid, or this is a refresh"


def _claims(members: Mapping[str, Any], now: Now) -> Iterator[Row]:
    return claim_rows(members, now)


def _introspection(members: Mapping[str, Any], now: Now) -> Iterator[Row]:
    active = members["active"]
    if active is True:
        yield "active", "true: the token is valid, by the server's word"
    elif active is False:
        yield "active", "false: unknown, expired, revoked, or not for this client; no more is said"
    else:
        yield "active", "not a boolean; treat the token as invalid"
    yield from claim_rows({k: v for k, v in members.items() if k != "active"}, now)


def _jwks(members: Mapping[str, Any], _: Now) -> Iterator[Row]:
    keys = members["keys"]
    for jwk in keys if isinstance(keys, list) else ():
        if isinstance(jwk, dict):
            rest = ", ".join(shown(jwk.get(name)) for name in ("kty", "alg", "use") if name in jwk)
            private = "; PRIVATE: it has the member d, so anyone can sign" if "d" in jwk else ""
            yield shown(jwk.get("kid", "without kid")), f"{rest}{private}"


def _plain(members: Mapping[str, Any], _: Now) -> Iterator[Row]:
    for name, value in members.items():
        yield name, shown(value)


_Kind = tuple[
    str,
    Callable[[Mapping[str, Any]], bool],
    Callable[[Mapping[str, Any], Now], Iterator[Row]],
]
# What an object is, and how its members are explained; the first that applies.
_KINDS: Final[tuple[_Kind, ...]] = (
    ("Error response (RFC 6749 section 5.2)", lambda o: "error" in o, _members),
    ("Token response (RFC 6749 section 5.1)", lambda o: "access_token" in o, _members),
    ("Introspection response (RFC 7662)", lambda o: "active" in o, _introspection),
    ("Device authorization response (RFC 8628)", lambda o: "device_code" in o, _members),
    ("JWK Set (RFC 7517)", lambda o: "keys" in o, _jwks),
    (
        "Metadata of a server (RFC 8414)",
        lambda o: "issuer" in o or "authorization_servers" in o,
        _plain,
    ),
    ("Authorization response (RFC 6749 section 4.1.2)", lambda o: "code" in o, _members),
    ("Pushed authorization response (RFC 9126)", lambda o: "request_uri" in o, _members),
    ("Claims of a token, or of userinfo", lambda o: "sub" in o or "iss" in o, _claims),
    (
        "A JSON object with neither tokens nor an error: not a token response",
        lambda _: True,
        _members,
    ),
)
