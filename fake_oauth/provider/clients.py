"""`Clients`: the clients that a realm knows, from the settings and by registration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from fake_oauth.provider.clock import Clock
from fake_oauth.provider.model import Client

REGISTERED_LIMIT: Final = 1000
"""How many registered clients are known; the oldest is forgotten."""
# A request of a client that was just removed may be running.
_FORMER_LIMIT: Final = 100


@dataclass(frozen=True, slots=True)
class _Registered:
    """A client that registered itself, and when that ends."""

    client: Client
    expires_at: float | None


class Clients(Mapping[str, Client]):
    """Every client that is known now, by its client_id.

    The clients of the settings come first, and take precedence over registered ones. Change them
    with the lock of the realm. To read them needs no lock: a change replaces a mapping as a whole.
    """

    def __init__(self, clock: Clock) -> None:
        self.configured: Mapping[str, Client] = {}
        """The clients of the settings."""
        self._clock = clock
        self._registered: Mapping[str, _Registered] = {}
        # The latest clients that were removed or forgotten, and why.
        self._former: Mapping[str, tuple[Client, str | None]] = {}

    def __getitem__(self, client_id: str) -> Client:
        client = self.configured.get(client_id)
        if client is not None:
            return client
        kept = self._registered[client_id]
        if kept.expires_at is not None and self._clock.now() >= kept.expires_at:
            raise KeyError(client_id)
        return kept.client

    def __iter__(self) -> Iterator[str]:
        return iter((*self.configured, *(client.client_id for client in self.registered())))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def registered(self) -> tuple[Client, ...]:
        """Return the registered clients, oldest first."""
        names = [name for name in self._registered if name not in self.configured]
        return tuple(client for client in map(self.get, names) if client is not None)

    def former(self, client_id: str) -> Client | None:
        """Return a client that was removed, forgotten, or has expired, if it is remembered."""
        kept = self._registered.get(client_id)
        return self._former.get(client_id, (None, None))[0] if kept is None else kept.client

    def replace(self, clients: Iterable[Client]) -> None:
        """Replace the clients of the settings."""
        before = self.configured
        self.configured = {client.client_id: client for client in clients}
        removed = [name for name in before if name not in self.configured]
        self._remember({name: (before[name], None) for name in removed})

    def register(self, client: Client, expires_at: float | None = None) -> Client | None:
        """Keep a client, instead of an earlier one with its client_id. Return a forgotten one."""
        name = client.client_id
        others = {kept: self._registered[kept] for kept in self._registered if kept != name}
        self._registered = {**others, name: _Registered(client, expires_at)}
        if len(self._registered) <= REGISTERED_LIMIT:
            return None
        return self.forget(next(iter(others)), f"forgotten after {REGISTERED_LIMIT} later ones")

    def forget(self, client_id: str, why: str) -> Client | None:
        """Forget a registered client, and return it; None if it is unknown. `why` is a reason."""
        others = dict(self._registered)
        kept = others.pop(client_id, None)
        if kept is None:
            return None
        self._registered = others
        self._remember({client_id: (kept.client, why)})
        return kept.client

    def absence(self, client_id: str | None) -> str:
        """Return why a client is not known, for the journal."""
        name = client_id or ""
        kept, former = self._registered.get(name), self._former.get(name)
        if kept is not None and kept.expires_at is not None:
            seconds = self._clock.now() - kept.expires_at
            return f"client {client_id} unknown: its registration expired {seconds:.0f} s ago"
        why = None if former is None else former[1]
        return f"client {client_id} unknown" + ("" if why is None else f": {why}")

    def _remember(self, former: Mapping[str, tuple[Client, str | None]]) -> None:
        others = {name: self._former[name] for name in self._former if name not in former}
        self._former = dict(list({**others, **former}.items())[-_FORMER_LIMIT:])
