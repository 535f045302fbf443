"""The pytest plugin, in test runs of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fake_oauth import FakeOAuth, Settings

REFRESH = """
import json
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from fake_oauth import Client, FakeOAuth, RefreshToken, Settings, User

def refresh(server, refresh_token="MOCK_REFRESH_TOKEN", client="TENANT_CLIENT"):
    form = {
        "client_id": f"{client}_ID",
        "client_secret": f"{client}_SECRET",
        "grant_type": "refresh_token",
        "refresh_token": refresh_token,
    }
    with urlopen(server.token_url, urlencode(form).encode()) as reply:
        return json.load(reply)
"""


# Other people's plugins, which take a second to load.
ALONE = [f"-pno:{name}" for name in ("hypothesispytest", "anyio")]


def run(pytester: pytest.Pytester, tests: str, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(REFRESH + tests)
    return pytester.runpytest_inprocess("-Werror", *ALONE, *arguments)


def test_the_fixture_is_a_server(oauth_server: FakeOAuth) -> None:
    assert oauth_server.url.startswith("http://127.0.0.1:")
    assert oauth_server.seed == 0


def test_every_test_has_a_fresh_server_on_a_fresh_port(pytester: pytest.Pytester) -> None:
    tests = """
    urls = set()
    @pytest.mark.parametrize("n", [1, 2, 3])
    @pytest.mark.oauth_server(rotate_refresh_tokens=True)
    def test_it(oauth_server, n):
        assert oauth_server.url not in urls
        urls.add(oauth_server.url)
        assert refresh(oauth_server)["refresh_token"] != "MOCK_REFRESH_TOKEN"
        assert len(oauth_server.journal) == 1
    """
    run(pytester, dedented(tests)).assert_outcomes(passed=3)


def test_ids_are_the_same_in_every_run(pytester: pytest.Pytester) -> None:
    tests = """
    @pytest.mark.oauth_server(rotate_refresh_tokens=True)
    def test_it(oauth_server, make_oauth_server):
        first, second = refresh(oauth_server), refresh(make_oauth_server())
        assert first["refresh_token"] != second["refresh_token"]
        print("ids", first["refresh_token"], second["refresh_token"])
    """
    lines = [
        [line for line in run(pytester, dedented(tests), "-s").outlines if "ids " in line]
        for _ in range(2)
    ]
    assert lines[0] == lines[1]
    assert lines[0]


def test_several_servers_at_once_know_nothing_of_each_other(pytester: pytest.Pytester) -> None:
    tests = """
    def test_it(make_oauth_server, oauth_server):
        other = make_oauth_server(clients=[Client(client_id="A_ID", client_secret="A_SECRET")])
        third = make_oauth_server(Settings(seed=9))
        assert len({server.url for server in (oauth_server, other, third)}) == 3
        assert (oauth_server.seed, other.seed, third.seed) == (0, 1, 9)
        refresh(other, client="A")
        with pytest.raises(HTTPError):
            refresh(oauth_server, client="A")
        assert (len(oauth_server.journal), len(other.journal), len(third.journal)) == (1, 1, 0)
    """
    run(pytester, dedented(tests)).assert_outcomes(passed=1)


def test_the_nearest_marker_wins(pytester: pytest.Pytester) -> None:
    tests = """
    pytestmark = pytest.mark.oauth_server(rotate_refresh_tokens=True, access_token_seconds=60)

    @pytest.mark.oauth_server(rotate_refresh_tokens=False)
    def test_it(oauth_server):
        reply = refresh(oauth_server)
        assert (reply["refresh_token"], reply["expires_in"]) == ("MOCK_REFRESH_TOKEN", 59)
    """
    run(pytester, dedented(tests)).assert_outcomes(passed=1)


def test_settings_can_come_from_an_overridden_fixture(pytester: pytest.Pytester) -> None:
    tests = """
    @pytest.fixture(scope="module")
    def oauth_settings():
        return Settings(access_token_seconds=60, rotate_refresh_tokens=True)

    @pytest.mark.oauth_server(rotate_refresh_tokens=False)
    def test_it(oauth_server):
        reply = refresh(oauth_server)
        assert (reply["refresh_token"], reply["expires_in"]) == ("MOCK_REFRESH_TOKEN", 59)
    """
    run(pytester, dedented(tests)).assert_outcomes(passed=1)


def test_settings_can_come_from_a_file_beside_the_ini_file(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\noauth_server_settings = conf/fake.toml\n")
    pytester.mkdir("conf").joinpath("fake.toml").write_text("access_token_seconds = 60\n")
    elsewhere = pytester.mkdir("elsewhere")
    pytester.makepyfile(
        **{"elsewhere/test_it": REFRESH + "def test_it(oauth_server):\n    refresh(oauth_server)\n"}
    )
    run(pytester, "\ndef test_it(oauth_server):\n    refresh(oauth_server)\n", str(elsewhere))
    tests = """
    def test_it(oauth_server):
        assert refresh(oauth_server)["expires_in"] == 59
    """
    run(pytester, dedented(tests)).assert_outcomes(passed=2)


def test_settings_can_come_from_a_file_without_any_ini_file(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("fake.toml").write_text("access_token_seconds = 60\n")
    tests = """
    def test_it(oauth_server):
        assert refresh(oauth_server)["expires_in"] == 59
    """
    run(pytester, dedented(tests), "-o", "oauth_server_settings=fake.toml").assert_outcomes(
        passed=1
    )


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("rotate=True", "*$.rotate: unknown key, expected one of *"),
        ("issuer='x'", "*$.issuer: expected an http or https URL *"),
        ("True", "*takes fields of Settings by name*"),
    ],
)
def test_wrong_settings_are_told_without_a_traceback(
    pytester: pytest.Pytester, marker: str, message: str
) -> None:
    tests = f"""
    @pytest.mark.oauth_server({marker})
    def test_it(oauth_server):
        pass
    """
    result = run(pytester, dedented(tests))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*fake_oauth/*.py:*")


def test_a_wrong_settings_file_is_told_too(pytester: pytest.Pytester) -> None:
    tests = "\ndef test_it(oauth_server):\n    pass\n"
    result = run(pytester, tests, "-o", "oauth_server_settings=no.toml")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*no.toml: No such file or directory"])


def test_issue_and_the_clock_and_the_journal_make_a_test(pytester: pytest.Pytester) -> None:
    tests = """
    def test_an_expired_token_is_refused(oauth_server):
        tokens = oauth_server.issue()
        oauth_server.clock.advance(3601)
        with pytest.raises(HTTPError) as caught:
            refresh(oauth_server, tokens.refresh_token)
        caught.value.close()
        exchange = oauth_server.journal[-1]
        assert (exchange.status, exchange.error) == (400, "invalid_grant")
        assert exchange.reason.startswith("refresh token expired 1 s ago")
    """
    run(pytester, dedented(tests)).assert_outcomes(passed=1)


FAILING = """
def test_it(oauth_server, make_oauth_server):
    make_oauth_server()
    refresh(oauth_server)
    assert False
"""


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["alone", "under xdist"])
def test_the_report_of_a_failed_test_has_the_transcript(
    pytester: pytest.Pytester, arguments: tuple[str, ...]
) -> None:
    result = run(pytester, FAILING, *arguments)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- fake_oauth http://127.0.0.1:* -*",
            "#1 * POST /oauth2/token -> 200 [[]refresh_token, TENANT_CLIENT_ID] refreshed, *",
            "*- fake_oauth http://127.0.0.1:* -*",
            "no request arrived",
        ]
    )


def test_the_report_of_a_test_that_passed_has_none(pytester: pytest.Pytester) -> None:
    result = run(pytester, FAILING.replace("assert False", "pass"), "-rA")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*- fake_oauth http*")


def test_a_defect_of_ours_fails_the_test_at_its_end(pytester: pytest.Pytester) -> None:
    tests = """
    def broken(*_, **__):
        raise ZeroDivisionError("a defect")

    def test_it(oauth_server, make_oauth_server, monkeypatch):
        other = make_oauth_server()
        monkeypatch.setattr("fake_oauth.web.app.read", broken)
        with pytest.raises(OSError):
            refresh(oauth_server)
        monkeypatch.undo()
        refresh(other)
    """
    result = run(pytester, dedented(tests))
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*what went wrong in fake_oauth while it served*", "*a defect"])


def test_loading_the_plugin_imports_nothing_but_pytest() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import fake_oauth.pytest_plugin; "
        "print(*sorted(set(sys.modules) - before))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert shown == ["fake_oauth", "fake_oauth.pytest_plugin"]


def test_a_run_that_uses_no_fixture_imports_none_of_its_libraries(
    pytester: pytest.Pytester,
) -> None:
    tests = """
    def test_it():
        import sys
        heavy = {"werkzeug", "cryptography", "jwt", "cattrs", "fake_oauth.settings"}
        assert not heavy & set(sys.modules)
    """
    pytester.makepyfile(dedented(tests))
    pytester.runpytest_subprocess(*ALONE, "-pno:pytest_httpserver").assert_outcomes(passed=1)


def test_the_fixture_shows_up_with_its_description(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess(*ALONE, "--fixtures")
    result.stdout.fnmatch_lines(["oauth_server -- *", "    A fake OAuth server *"])
    result = pytester.runpytest_inprocess(*ALONE, "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.oauth_server(*changes): *"])


def test_settings_given_to_the_function_are_taken_as_they_are(
    make_oauth_server: object,
) -> None:
    assert callable(make_oauth_server)
    server = make_oauth_server(Settings(issuer="https://issuer.example"))
    assert server.issuer == "https://issuer.example"


def dedented(text: str) -> str:
    return "\n".join(line.removeprefix("    ") for line in text.splitlines()) + "\n"


def test_a_test_that_passed_fails_for_what_is_left_of_its_script(
    pytester: pytest.Pytester,
) -> None:
    tests = """
    from fake_oauth import faults

    def test_it(oauth_server):
        oauth_server.script(faults.ok, faults.Status(503))
        refresh(oauth_server)
    """
    result = run(pytester, dedented(tests))
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "the script of http://127.0.0.1:* was not used up:",
            "  step 2 Status(503)",
            "(@pytest.mark.allow_unused_faults lets a test end like this)",
            "*- fake_oauth http://127.0.0.1:* -*",
            "#1 * {step 1 ok} refreshed*",
        ]
    )


def test_a_marker_lets_a_script_be_left(pytester: pytest.Pytester) -> None:
    tests = """
    from fake_oauth import faults

    @pytest.mark.allow_unused_faults
    def test_it(oauth_server):
        oauth_server.script(faults.Status(503))

    def test_it_need_not_be_told_where_there_is_a_failure_already(oauth_server):
        oauth_server.script(faults.Status(503))
        raise ZeroDivisionError

    def test_nor_where_it_was_skipped(oauth_server):
        oauth_server.script(faults.Status(503))
        pytest.skip()

    def test_and_what_always_holds_need_not_be_met(oauth_server):
        oauth_server.always(faults.Status(503))
    """
    run(pytester, dedented(tests)).assert_outcomes(passed=2, failed=1, skipped=1)


TWICE = """
    import pytest
    def test_it(oauth_server):
        refresh(oauth_server)
        refresh(oauth_server)
        assert {passes}
"""


def test_what_a_client_did_wrong_is_in_the_report_of_a_failure(pytester: pytest.Pytester) -> None:
    result = run(pytester, dedented(TWICE.format(passes=False)))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "* what the client did wrong *",
            "request 2 refreshed MOCK_USERNAME/planted1, as request 1 just had",
        ]
    )
    result = run(pytester, dedented(TWICE.format(passes=True)))
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*did wrong*")


def test_what_a_client_did_wrong_fails_a_test_if_asked(pytester: pytest.Pytester) -> None:
    tests = """
    @pytest.mark.allow_misbehaviour
    def test_that_may(oauth_server):
        refresh(oauth_server)
        refresh(oauth_server)

    def test_that_behaves(oauth_server):
        refresh(oauth_server)
    """
    pytester.makeini("[pytest]\noauth_server_misbehaviour = error")
    result = run(pytester, dedented(TWICE.format(passes=True)) + dedented(tests))
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(
        [
            "the client of http://127.0.0.1:* did wrong:",
            "  request 2 refreshed MOCK_USERNAME/planted1, as request 1 just had",
            "  request 2 refreshed MOCK_USERNAME/planted1, whose access token was good for * s",
            "(@pytest.mark.allow_misbehaviour lets a test end like this)",
        ]
    )


def test_the_option_has_two_values(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\noauth_server_misbehaviour = eror")
    result = run(pytester, "\ndef test_it():\n    pass\n")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: oauth_server_misbehaviour: expected report or error, got 'eror'"]
    )
