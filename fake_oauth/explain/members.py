"""What claims, header parameters, and members of responses mean, with their sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

HEADERS: Final[Mapping[str, str]] = {
    "alg": "the algorithm of the signature",
    "kid": "the key that signed, by its name in the JWK Set",
    "typ": "the kind of token",
    "cty": "the kind of the content",
    "jwk": "a public key in the token itself, as in a DPoP proof",
    "jku": "a URL of keys; a client must not fetch it",
    "x5u": "a URL of certificates; a client must not fetch it",
    "x5t": "the thumbprint of a certificate",
    "crit": "extensions that a reader must understand, or refuse the token",
    "enc": "the algorithm of the encryption",
}
"""Header parameters (RFC 7515 section 4.1)."""

TYPES: Final[Mapping[str, str]] = {
    "at+jwt": "an access token (RFC 9068)",
    "dpop+jwt": "a DPoP proof (RFC 9449)",
    "logout+jwt": "a logout token",
    "secevent+jwt": "a security event (RFC 8417)",
    "jwt": "a JWT of any kind",
}
"""Values of `typ`, in lower case, without `application/`."""

CLAIMS: Final[Mapping[str, str]] = {
    "iss": "issuer: must be exactly the issuer that the client is configured with",
    "sub": "subject: the user's id at the issuer",
    "aud": "audience: the receiver must find itself here",
    "exp": "expires",
    "nbf": "not valid before",
    "iat": "issued",
    "jti": "the id of the token",
    "azp": "authorized party: the client of an ID token",
    "nonce": "must be the nonce of the authorization request",
    "auth_time": "the user logged in",
    "acr": "how strongly the user logged in",
    "amr": "the methods of the login",
    "at_hash": "the hash of the access token that belongs to it",
    "c_hash": "the hash of the code that belongs to it",
    "s_hash": "the hash of the state",
    "sid": "the session at the issuer",
    "client_id": "the client that the token was issued to",
    "scope": "the granted scopes",
    "cnf": "the key that a client must prove to have (RFC 7800)",
    "act": "who acts for the user (RFC 8693)",
    "may_act": "who may act for the user (RFC 8693)",
    "htm": "the method that a DPoP proof is for",
    "htu": "the URL that a DPoP proof is for",
    "ath": "the hash of the access token that a DPoP proof is for",
    "name": "the user's name",
    "preferred_username": "the user's name for logging in, which can change",
    "email": "the user's email address",
    "email_verified": "whether the issuer has checked the address",
    "phone_number": "the user's phone number",
    "updated_at": "the user's data changed",
}
"""Claims (RFC 7519 section 4.1, OpenID Connect Core 1.0 sections 2 and 5.1, RFC 9068, RFC 9449)."""

MOMENTS: Final = ("exp", "nbf", "iat", "auth_time", "updated_at")
"""The claims that are times."""

MEMBERS: Final[Mapping[str, str]] = {
    "access_token": "what the client sends to an API",
    "token_type": "how the client sends it",
    "expires_in": "the lifetime of the access token, in seconds from the response",
    "refresh_token": "what the client gets the next access token with",
    "scope": "the granted scopes",
    "id_token": "who logged in, for the client itself",
    "issued_token_type": "what a token exchange has issued (RFC 8693)",
    "error": "the error code",
    "error_description": "a text for developers, not for users or programs",
    "error_uri": "a page about the error, for developers",
    "state": "must be the state of the authorization request",
    "code": "the authorization code: one use, at the token endpoint",
    "iss": "must be exactly the issuer that the client is configured with (RFC 9207)",
    "device_code": "what the device polls with (RFC 8628)",
    "user_code": "what the user types on the verification page",
    "verification_uri": "the page where the user types the code",
    "verification_uri_complete": "the same page, with the code filled in",
    "interval": "the least number of seconds between two polls",
    "active": "whether the token is valid (RFC 7662)",
    "request_uri": "what a pushed request is used by, once (RFC 9126)",
    "client_id": "the id of the client",
    "client_secret": "the secret of the client",
    "client_id_issued_at": "when the client was registered",
    "client_secret_expires_at": "when the secret expires; 0 is never",
}
"""Members of responses (RFC 6749 sections 4.1.2, 5.1, and 5.2)."""
