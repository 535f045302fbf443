"""`Settings`: what a server is made from. Plain values, with the same names in Python and in TOML.

Every problem is found at once, each with its path and a hint. To add a setting, add its field, and
its check if a type does not say everything.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, Self, get_args
from urllib.parse import urlsplit

from fake_oauth.dialects import Dialect, load_dialect
from fake_oauth.faults.base import Fault, Rule, rules_of
from fake_oauth.http.endpoints import ENDPOINTS
from fake_oauth.provider.clock import Clock
from fake_oauth.provider.errors import Cause, FakeOAuthError, SettingsError
from fake_oauth.provider.grants import GRANTS
from fake_oauth.provider.ids import IdKind
from fake_oauth.provider.keys import ALGORITHMS, read_key, shipped_key
from fake_oauth.provider.model import (
    AssertionAudience,
    AuthSource,
    Client,
    OwnTerms,
    PreconfiguredRefreshToken,
    ProtectedResource,
    Registration,
    Resource,
    TrustedIssuer,
    User,
    repeated,
)
from fake_oauth.provider.policies import lifetime_problems
from fake_oauth.provider.registration import is_document_url
from fake_oauth.provider.resources import WELL_KNOWN, Place
from fake_oauth.structure import Problem, json_problems, structure, suggestion, type_problems
from fake_oauth.toml_file import read_toml

_NONE_DEFINED: Final = "no {} is defined; add one, or set refresh_tokens = []"
_TABLES: Final = (
    *("clients", "users", "refresh_tokens", "auth_sources", "trusted_issuers", "keys", "resources"),
)
# The paths of references, by the field that they refer to.
_REFERENCES: Final = (
    ("clients", r"\.(client|client_id|scope)$"),
    ("users", r"\.(user|auto_login)$"),
    ("auth_sources", r"\.auth_sources$"),
    ("dialect", r"\.(grant_types?|endpoint|dpop_nonces|dpop_bound_access_tokens)$"),
    ("dialect", r"\.require_pushed_authorization_requests$"),
)
# What a cookie, a URL, and an error can contain (RFC 6265 section 4.1.1, RFC 6749 appendix A).
_ID: Final = re.compile(r"[!#-+\--:<-\[\]-~]+")
_ISSUER: Final = re.compile(r"https?://[^/?#\s]+[^?#\s]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key that signs tokens: from PEM text, from a PEM file, or a shipped key renamed."""

    pem: str | None = None
    """The private key as PEM text."""
    path: str | None = None
    """A PEM file; a relative path starts at the settings file, or where Python was started."""
    kid: str | None = None
    """The key's id; None is a UUID made from the key."""
    alg: str | None = None
    """The signing algorithm, a name of `ALGORITHMS`; None is RS256 for an RSA key, and the only
    possible one for other keys. Shipped keys sign with RS256, RS384, RS512, PS256, and ES256."""

    def read(self) -> tuple[bytes | None, str | None, str | None]:
        """Return PEM, `kid`, and `alg`; a PEM of None is a shipped key. Raise OSError."""
        pem = None if self.pem is None else self.pem.encode()
        if self.path is not None:
            pem = Path(self.path).read_bytes()
        return pem, self.kid, self.alg

    def problems(self) -> Iterator[Problem]:
        """Yield the problems of this key; paths start at the key."""
        name = "path" if self.path is not None else "alg" if self.pem is None else "pem"
        if self.alg is not None and self.alg not in ALGORITHMS:
            hint = suggestion(self.alg, list(ALGORITHMS))
            yield Problem("alg", f"unknown algorithm {self.alg!r}; {hint}")
            return
        if self.pem is not None and self.path is not None:
            yield Problem("pem", "expected pem or path, got both")
        try:
            pem, kid, alg = self.read()
            if pem is not None:
                read_key(pem, kid, alg)
            else:
                shipped_key("signing", kid, alg)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            subject = "the text" if self.path is None else repr(self.path)
            yield Problem(name, f"cannot read {subject}: {reason}")
        except FakeOAuthError as error:
            yield Problem(name, str(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(OwnTerms):
    """Everything that can be set. The defaults are those of the documentation (CIAM 1441/64400).

    >>> Settings(refresh_policy="rotate").clients[0].client_id
    'TENANT_CLIENT_ID'
    """

    dialect: Dialect | type[Dialect] | str = "ciam"
    """The server to imitate: `ciam`, `rfc`, `package.module:Class`, or a subclass of `Dialect`."""
    issuer: str | None = None
    """The `iss` of every token; None is the URL that the server listens on. `{port}` is replaced by
    the port."""
    seed: int | None = None
    """The seed of the IDs; None is a random one (in the pytest fixtures: 0, 1, …)."""
    clients: Sequence[Client] = (
        Client(
            client_id="TENANT_CLIENT_ID",
            client_secret="TENANT_CLIENT_SECRET",
            redirect_uris=("https://example.com/callback",),
            logout_redirect_uris=("https://example.com/logout",),
        ),
    )
    """The registered clients."""
    users: Sequence[User] = (
        User(
            sub="MOCK_USERNAME",
            password="MOCK_PASSWORD",
            phone="13612345678",
            email="MOCK_USERNAME@example.com",
        ),
    )
    """The users who can log in."""
    refresh_tokens: Sequence[PreconfiguredRefreshToken] = (
        PreconfiguredRefreshToken(value="MOCK_REFRESH_TOKEN"),
    )
    """Refresh tokens that exist from the start."""
    auth_sources: Sequence[AuthSource] = (
        AuthSource(id="MOCK_USERNAME_PASSWORD_AUTH_SOURCE_ID", kind="password"),
        AuthSource(id="MOCK_SMS_OTP_AUTH_SOURCE_ID", kind="sms"),
        AuthSource(id="MOCK_EMAIL_OTP_AUTH_SOURCE_ID", kind="email"),
    )
    """The ways to log in without a page."""
    trusted_issuers: Sequence[TrustedIssuer] = ()
    """The issuers whose assertions are grants, besides this server (RFC 7523 section 2.1)."""
    assertion_audience: AssertionAudience = "any"
    """Which `aud` a client assertion can have: `issuer` alone, or `any` of the issuer, the token
    endpoint, and the endpoint called."""
    auto_login: str | None = None
    """The username or sub of a user who is logged in in every browser."""
    session_seconds: int = 3600
    """How long a browser stays logged in, and how long a login may take, in seconds."""
    device_interval_seconds: int = 5
    """How long a client waits between two polls with a device code, by the server's clock; 0 is not
    judged, and not in the response."""
    request_uri_seconds: int = 60
    """How long a pushed authorization request can be used, in seconds."""
    keys: Sequence[SigningKey] = ()
    """Custom keys: the first signs, the second signs after a rotation."""
    ids: Mapping[IdKind, Sequence[str]] = field(default_factory=dict)
    """Ids to use before any are made: `{"jti": [...], "code": [...]}`."""
    start_time: float | datetime | None = None
    """Where the clock starts; None is the real time."""
    freeze_time: bool = False
    """Whether the clock is frozen from the start."""
    accept_raw_basic: bool = False
    """Whether a secret in `Authorization: Basic` can be sent without form-urlencoding."""
    accept_localhost_on_any_port: bool = False
    """Whether a redirect URI with `localhost` matches on any port."""
    accept_unknown_scopes: bool | None = None
    """Whether the authorization endpoint ignores unknown scopes; None is as the dialect does."""
    accept_anonymous_introspection: bool | None = None
    """Whether a token can be introspected without client authentication."""
    authorization_response_iss: bool | None = None
    """Whether authorization responses have the issuer as `iss` (RFC 9207); None is as the dialect
    does."""
    require_pushed_authorization_requests: bool = False
    """Whether every client has to push its authorization requests (RFC 9126 section 5)."""
    resources: Sequence[ProtectedResource] = ()
    """Protected resources besides the one at the dialect's path. With any, others are unknown."""
    indicate_resources: bool | None = None
    """Whether clients name with `resource` what an access token is for (RFC 8707); None is as the
    dialect does."""
    resource_metadata: Sequence[Place] | None = None
    """Where clients find the metadata of protected resources (RFC 9728); None is as the dialect
    does."""
    dpop_nonces: Literal["off", "required", "rotating"] = "off"
    """Whether DPoP proofs need a nonce of the server, and whether each nonce is used only once."""
    dpop_nonce_seconds: int = 300
    """Lifetime of a nonce for DPoP proofs, in seconds."""
    dpop_replay_check: bool = True
    """Whether a DPoP proof that was accepted before is refused."""
    register_clients: bool | None = None
    """Whether clients can register themselves (RFC 7591); None is as the dialect does."""
    registration_token: str | None = None
    """The initial access token that a registration requires; None is any or none."""
    registration_seconds: int | None = None
    """How long a registration lasts, in seconds; None is forever."""
    read_client_documents: bool | None = None
    """Whether a client_id can be the URL of a Client ID Metadata Document; None is as the dialect
    does."""
    client_documents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Client ID Metadata Documents by their URL. Others are fetched, from this machine only."""
    tls: bool = False
    """Whether to serve HTTPS, with a certificate made at the start (extra `tls`)."""
    cors_origins: Sequence[str] = ()
    """The origins whose pages can read responses; `*` is any."""
    compact_json: bool | None = None
    """Whether responses are JSON on one line; None is as the dialect does."""
    journal_limit: int = 1000
    """How many exchanges the journal keeps."""
    journal_bytes: int = 32 * 1024 * 1024
    """How many bytes the exchanges in the journal use, at most."""
    faults: Sequence[Rule | Fault] = ()
    """The script from the start."""
    resource_scope: str | None = None
    """The scope that the protected resource requires; None is any."""
    resource_skew_seconds: float = 0
    """How far the clock of the protected resource is ahead of the server's, in seconds."""
    control: bool = False
    """Whether the control API is served under `/_fake/`."""

    @classmethod
    def documented(cls) -> Self:
        """Return the settings of the documented moment.

        The first refresh then responds with the documentation's own body. Only the signatures
        differ, because the documentation's private key is not public.
        """
        return cls(
            issuer="https://TENANT.PORTAL.DOMAIN",
            seed=0,
            keys=(SigningKey(kid="d49bc505-5572-4ed6-9e48-388c3d44bb46"),),
            ids={
                "jti": (
                    "5a18f141-e341-4338-85d6-bb4e41a86765",
                    "013bab39-f918-448f-a396-ce77eeffdb37",
                )
            },
            start_time=1636449231,
            freeze_time=True,
        )

    @classmethod
    def from_mapping(cls, data: object, *, source: str = "", folder: Path = Path()) -> Self:
        """Return settings from plain data. Raise SettingsError with every problem."""
        from fake_oauth.faults.tables import converter  # most tests read no file

        settings, wrong = structure(data, cls, converter())
        problems = [_with_hint(problem) for problem in wrong]
        if settings is not None:
            keys = [
                replace(key, path=None if key.path is None else str(folder / key.path))
                for key in settings.keys
            ]
            settings = replace(settings, keys=keys)
            problems += settings.problems(skip={_first(problem.path) for problem in wrong})
        if settings is None or problems:
            raise SettingsError(problems, source=source)
        return settings

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Return settings from a TOML file. Raise SettingsError with every problem."""
        path = Path(path)
        try:
            data = read_toml(path)
        except OSError as error:
            raise SettingsError([Problem(str(path), error.strerror or str(error))]) from None
        except ValueError as error:
            raise SettingsError([Problem(str(path), str(error))]) from None
        return cls.from_mapping(data, source=str(path), folder=path.parent)

    @property
    def registration(self) -> Registration:
        """How clients register themselves."""
        return Registration(
            token=self.registration_token,
            seconds=self.registration_seconds,
            reads_documents=_reads_documents(self, load_dialect(self.dialect)),
            documents=self.client_documents,
        )

    @property
    def paths(self) -> Mapping[str, str]:
        """The path of each endpoint that is served, below the issuer."""
        paths = dict(load_dialect(self.dialect).paths)
        if self.register_clients is False:
            paths.pop("register", None)
        elif self.register_clients:
            paths.setdefault("register", "/register")
        if self.resource_metadata and "resource" in paths:
            paths.setdefault("resource_metadata", WELL_KNOWN)
        return paths

    @property
    def issuer_path(self) -> str:
        """The path of the issuer, below which the endpoints are: `/realms/demo`."""
        if self.issuer is None:
            return load_dialect(self.dialect).issuer_path
        return urlsplit(self.issuer).path.rstrip("/")

    def changed(self, **changes: Any) -> Self:
        """Return a copy with some fields replaced. Raise SettingsError for an unknown field."""
        known = [term.name for term in fields(self)]
        unknown = [name for name in changes if name not in known]
        if unknown:
            raise SettingsError(
                [
                    Problem(f"$.{name}", f"unknown key; {suggestion(name, known)}")
                    for name in unknown
                ]
            )
        return replace(self, **changes)

    def problems(self, *, skip: Collection[str] = ()) -> list[Problem]:
        """Return every problem of these settings.

        `skip` are fields of which a part is missing, so that references to them are not judged.
        """
        found = [
            _with_hint(Problem(f"$.{problem.path}", problem.message))
            for problem in type_problems(self, skip=["faults"])
        ]
        if found:
            # The others are judged with the defaults in place of these.
            wrong = {_first(problem.path) for problem in found}
            defaults: dict[str, Any] = {
                field.name: {} if field.default is MISSING else field.default
                for field in fields(self)
                if field.name in wrong
            }
            rest = replace(self, **defaults).problems(skip={*skip, *wrong})
            return [*found, *self._part_problems(wrong, found), *rest]
        own = [Problem(f"$.{problem.path}", problem.message) for problem in self._own_problems()]
        problems = [*own, *self._part_problems(_TABLES)]
        rules, scripted = rules_of(self.faults)
        try:
            dialect = load_dialect(self.dialect)
        except FakeOAuthError:
            return [*problems, *scripted]
        if not scripted and "faults" not in skip:
            scripted = list(rule_problems(rules, self))
        references = [*self._reference_problems(dialect), *scripted]
        for index, resource in enumerate(self.resources):
            if resource.path in self.paths.values():
                message = f"{resource.path} is the path of an endpoint of the dialect; use another"
                problems.append(Problem(f"$.resources[{index}].path", message))
        return [*problems, *(problem for problem in references if not _refers_to(skip, problem))]

    def _part_problems(
        self, names: Collection[str], known: Sequence[Problem] = ()
    ) -> Iterator[Problem]:
        """Yield the problems of clients, users, and the like that have no `known` problem."""
        paths = [problem.path for problem in known]
        for name in _TABLES:
            if name in names and f"$.{name}" not in paths:
                for index, part in enumerate(getattr(self, name)):
                    below = f"$.{name}[{index}]"
                    if not any(f"{path}.".startswith(f"{below}.") for path in paths):
                        for problem in part.problems():
                            yield Problem(f"{below}.{problem.path}", problem.message)

    def _own_problems(self) -> Iterator[Problem]:
        yield from _dialect_problems(self.dialect)
        yield from self.term_problems()
        if self.issuer is not None and not _is_issuer(self.issuer):
            message = "expected an http or https URL without query and fragment"
            yield Problem("issuer", f"{message}, got {self.issuer!r}")
        yield from self._number_problems()
        if len(self.keys) > 2:
            message = (
                f"expected at most 2 keys, the signing key and the next one, got {len(self.keys)}"
            )
            yield Problem("keys", message)
        for index, origin in enumerate(self.cors_origins):
            yield from _origin_problems(f"cors_origins[{index}]", origin)
        try:
            Clock(self.start_time)
        except FakeOAuthError as error:
            yield Problem("start_time", str(error))
        for kind, ids in self.ids.items():
            yield from _id_problems(f"ids.{kind}", ids)
        yield from repeated("clients", (client.client_id for client in self.clients), "client_id")
        yield from repeated("users", (user.sub for user in self.users), "sub")
        yield from repeated("users", (user.login_name for user in self.users), "username")
        yield from repeated("refresh_tokens", (t.value for t in self.refresh_tokens), "value")
        if self.resource_metadata is not None and set(self.resource_metadata) == {"challenge"}:
            message = "a challenge names the URL of metadata that are served; add path or root"
            yield Problem("resource_metadata", message)
        paths = [resource.path for resource in self.resources if resource.path is not None]
        yield from repeated("resources", paths, "path")
        yield from repeated("auth_sources", (source.id for source in self.auth_sources), "id")
        yield from repeated("trusted_issuers", (t.issuer for t in self.trusted_issuers), "issuer")

    def _registration_problems(self, dialect: Dialect) -> Iterator[Problem]:
        """Yield the problems of clients that register themselves."""
        for name in ("registration_token", "registration_seconds"):
            if getattr(self, name) is not None and "register" not in self.paths:
                message = "the server registers no clients; set register_clients"
                yield Problem(f"$.{name}", message)
        yield from lifetime_problems("$.registration_seconds", self.registration_seconds)
        if self.registration_token is not None and not self.registration_token.strip():
            message = "blank; leave it out for registration without a token"
            yield Problem("$.registration_token", message)
        if self.client_documents and not _reads_documents(self, dialect):
            message = "the server reads no client documents; set read_client_documents"
            yield Problem("$.client_documents", message)
        for url, members in self.client_documents.items():
            if not is_document_url(url):
                message = "expected an http or https URL with a path, without user and fragment"
                yield Problem("$.client_documents", f"{message}, got {url!r}")
            yield from json_problems(f"$.client_documents.{url}", members)

    def _number_problems(self) -> Iterator[Problem]:
        if self.device_interval_seconds:
            yield from lifetime_problems("device_interval_seconds", self.device_interval_seconds)
        for name in ("session_seconds", "request_uri_seconds", "dpop_nonce_seconds"):
            yield from lifetime_problems(name, getattr(self, name))
        for name, least in (("journal_limit", 1), ("journal_bytes", 1)):
            if getattr(self, name) < least:
                yield Problem(name, f"expected at least {least}, got {getattr(self, name)}")
        try:
            Resource(skew_seconds=self.resource_skew_seconds)
        except FakeOAuthError as error:
            yield Problem("resource_skew_seconds", str(error).partition(": ")[2])

    def _reference_problems(self, dialect: Dialect) -> Iterator[Problem]:
        """Yield a problem for each name that refers to nothing."""
        yield from self._client_problems(dialect)
        yield from self._pushing_problems(dialect)
        yield from self._registration_problems(dialect)
        names = [name for user in self.users for name in (user.login_name, user.sub)]
        if self.auto_login is not None:
            yield from _unknown("$.auto_login", [self.auto_login], names)
        scopes = {client.client_id: client.scopes for client in self.clients}
        for index, trusted in enumerate(self.trusted_issuers):
            if trusted.client is not None:
                path = f"$.trusted_issuers[{index}].client"
                yield from _unknown(path, [trusted.client], list(scopes))
        for index, token in enumerate(self.refresh_tokens):
            path = f"$.refresh_tokens[{index}]"
            client_id = next(iter(scopes), None) if token.client is None else token.client
            if client_id is None:
                yield Problem(f"{path}.client", _NONE_DEFINED.format("client"))
                continue
            yield from _unknown(f"{path}.client", [client_id], list(scopes))
            if client_id in scopes and token.scope is not None:
                yield from _unknown(f"{path}.scope", token.scope.split(), scopes[client_id])
            user = next(iter(names), None) if token.user is None else token.user
            if user is None:
                yield Problem(f"{path}.user", _NONE_DEFINED.format("user"))
            else:
                yield from _unknown(f"{path}.user", [user], names)

    def _client_problems(self, dialect: Dialect) -> Iterator[Problem]:
        """Yield a problem for each client that the dialect cannot serve."""
        sources = [source.id for source in self.auth_sources]
        for index, client in enumerate(self.clients):
            path = f"$.clients[{index}]"
            yield from _unknown(f"{path}.grant_types", client.grant_types, dialect.grant_types)
            yield from _unknown(f"{path}.auth_sources", client.auth_sources, sources)
            by_jwt = [method for method in client.auth_methods if method.endswith("_jwt")]
            if by_jwt and not dialect.reads_assertions:
                message = f"the dialect {dialect.name} does not read JWTs of clients ({by_jwt[0]})"
                name = "jwks" if by_jwt == ["private_key_jwt"] else "token_endpoint_auth_methods"
                yield Problem(f"{path}.{name}", message)
            if client.dpop_bound_access_tokens and not dialect.reads_dpop:
                message = f"the dialect {dialect.name} has no DPoP; remove it"
                yield Problem(f"{path}.dpop_bound_access_tokens", message)
        if self.dpop_nonces != "off" and not dialect.reads_dpop:
            message = f"the dialect {dialect.name} has no DPoP; leave it off"
            yield Problem("$.dpop_nonces", message)

    def _pushing_problems(self, dialect: Dialect) -> Iterator[Problem]:
        """Yield a problem wherever requests have to be pushed, and cannot be."""
        if "pushed_authorization_request" in dialect.paths:
            return
        places = [("$", self.require_pushed_authorization_requests)] + [
            (f"$.clients[{index}]", client.require_pushed_authorization_requests)
            for index, client in enumerate(self.clients)
        ]
        for path, is_required in places:
            if is_required:
                message = f"the dialect {dialect.name} has no endpoint for pushed requests"
                yield Problem(f"{path}.require_pushed_authorization_requests", message)


def rule_problems(
    rules: Sequence[Rule],
    settings: Settings,
    *,
    standing: Sequence[Rule] = (),
    has_socket: bool = True,
    registered: Collection[str] = (),
) -> Iterator[Problem]:
    """Yield a problem for each rule that can never apply, or that cannot be delivered.

    `standing` are the standing faults that the script has already, and `registered` the client_ids
    of clients that registered themselves.
    """
    dialect = load_dialect(settings.dialect)
    client_ids = [*(client.client_id for client in settings.clients), *registered]
    before = list(standing)
    for index, rule in enumerate(rules):
        path = f"$.faults[{index}]"
        yield from _unknown(f"{path}.endpoint", [rule.endpoint], [*settings.paths, "any"])
        if rule.client_id is not None:
            yield from _unknown(f"{path}.client_id", [rule.client_id], client_ids)
        if rule.grant_type is not None:
            yield from _unknown(f"{path}.grant_type", [rule.grant_type], dialect.grant_types)
            if rule.endpoint not in ("token", "any"):
                message = f"only the token endpoint has grant types, not {rule.endpoint}"
                yield Problem(f"{path}.grant_type", message)
        if not has_socket and (rule.fault.needs_socket or rule.count == "connections"):
            subject = str(rule.fault) if rule.fault.needs_socket else "counting connections"
            message = f"{subject} needs a socket; start the server, and send requests to its url"
            yield Problem(path, message)
        if rule.is_standing:
            for other in before:
                if other.covers(rule):
                    message = f"can never apply: the standing fault {other} comes first; lift it"
                    yield Problem(path, message)
            before.append(rule)


def _reads_documents(settings: Settings, dialect: Dialect) -> bool:
    chosen = settings.read_client_documents
    return dialect.reads_client_documents if chosen is None else chosen


def _id_problems(path: str, ids: Sequence[str]) -> Iterator[Problem]:
    yield from repeated(path, ids)
    for index, value in enumerate(ids):
        if not _ID.fullmatch(value):
            message = 'expected printable ASCII without space and without any of ",;\\'
            yield Problem(f"{path}[{index}]", f"{message}, got {value!r}")


def _is_issuer(text: str) -> bool:
    try:
        host = urlsplit(text.replace("{port}", "1")).hostname
    except ValueError:
        return False
    # A lone surrogate has no URL.
    return host is not None and text.isprintable() and _ISSUER.fullmatch(text) is not None


def _dialect_problems(dialect: Dialect | type[Dialect] | str) -> Iterator[Problem]:
    try:
        loaded = load_dialect(dialect)
    except FakeOAuthError as error:
        yield Problem("dialect", str(error))
        return
    yield from _unknown("dialect.paths", list(loaded.paths), list(ENDPOINTS))
    yield from _unknown("dialect.grant_types", loaded.grant_types, [*GRANTS, *loaded.own_grants])
    yield from _unknown("dialect.codes", list(loaded.codes), get_args(Cause))
    yield from _unknown("dialect.texts", list(loaded.texts), get_args(Cause))
    for name, path in loaded.paths.items():
        if not path.startswith("/"):
            message = f"expected a path that starts with /, got {path!r}"
            yield Problem(f"dialect.paths.{name}", message)
    yield from repeated("dialect.paths", loaded.paths.values())
    # A device authorization response names the page.
    page = ("device",) if "device_authorization" in loaded.paths else ()
    for name in ("token", "login", *page):
        if name not in loaded.paths:
            yield Problem(
                "dialect.paths", f"no path for {name}; add one, such as {Dialect.paths[name]!r}"
            )


def _origin_problems(path: str, origin: str) -> Iterator[Problem]:
    """Yield a problem for an origin that no browser sends (RFC 6454 section 6.2)."""
    if origin in ("*", "null"):
        return
    parts = urlsplit(origin)
    if not (parts.scheme and parts.netloc and origin == f"{parts.scheme}://{parts.netloc}"):
        message = f"expected an origin such as https://app.example, got {origin!r}"
        hint = "; remove the trailing slash" if origin.endswith("/") else ""
        yield Problem(path, message + hint)


def _first(path: str) -> str:
    """Return the field that a path starts with: `clients` of `$.clients[0].scopes`."""
    return re.split(r"[.\[]", path.removeprefix("$."), maxsplit=1)[0]


def _refers_to(names: Collection[str], problem: Problem) -> bool:
    """Return whether a problem is about a reference to one of these fields."""
    return any(re.search(pattern, problem.path) for name, pattern in _REFERENCES if name in names)


def _with_hint(problem: Problem) -> Problem:
    """Return a problem with a hint for a setting that belongs somewhere else."""
    _, _, name = problem.path.rpartition(".")
    is_in_table = re.match(r"\$\.\w+\[", problem.path) is not None
    if "token_endpoint_auth_methods" in problem.path and "'none'" in problem.message:
        message = "a public client has no secret; leave client_secret and this out"
        return Problem(problem.path, message)
    if problem.path in ("$.host", "$.port"):
        return Problem(problem.path, f"unknown key; the command line has --{name}")
    if is_in_table and problem.message.startswith("unknown key") and name in _SETTINGS:
        hint = f"unknown key; to set {name} for the server, move it above the first [[table]]"
        return Problem(problem.path, hint)
    return problem


def _unknown(path: str, names: Sequence[str] | None, known: Sequence[str]) -> Iterator[Problem]:
    for name in names or ():
        if name not in known:
            yield Problem(path, f"unknown name {name!r}; {suggestion(name, known)}")


_SETTINGS: Final = frozenset(setting.name for setting in fields(Settings))
