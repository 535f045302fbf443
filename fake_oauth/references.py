"""Names by which one part of the settings refers to another, and whether they are there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fake_oauth.faults.rule import Rule
from fake_oauth.provider.errors import Problem, unknown
from fake_oauth.provider.parties import AuthSource, Client, RefreshToken, User


def wrong_references(
    *,
    clients: Sequence[Client],
    users: Sequence[User],
    auth_sources: Sequence[AuthSource],
    refresh_tokens: Sequence[RefreshToken],
    auto_login: str | None,
) -> Iterator[Problem]:
    """A problem for every name that nothing has."""
    from fake_oauth.provider.grants import GRANTS  # not before somebody starts a server

    sources = [source.id for source in auth_sources]
    for index, client in enumerate(clients):
        path = f"$.clients[{index}]"
        yield from _missing(f"{path}.grant_types", client.grant_types or (), list(GRANTS))
        yield from _missing(f"{path}.auth_sources", client.auth_sources or (), sources)
    logins = [name for user in users for name in (user.login, user.sub)]
    if auto_login is not None:
        yield from _missing("$.auto_login", [auto_login], logins)
    by_id = {client.client_id: client for client in clients}
    for index, token in enumerate(refresh_tokens):
        path = f"$.refresh_tokens[{index}]"
        owner = next(iter(by_id), "the first") if token.client is None else token.client
        yield from _missing(f"{path}.client", [owner], list(by_id))
        if owner in by_id and token.scope is not None:
            yield from _missing(f"{path}.scope", token.scope.split(), by_id[owner].scopes)
        user = next(iter(logins), "the first") if token.user is None else token.user
        yield from _missing(f"{path}.user", [user], logins)


def wrong_rules(
    rules: Sequence[Rule],
    clients: Sequence[Client],
    *,
    standing: Sequence[Rule] = (),
    has_socket: bool = True,
) -> Iterator[Problem]:
    """A problem for every rule that can never apply, the `standing` ones being there already."""
    from fake_oauth.provider.grants import GRANTS
    from fake_oauth.web.endpoints import ENDPOINTS

    client_ids = [client.client_id for client in clients]
    first = list(standing)
    for index, rule in enumerate(rules):
        path = f"$.faults[{index}]"
        yield from _missing(f"{path}.endpoint", [rule.endpoint], [*ENDPOINTS, "any"])
        if rule.client_id is not None:
            yield from _missing(f"{path}.client_id", [rule.client_id], client_ids)
        if rule.grant_type is not None:
            yield from _missing(f"{path}.grant_type", [rule.grant_type], list(GRANTS))
            if rule.endpoint not in ("token", "any"):
                message = f"only the token endpoint is asked for a grant, not {rule.endpoint}"
                yield Problem(f"{path}.grant_type", message)
        if not has_socket and (rule.fault.needs_socket or rule.count == "connections"):
            what = str(rule.fault) if rule.fault.needs_socket else "counting connections"
            message = f"{what} needs a socket: start the server first, and ask it at its url"
            yield Problem(path, message)
        if rule.always:
            for other in first:
                if other.leaves_nothing_to(rule):
                    yield Problem(path, f"can never apply: {other} always comes first")
            first.append(rule)


def _missing(path: str, names: Sequence[str], known: Sequence[str]) -> Iterator[Problem]:
    for name in names:
        if name not in known:
            yield Problem(path, f"there is no {name!r}, {unknown(name, known)}")
