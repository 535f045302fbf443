"""A long life under rotation: `python long_life.py REFRESHES` prints its cost at the end.

A thousand families take turns, and the clock moves on. Now and then a spent token is replayed,
which revokes its family; now and then a family is left alone and expires; new logins replace them.
Signatures, which cost the same every time and would hide what grows, are left out.

It prints the p50 of the last tenth over that of the first, each relative to a fake that is new at
that time, as machines are faster and slower by the minute; and the MB that the process grew by in
between.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from memory import resident
from werkzeug.test import EnvironBuilder, run_wsgi_app

from fake_oauth import Client, FakeOAuth, RefreshPolicy, Settings
from fake_oauth.provider.keys import Key

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

FAMILIES = 1000
# Each family comes round before its access token has expired, which is when most clients refresh.
STEP_SECONDS = 0.25
REPLAYED_EVERY, LEFT_EVERY = 997, 499

SETTINGS = Settings(
    clients=[Client(client_id="web", client_secret="s3cret")],
    refresh_tokens=[],
    refresh_policy=RefreshPolicy.RFC9700,
    issuer="https://issuer.example",
    start_time=0,
    freeze_time=True,
    seed=0,
)


class Soak:
    """A fake without a socket, and the families that live in it."""

    def __init__(self) -> None:
        self.fake = FakeOAuth(SETTINGS)
        self.tokens = [self._log_in() for _ in range(FAMILIES)]
        self.spent: list[str | None] = [None] * FAMILIES

    def seconds(self, refreshes: int) -> Iterator[float]:
        """What each refresh took."""
        for number in range(refreshes):
            index = number % FAMILIES
            self.fake.clock.advance(STEP_SECONDS)
            replayed = self.spent[index]
            if number % LEFT_EVERY == 0:
                self.tokens[index] = self._log_in()
            elif number % REPLAYED_EVERY == 0 and replayed is not None:
                run_wsgi_app(self.fake, self._environ(replayed))
                self.tokens[index] = self._log_in()
            token = self.tokens[index]
            environ = self._environ(token)
            begin = perf_counter()
            chunks, status, _ = run_wsgi_app(self.fake, environ)
            body = b"".join(chunks)
            yield perf_counter() - begin
            if status != "200 OK":
                raise SystemExit(f"answered {status}: {body.decode()}")
            self.spent[index] = token
            self.tokens[index] = self._refresh_token_in(body)

    def _log_in(self) -> str:
        token = self.fake.issue_tokens().refresh_token
        assert token is not None
        return token

    @staticmethod
    def _environ(token: str) -> WSGIEnvironment:
        form = {
            "client_id": "web",
            "client_secret": "s3cret",
            "grant_type": "refresh_token",
            "refresh_token": token,
        }
        builder = EnvironBuilder(
            "/oauth2/token",
            method="POST",
            data=urlencode(form),
            content_type="application/x-www-form-urlencoded",
        )
        return builder.get_environ()

    @staticmethod
    def _refresh_token_in(body: bytes) -> str:
        return body.partition(b'"refresh_token" : "')[2].partition(b'"')[0].decode()


def beside_a_young_one(costs: Iterator[float], refreshes: int) -> float:
    """The p50 of so many refreshes over that of a fake that is new, asked in turns."""
    young = Soak().seconds(refreshes)
    mine, others = [], []
    for _ in range(refreshes):
        mine.append(next(costs))
        others.append(next(young))
    return median(mine) / median(others)


def main(refreshes: int) -> None:
    """Refresh, and print what became of cost and memory."""
    setattr(Key, "sign", lambda _, _data: bytes(256))  # noqa: B010
    costs, tenth = Soak().seconds(refreshes), refreshes // 10
    first = beside_a_young_one(costs, tenth)
    gc.collect()
    before = resident()
    for _ in range(8 * tenth):
        next(costs)
    gc.collect()
    grown = resident() - before
    print(beside_a_young_one(costs, tenth) / first, grown)


if __name__ == "__main__":
    main(int(sys.argv[1]))
