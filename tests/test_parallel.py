"""Two workers of pytest-xdist: each has its own servers, and every test gets the same IDs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.test_docs import ROOT, blocks, named
from tests.test_pytest_plugin import ALONE

PAGE = "docs/howto/pytest-xdist.md"
TESTS = """
import json
from pathlib import Path

import pytest


@pytest.mark.parametrize("number", range(6))
def test_it(oauth_server, shared_oauth_server, make_oauth_server, worker_id, number):
    second = make_oauth_server()
    seen = {
        "worker": worker_id,
        "shared": shared_oauth_server.url,
        "seeds": [oauth_server.seed, second.seed, shared_oauth_server.seed],
        "token": oauth_server.issue_tokens().refresh_token,
    }
    Path(f"seen{number}.json").write_text(json.dumps(seen), encoding="utf-8")
"""


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess(
        "-Werror", "-n2", "-pno:cacheprovider", *ALONE, *arguments, timeout=120
    )


def test_workers_have_servers_of_their_own_and_the_same_seeds(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    # xdist gives each worker two of the tests before it looks at which one is quicker.
    run(pytester).assert_outcomes(passed=6)
    seen: list[dict[str, Any]] = [
        json.loads(path.read_text(encoding="utf-8")) for path in pytester.path.glob("seen*.json")
    ]
    assert {one["worker"] for one in seen} == {"gw0", "gw1"}
    assert len({(one["worker"], one["shared"]) for one in seen}) == 2
    assert len({one["shared"] for one in seen}) == 2
    assert {tuple(one["seeds"]) for one in seen} == {(0, 1, 0)}
    assert len({one["token"] for one in seen}) == 1


def test_the_page_is_true_in_two_workers(pytester: pytest.Pytester) -> None:
    examples = [
        str(block.values[0]) for block in blocks("python") if str(block.id).startswith(PAGE)
    ]
    for block in examples:
        pytester.makepyfile(**{named(block): block})
    run(pytester, "--dist=loadgroup").assert_outcomes(passed=14)
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    (shown,) = re.findall(r"^(\d+) passed", text, re.MULTILINE)
    run(pytester, "test_refresh.py").assert_outcomes(passed=int(shown))


def test_a_failure_in_a_worker_has_its_report(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import urllib.request

        def test_it(oauth_server):
            urllib.request.urlopen(oauth_server.url_of("jwks")).close()
            raise AssertionError
        """
    )
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines([r"-+ fake_oauth http://127", r"#1 .* GET /oauth2/jwks -> 200 .*"])
