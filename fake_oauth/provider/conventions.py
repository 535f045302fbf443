"""What authorization servers do differently, where the rules are the same: codes, texts, lifetimes.

A rule asks `realm.conventions` where it would have to know which server it stands for. What is
written on the wire, and where, is the dialect's affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from fake_oauth.provider.errors import OAuthError, TextName
from fake_oauth.provider.terms import Terms

# The documented spellings; the tenant's own host and https stand for them too.
SMS: Final = "http://tencentciam.com/oauth2/grant-type/otp/sms"
EMAIL: Final = "http://tencentciam.com/oauth2/grant-type/otp/email"

# Why an access token is refused.
Challenge = Literal["missing", "invalid", "insufficient", "no_user"]


@dataclass(frozen=True, slots=True)
class Text:
    """What a client is told beside an error code; `{}` is the parameter that is blamed."""

    description: str
    uri: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conventions:
    """What one kind of server does. Codes are those of RFC 6749 section 5.2."""

    terms: Terms
    """Lifetimes and habits, unless the settings say otherwise."""
    expires_in_less: int
    """How many seconds `expires_in` is less than the lifetime of the access token."""
    grants: tuple[str, ...]
    """The rows of `GRANTS` that are served."""
    unidentified: str | None
    """The code for a request that says nothing of its client; None is no body at all."""
    unnamed_client: str
    """The code for a code_verifier without a client_id, or with an unknown one."""
    foreign_token: str
    """The code for a token, or an authorization code, of another client."""
    failed_proof: str
    """The code for a code_verifier that is wrong or missing (RFC 7636 section 4.6)."""
    bad_code_of_public_client: str
    """The code for an authorization code that buys nothing, from a public client."""
    password_names_auth_source: bool
    """Whether the password grant says which auth source it is for."""
    redirects_response_type: bool
    """Whether a response_type that is not supported travels back to the client."""
    challenges: Mapping[Challenge, Mapping[str, str]]
    """What WWW-Authenticate says of an access token (RFC 6750 section 3), in this order."""
    texts: Mapping[TextName, Text]
    """What is told beside the codes; nothing for those that are not there."""

    def told(self, error: OAuthError) -> dict[str, str]:
        """The members that tell a refusal, in the documented order; those that apply."""
        text = None if error.text is None else self.texts.get(error.text)
        description, uri = error.description, error.uri
        if text is not None:
            description, uri = text.description.format(error.parameter), text.uri
        members = {"error": error.code, "error_description": description, "error_uri": uri}
        return {name: value for name, value in members.items() if value is not None}
