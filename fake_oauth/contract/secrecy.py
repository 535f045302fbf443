"""What is nobody's business: by its name, whoever thought of it, or by its looks.

Names are taken apart into words, so that `clientSecret`, `user[password]` and `SECRET_HASH` are one
as `client_secret` is. Something that looks random is a token, or an id that is another one next
time; either way it has no place in a page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

# What a protocol is made of: it is told as it is, though its words are those of secrets.
_VOCABULARY: Final = frozenset(
    {
        *("grant_type", "response_type", "response_mode", "token_type", "token_type_hint"),
        *("code_challenge_method", "prompt", "display", "scope", "usage"),
        *("grant_types", "response_types", "token_endpoint_auth_method"),
        *("alg", "kty", "use", "crv", "typ", "error_codes"),
    }
)
# What a name ends in that speaks about a secret and is none.
_ABOUT: Final = frozenset(
    {
        *("type", "types", "endpoint", "endpoints", "supported", "in", "at", "method"),
        *("methods", "uri", "url", "alg", "required", "enabled", "expires", "lifetime"),
        *("seconds", "ttl", "count"),
    }
)
_SECRET: Final = frozenset(
    {
        *("secret", "secrets", "token", "tokens", "password", "passwords", "passwd"),
        *("passcode", "passphrase", "pwd", "pin", "assertion", "otp", "totp", "verifier"),
        *("code", "codes", "key", "apikey", "ticket", "credential", "credentials"),
        *("session", "sessionid", "jsessionid", "sid", "nonce", "cookie", "canary"),
        *("proof", "signature", "handle", "samlresponse", "jwt", "hash", "jti"),
        *("p_state", "pass", "pw", "authorization", "csrf", "bearer", "accesskey"),
        *("challenge", "answer", "wresult", "magic", "value", "request_uri"),
    }
)
_PERSONAL: Final = frozenset(
    {
        *("username", "login_hint", "name", "given_name", "family_name", "middle_name"),
        *("nickname", "preferred_username", "profile", "picture", "website", "email"),
        *("gender", "birthdate", "phone", "phone_number", "address", "upn"),
        *("unique_name",),
    }
)
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_JWT: Final = r"\beyJ[\w-]+\.[\w-]+\.[\w-]*(?:\.[\w-]*)*"
_EMAIL: Final = r"[\w.+-]+@[\w-]+\.[\w.-]*\w"
_RUN: Final = r"[\w~+=-]{16,}"
# What may be told of in a text that is none.
SUSPECT: Final = re.compile(f"{_JWT}|{_EMAIL}|{_RUN}")
_ONE: Final = re.compile(r"[\w~+=./-]+")


def is_vocabulary(names: Sequence[str]) -> bool:
    """Whether a value is a word of the protocol, going by the names that it stands below."""
    return bool(names) and (names[-1] in _VOCABULARY or names[-1].endswith("_supported"))


def is_secret(names: Sequence[str]) -> bool:
    """Whether a value is a secret by the names that it stands below, the outermost first."""
    if not names or is_vocabulary(names):
        return False
    innermost = _words(names[-1])
    if innermost and innermost[-1] in _ABOUT and names[-1] not in _SECRET:
        return False
    return any(not _SECRET.isdisjoint((name.lower(), *_words(name))) for name in names)


def is_personal(names: Sequence[str]) -> bool:
    """Whether it says who somebody is (OpenID Connect Core 1.0 section 5.1)."""
    return any(name.lower() in _PERSONAL for name in names)


def is_somebodys(names: Sequence[str], value: str) -> bool:
    """Whether a value of these names is nobody's business, for whatever reason."""
    if is_vocabulary(names):
        return False
    return is_secret(names) or is_personal(names) or looks_secret(value)


def looks_secret(value: str) -> bool:
    """Whether a whole value looks like a token, an id, or somebody's address."""
    if re.fullmatch(f"{_JWT}|{_EMAIL}", value):
        return True
    if not _ONE.fullmatch(value) or not is_random(value):
        return False
    # Names of hosts, packages and media types are long words with small ones between.
    is_name = value.islower() and not any(map(is_random, re.split("[./]", value)))
    return not is_name


def is_random(text: str) -> bool:
    """Whether nobody would have thought of it: 16 characters, and letters among digits."""
    if len(text) < 16:
        return False
    has_digit = any(map(str.isdigit, text))
    if has_digit and any(map(str.isalpha, text)):
        return True
    humps = len(re.findall("[a-z][A-Z]", text))
    return has_digit or (humps > 4 and len(text) >= 20)


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]
