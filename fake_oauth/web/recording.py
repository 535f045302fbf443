"""What the journal is told: who asked, which tokens came, and which went out.

Tokens are told by their names in the lineage, as far as they are known.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fake_oauth.journal import Exchange, Journal
from fake_oauth.provider.issuing import received
from fake_oauth.provider.realm import Realm
from fake_oauth.reply import Written
from fake_oauth.web.reading import Call

# The parameters in which tokens and codes come, and the members in which they go out.
_CARRIERS: Final = ("refresh_token", "code", "token", "access_token")
_GIVEN: Final = ("refresh_token", "access_token")


def arrival(journal: Journal, realm: Realm, endpoint: str | None, call: Call) -> Exchange:
    """Write down a request."""
    names, fresh_until = {}, None
    with realm.lock:
        for carrier, value in _carried(call):
            token = realm.ledger.token(value)
            if token is not None:
                names[carrier] = token.alias
                fresh_until = token.grant and token.grant.fresh_until
    return journal.arrived(
        at=realm.clock.now(),
        method=call.method,
        path=call.path,
        endpoint=endpoint,
        query=call.query,
        form=call.form,
        client_id=call.credentials.client_id or call.query.get("client_id"),
        content_type=call.content_type,
        tokens=names,
        fresh_until=fresh_until,
        peer=call.peer,
        digest=call.digest,
    )


def given(realm: Realm, data: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The names of the tokens in a reply that goes out."""
    values = [] if data is None else [data.get(member) for member in _GIVEN]
    names = [received(realm, value) for value in values if isinstance(value, str)]
    return tuple(name for name in names if name is not None)


def readable(written: Written) -> Mapping[str, Any] | None:
    """What a client can read of a reply that was damaged."""
    try:
        data = json.loads(written.body)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None


def _carried(call: Call) -> Iterator[tuple[str, str]]:
    for params in filter(None, (call.query, call.form)):
        for name in _CARRIERS:
            if name in params:
                yield name, params[name]
    if call.bearer_token is not None:
        yield "bearer", call.bearer_token
