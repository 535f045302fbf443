"""Names by which one part of the settings refers to another, and whether they are there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fake_oauth.dialects import DIALECTS, Dialect
from fake_oauth.faults.rule import Rule
from fake_oauth.provider.errors import Problem, unknown
from fake_oauth.provider.parties import AuthSource, Client, RefreshToken, User, repeated


def wrong_dialect(dialect: Dialect | str) -> Iterator[Problem]:
    """What is wrong with a dialect or its name; paths start where it stands."""
    from fake_oauth.web.endpoints import ENDPOINTS  # not before somebody starts a server

    if isinstance(dialect, str):
        yield from _missing("dialect", [dialect], list(DIALECTS))
        return
    yield from _missing("dialect.paths", list(dialect.paths), list(ENDPOINTS))
    for name, path in dialect.paths.items():
        if not path.startswith("/"):
            message = f"expected a path that starts with /, got {path!r}"
            yield Problem(f"dialect.paths.{name}", message)
    yield from repeated("dialect.paths", dialect.paths.values())
    for name in ("token", "login"):
        if name not in dialect.paths:
            yield Problem("dialect.paths", f"{name} is missing")


def wrong_references(
    *,
    dialect: Dialect,
    clients: Sequence[Client],
    users: Sequence[User],
    auth_sources: Sequence[AuthSource],
    refresh_tokens: Sequence[RefreshToken],
    auto_login: str | None,
) -> Iterator[Problem]:
    """A problem for every name that nothing has."""
    grants = dialect.conventions.grants
    sources = [source.id for source in auth_sources]
    for index, client in enumerate(clients):
        path = f"$.clients[{index}]"
        yield from _missing(f"{path}.grant_types", client.grant_types or (), grants)
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
    dialect: Dialect,
    *,
    standing: Sequence[Rule] = (),
    has_socket: bool = True,
) -> Iterator[Problem]:
    """A problem for every rule that can never apply, the `standing` ones being there already."""
    client_ids = [client.client_id for client in clients]
    first = list(standing)
    for index, rule in enumerate(rules):
        path = f"$.faults[{index}]"
        yield from _missing(f"{path}.endpoint", [rule.endpoint], [*dialect.paths, "any"])
        if rule.client_id is not None:
            yield from _missing(f"{path}.client_id", [rule.client_id], client_ids)
        if rule.grant_type is not None:
            known = dialect.conventions.grants
            yield from _missing(f"{path}.grant_type", [rule.grant_type], known)
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
