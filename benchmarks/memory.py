"""What a long life costs: `python memory.py REFRESHES` prints the MB that a process grew by.

Two fakes, one of which rotates its refresh tokens, are asked in process, each from a thread of its
own: signing releases the GIL.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qsl

from servers import FORM, PATH
from werkzeug.test import Client

from fake_oauth import FakeOAuth, Settings

# Fills what is bounded by about a thousand: journals, remembered signatures.
WARM_UP = 2000


class Asker:
    """A client that goes on with the refresh token it was given last."""

    def __init__(self, fake: FakeOAuth) -> None:
        self._client = Client(fake)
        self._form = dict(parse_qsl(FORM))

    def refresh(self, times: int) -> None:
        for _ in range(times):
            reply = self._client.post(PATH, data=self._form)
            if reply.status_code != 200 or reply.json is None:
                raise SystemExit(f"answered {reply.status_code}: {reply.text}")
            self._form["refresh_token"] = reply.json["refresh_token"]


def resident() -> float:
    """MB of this process in memory now (Linux; what `resource` knows is the most it ever was)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def main(refreshes: int) -> None:
    """Ask, and print how much memory that took for good."""
    askers = [Asker(FakeOAuth()), Asker(FakeOAuth(Settings(refresh_policy="rotate")))]
    with ThreadPoolExecutor(len(askers)) as pool:
        list(pool.map(lambda asker: asker.refresh(WARM_UP // 2), askers))
        before = resident()
        list(pool.map(lambda asker: asker.refresh(refreshes // 2), askers))
        print(resident() - before)


if __name__ == "__main__":
    main(int(sys.argv[1]))
