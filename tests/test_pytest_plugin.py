"""The pytest plugin, in test runs of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
from textwrap import dedent
from typing import Any

import pytest

from fake_oauth import FakeOAuth, Settings

REFRESH = """
import json
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from fake_oauth import BehaviorError, Client, FakeOAuth, Settings, SettingsError, faults

def refresh(server, refresh_token="MOCK_REFRESH_TOKEN", client="TENANT_CLIENT"):
    form = {
        "client_id": f"{client}_ID",
        "client_secret": f"{client}_SECRET",
        "grant_type": "refresh_token",
        "refresh_token": refresh_token,
    }
    with urlopen(server.token_url, urlencode(form).encode()) as response:
        return json.load(response)
"""


# Other people's plugins, which take a second to load.
ALONE = [f"-pno:{name}" for name in ("hypothesispytest", "anyio", "asyncio", "respx")]


def run(pytester: pytest.Pytester, tests: str, *arguments: str) -> pytest.RunResult:
    """Run tests that have `refresh(server)` and the names it needs."""
    pytester.makepyfile(REFRESH + dedent(tests))
    return pytester.runpytest_inprocess("-Werror", *ALONE, *arguments)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


# A server for each test


def test_the_fixture_is_a_server(oauth_server: FakeOAuth) -> None:
    assert oauth_server.url.startswith("http://127.0.0.1:")
    assert oauth_server.seed == 0


def test_every_test_has_a_new_server(pytester: pytest.Pytester) -> None:
    tests = """
    urls = set()
    @pytest.mark.parametrize("n", [1, 2, 3])
    @pytest.mark.oauth_server(refresh_policy="rotate")
    def test_it(oauth_server, n):
        assert oauth_server.url not in urls
        urls.add(oauth_server.url)
        assert refresh(oauth_server)["refresh_token"] != "MOCK_REFRESH_TOKEN"
        assert len(oauth_server.journal) == 1
    """
    run(pytester, tests).assert_outcomes(passed=3)


def test_ids_are_the_same_in_every_run(pytester: pytest.Pytester) -> None:
    tests = """
    @pytest.mark.oauth_server(refresh_policy="rotate")
    def test_it(oauth_server, make_oauth_server):
        first, second = refresh(oauth_server), refresh(make_oauth_server())
        assert first["refresh_token"] != second["refresh_token"]
        print("ids", first["refresh_token"], second["refresh_token"])
    """
    lines = [
        [line for line in run(pytester, tests, "-s").outlines if "ids " in line] for _ in range(2)
    ]
    assert lines[0] == lines[1]
    assert lines[0]


def test_servers_of_one_test_share_nothing(pytester: pytest.Pytester) -> None:
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
    run(pytester, tests).assert_outcomes(passed=1)


def test_a_server_can_have_an_address(make_oauth_server: Any) -> None:
    port = free_port()
    assert make_oauth_server(port=port).url == f"http://127.0.0.1:{port}"
    assert make_oauth_server(host="0.0.0.0").url.startswith("http://0.0.0.0:")  # noqa: S104


def test_settings_passed_to_the_function_are_used_unchanged(make_oauth_server: Any) -> None:
    server = make_oauth_server(Settings(issuer="https://issuer.example"))
    assert server.issuer == "https://issuer.example"


# Settings


def test_the_nearest_marker_takes_precedence(pytester: pytest.Pytester) -> None:
    tests = """
    pytestmark = pytest.mark.oauth_server(refresh_policy="rotate", access_token_seconds=60)

    @pytest.mark.oauth_server(refresh_policy="ciam")
    def test_it(oauth_server):
        response = refresh(oauth_server)
        assert (response["refresh_token"], response["expires_in"]) == ("MOCK_REFRESH_TOKEN", 59)
    """
    run(pytester, tests).assert_outcomes(passed=1)


@pytest.mark.parametrize("scope", ["function", "module"])
def test_settings_can_come_from_an_overridden_fixture(
    pytester: pytest.Pytester, scope: str
) -> None:
    tests = f"""
    @pytest.fixture(scope="{scope}")
    def oauth_settings():
        return Settings(access_token_seconds=60, refresh_policy="rotate")

    @pytest.mark.oauth_server(refresh_policy="ciam")
    def test_it(oauth_server):
        response = refresh(oauth_server)
        assert (response["refresh_token"], response["expires_in"]) == ("MOCK_REFRESH_TOKEN", 59)
    """
    run(pytester, tests).assert_outcomes(passed=1)


def test_settings_can_come_from_a_file_next_to_the_ini_file(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\noauth_server_settings = conf/fake.toml\n")
    pytester.mkdir("conf").joinpath("fake.toml").write_text("access_token_seconds = 60\n")
    pytester.mkdir("elsewhere")
    test = "def test_it(oauth_server):\n    assert refresh(oauth_server)['expires_in'] == 59\n"
    pytester.makepyfile(**{"elsewhere/test_it": REFRESH + test})
    pytester.runpytest_inprocess(*ALONE, "elsewhere").assert_outcomes(passed=1)


def test_settings_can_come_from_a_file_without_an_ini_file(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("fake.toml").write_text("access_token_seconds = 60\n")
    tests = """
    def test_it(oauth_server):
        assert refresh(oauth_server)["expires_in"] == 59
    """
    run(pytester, tests, "-o", "oauth_server_settings=fake.toml").assert_outcomes(passed=1)


@pytest.mark.parametrize("fixture", ["oauth_server", "shared_oauth_server"])
@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("rotate=True", "$.rotate: unknown key; *"),
        ("issuer='x'", "$.issuer: expected an http or https URL *"),
        (
            "True",
            "@pytest.mark.oauth_server: expected fields of Settings by name, such as "
            "oauth_server(seed=1), got True",
        ),
    ],
)
def test_invalid_settings_are_reported_once(
    pytester: pytest.Pytester, marker: str, message: str, fixture: str
) -> None:
    tests = f"""
    @pytest.mark.oauth_server({marker})
    def test_it({fixture}):
        pass
    """
    result = run(pytester, tests, "--tb=long", "-rN")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])
    assert result.stdout.str().count(message.rstrip("*")) == 1
    assert_one_failure(result)


def test_an_invalid_settings_file_is_reported_once(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        "\ndef test_it(oauth_server):\n    pass\n",
        "-rN",
        "-o",
        "oauth_server_settings=no.toml",
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*no.toml: No such file or directory"])
    assert_one_failure(result)


def test_a_port_that_is_in_use_is_reported_once(pytester: pytest.Pytester) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        pytester.makeini(f"[pytest]\noauth_server_port = {port}")
        result = run(pytester, "\ndef test_it(shared_oauth_server):\n    pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["oauth_server cannot start:", "*in use*"])
    assert_one_failure(result)


def test_a_bug_in_a_settings_fixture_keeps_its_traceback(pytester: pytest.Pytester) -> None:
    tests = """
    @pytest.fixture
    def oauth_settings():
        return None

    def test_it(oauth_server):
        pass
    """
    result = run(pytester, tests)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*AttributeError*"])


def test_a_test_can_expect_invalid_settings(pytester: pytest.Pytester) -> None:
    tests = """
    def test_it(make_oauth_server):
        with pytest.raises(SettingsError):
            make_oauth_server(rotate=True)

    def test_that_fails(make_oauth_server):
        make_oauth_server(rotate=True)
    """
    result = run(pytester, tests)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([">*make_oauth_server(rotate=True)", "E *$.rotate: unknown key*"])
    assert_one_failure(result)


def assert_one_failure(result: pytest.RunResult) -> None:
    """Check that there is one chain of exceptions, and that no frame is from the package."""
    output = result.stdout.str()
    for sign in ("During handling", "direct cause", "Traceback", "fake_oauth/", "pytest_plugin"):
        assert sign not in output, output


# The report of a test that failed

FAILING = """
def test_it(oauth_server, make_oauth_server):
    make_oauth_server()
    refresh(oauth_server)
    assert False
"""


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["alone", "under xdist"])
def test_a_failed_test_shows_every_journal(
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


def test_a_passed_test_shows_none(pytester: pytest.Pytester) -> None:
    result = run(pytester, FAILING.replace("assert False", "pass"), "-rA")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*- fake_oauth http*")


def test_the_servers_that_a_test_started_itself_are_shown(pytester: pytest.Pytester) -> None:
    tests = """
    earlier = FakeOAuth().start()

    def test_that_passes():
        refresh(earlier)
        earlier.stop()

    def test_it():
        with FakeOAuth() as server:
            for _ in range(40):
                refresh(server)
            assert False

    def test_without_a_traceback(oauth_server):
        pytest.fail("no traceback", pytrace=False)
    """
    result = run(pytester, tests, "--junit-xml=out.xml")
    result.assert_outcomes(passed=1, failed=2)
    xml = pytester.path.joinpath("out.xml").read_text(encoding="utf-8")
    for report in (result.stdout.str(), xml):
        assert report.count("fake_oauth http://") == 2, report
        assert "(10 earlier exchanges are not shown)\n#11 " in report
        assert "violations of the client of http://" in report
        assert "no request arrived" in report


def test_a_server_that_another_test_left_running_is_not_blamed(pytester: pytest.Pytester) -> None:
    tests = """
    left = FakeOAuth()

    def test_that_leaves_it():
        left.start()
        refresh(left)
        refresh(left)

    def test_of_something_else():
        assert False

    def test_that_uses_it():
        refresh(left)
        assert False

    def test_at_the_end():
        left.stop()
    """
    result = run(pytester, tests)
    result.assert_outcomes(passed=2, failed=2)
    output = result.stdout.str()
    other, _, own = output.partition("_ test_that_uses_it _")
    assert "fake_oauth http://" not in other
    assert "(2 earlier exchanges are not shown)\n#3 " in own
    assert "request 3 refreshed" in own
    assert "request 2 refreshed" not in own


def test_a_missing_fixture_shows_the_journal_too(pytester: pytest.Pytester) -> None:
    tests = """
    def test_it(oauth_server, no_such_fixture):
        pass
    """
    result = run(pytester, tests)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "*fixture 'no_such_fixture' not found",
            "*- fake_oauth http://127.0.0.1:* -*",
            "no request arrived",
        ]
    )


def test_a_failed_assertion_about_the_client_shows_the_journal_once(
    pytester: pytest.Pytester,
) -> None:
    tests = """
    def test_it(oauth_server):
        refresh(oauth_server)
        refresh(oauth_server)
        oauth_server.assert_client.refreshed_once_per_expiry()
    """
    result = run(pytester, tests, "-rN")
    result.assert_outcomes(failed=1)
    output = result.stdout.str()
    assert output.count("#1 ") == 1
    assert output.count("which request 1 had just refreshed") == 1
    assert output.count("whose access token was valid") == 1
    result.stdout.fnmatch_lines([">*oauth_server.assert_client.refreshed_once_per_expiry()"])
    assert_one_failure(result)


# What fails a test that would pass


def test_a_script_that_was_not_used(pytester: pytest.Pytester) -> None:
    tests = """
    def test_it(oauth_server):
        oauth_server.script(faults.Pass(), faults.Status(503))
        refresh(oauth_server)
    """
    result = run(pytester, tests)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "http://127.0.0.1:*: the script has unused or ineffective steps:",
            "  step 2 Status(503)",
            "(to allow this, mark the test with @pytest.mark.allow_unused_faults)",
            "*- fake_oauth http://127.0.0.1:* -*",
            "#1 * {step 1 Pass()} refreshed*",
        ]
    )
    assert_one_failure(result)


def test_a_script_that_need_not_be_used(pytester: pytest.Pytester) -> None:
    tests = """
    @pytest.mark.allow_unused_faults
    def test_with_a_marker(oauth_server):
        oauth_server.script(faults.Status(503))

    def test_that_has_failed(oauth_server):
        oauth_server.script(faults.Status(503))
        raise ZeroDivisionError

    def test_that_was_skipped(oauth_server):
        oauth_server.script(faults.Status(503))
        pytest.skip()

    def test_of_a_standing_fault(oauth_server):
        oauth_server.always(faults.Status(503))
    """
    run(pytester, tests).assert_outcomes(passed=2, failed=1, skipped=1)


TWICE = """
def test_it(oauth_server):
    refresh(oauth_server)
    refresh(oauth_server)
    assert {passes}
"""


def test_violations_are_in_the_report_of_a_failure(pytester: pytest.Pytester) -> None:
    result = run(pytester, TWICE.format(passes=False))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- violations of the client of http://127.0.0.1:* -*",
            "request 2 refreshed MOCK_USERNAME/preconfigured1, which request 1 had just refreshed",
        ]
    )
    result = run(pytester, TWICE.format(passes=True))
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*violations of*")


def test_violations_fail_a_test_if_the_project_asks_for_it(pytester: pytest.Pytester) -> None:
    tests = """
    @pytest.mark.allow_violations
    def test_with_a_marker(oauth_server):
        refresh(oauth_server)
        refresh(oauth_server)

    def test_without_violations(oauth_server):
        refresh(oauth_server)
    """
    pytester.makeini("[pytest]\noauth_server_violations = error")
    result = run(pytester, dedent(TWICE.format(passes=True)) + dedent(tests), "-rN")
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(
        [
            "http://127.0.0.1:*: the client misbehaved:",
            "  request 2 refreshed */preconfigured1, which request 1 had just refreshed",
            "  request 2 refreshed */preconfigured1, whose access token was valid for *",
            "(to allow this, mark the test with @pytest.mark.allow_violations)",
        ]
    )
    assert result.stdout.str().count("which request 1 had just refreshed") == 1
    assert_one_failure(result)


def test_the_problems_of_all_servers_are_one_failure(pytester: pytest.Pytester) -> None:
    tests = """
    def test_it(oauth_server, make_oauth_server):
        other = make_oauth_server()
        for server in (oauth_server, other):
            refresh(server)
            refresh(server)
            server.script(faults.Status(503))
    """
    pytester.makeini("[pytest]\noauth_server_violations = error")
    result = run(pytester, tests, "-rN")
    result.assert_outcomes(passed=1, errors=1)
    output = result.stdout.str()
    assert output.count("the script has unused or ineffective steps:") == 2
    assert output.count("the client misbehaved:") == 2
    assert_one_failure(result)


def test_a_bug_of_the_server_fails_the_test(pytester: pytest.Pytester) -> None:
    tests = """
    def broken(*_, **__):
        raise ZeroDivisionError("a bug")

    def test_it(oauth_server, make_oauth_server, monkeypatch):
        oauth_server.script(faults.Status(503))
        other = make_oauth_server()
        monkeypatch.setattr("fake_oauth.http.app.read", broken)
        with pytest.raises(OSError):
            refresh(oauth_server)
        monkeypatch.undo()
        refresh(other)
    """
    result = run(pytester, tests)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*: requests failed in the server*", "*a bug"])
    result.stdout.no_fnmatch_line("*the script has unused*")
    result.stdout.no_fnmatch_line("*During handling*")


# One server for the session


def test_a_server_can_be_shared_by_the_session(pytester: pytest.Pytester) -> None:
    tests = """
    @pytest.fixture(scope="session")
    def app(session_oauth_server):
        return {"token_url": session_oauth_server.token_url}

    @pytest.fixture(autouse=True)
    def oauth_server(shared_oauth_server):
        return shared_oauth_server

    @pytest.mark.parametrize("n", [1, 2])
    @pytest.mark.oauth_server(refresh_policy="rotate")
    def test_it_is_new(app, oauth_server, n):
        assert app["token_url"] == oauth_server.token_url
        assert refresh(oauth_server)["refresh_token"] != "MOCK_REFRESH_TOKEN"
        assert len(oauth_server.journal) == 1
        assert oauth_server.seed == 0
        oauth_server.clock.advance(3600)

    def test_its_settings_are_reset(app, oauth_server):
        assert refresh(oauth_server)["refresh_token"] == "MOCK_REFRESH_TOKEN"

    def test_its_script_is_checked(oauth_server):
        oauth_server.script(faults.Status(503))

    def test_its_journal_is_reported(oauth_server):
        refresh(oauth_server)
        assert False
    """
    port = free_port()
    pytester.makeini(f"[pytest]\noauth_server_port = {port}")
    result = run(pytester, tests, "-rN")
    result.assert_outcomes(passed=4, failed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            f"http://127.0.0.1:{port}: the script has unused or ineffective steps:",
            f"*- fake_oauth http://127.0.0.1:{port} -*",
            "no request arrived",
            f"*- fake_oauth http://127.0.0.1:{port} -*",
            "#1 *",
        ]
    )


def test_the_shared_server_starts_with_the_settings_of_the_session(
    pytester: pytest.Pytester,
) -> None:
    tests = """
    @pytest.fixture(scope="session")
    def oauth_settings():
        return Settings(seed=7, control=True)

    @pytest.mark.oauth_server(control=True)
    def test_it(shared_oauth_server):
        assert shared_oauth_server.seed == 7
        with urlopen(f"{shared_oauth_server.url}/_fake/journal") as response:
            assert response.status == 200

    @pytest.mark.oauth_server(tls=True)
    def test_of_what_cannot_change(shared_oauth_server):
        pass
    """
    result = run(pytester, tests)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["@pytest.mark.oauth_server: tls of a shared server cannot change; set it in *"]
    )


def test_the_shared_server_can_listen_on_another_address(pytester: pytest.Pytester) -> None:
    tests = """
    def test_it(session_oauth_server):
        assert session_oauth_server.url.startswith("http://0.0.0.0:")
    """
    pytester.makeini("[pytest]\noauth_server_host = 0.0.0.0")
    run(pytester, tests).assert_outcomes(passed=1)


def test_a_project_can_define_its_own_server(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest
        from fake_oauth import FakeOAuth

        @pytest.fixture(scope="session")
        def oauth_server():
            with FakeOAuth() as server:
                yield server
        """
    )
    tests = """
    def test_it(oauth_server):
        refresh(oauth_server)

    def test_that_fails(oauth_server):
        assert len(oauth_server.journal) == 1
        assert False
    """
    result = run(pytester, tests)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*- fake_oauth http://127.0.0.1:* -*", "#1 *"])


# What it costs those who do not use it


def test_loading_the_plugin_imports_nothing_but_pytest() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import fake_oauth.pytest_plugin; "
        "print(*sorted(set(sys.modules) - before))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert shown == ["fake_oauth", "fake_oauth.pytest_plugin"]


def test_a_run_that_uses_no_fixture_imports_no_library(pytester: pytest.Pytester) -> None:
    tests = """
    def test_it():
        import sys
        heavy = {"werkzeug", "cryptography", "jwt", "cattrs", "h11", "fake_oauth.settings"}
        assert not heavy & set(sys.modules)

    def test_that_fails():
        assert False
    """
    pytester.makepyfile(dedent(tests))
    result = pytester.runpytest_subprocess(*ALONE, "-pno:pytest_httpserver")
    result.assert_outcomes(passed=1, failed=1)


def test_the_plugin_adds_nothing_to_the_command_line(pytester: pytest.Pytester) -> None:
    def options(*arguments: str) -> list[str]:
        lines = pytester.runpytest_inprocess(*ALONE, "--help", *arguments).outlines
        return [line for line in lines if line.strip().startswith("--oauth")]

    assert options() == []
    assert options("--pyargs", "fake_oauth.contract") != []


# How it is described


def test_pytest_describes_fixtures_markers_and_ini_options(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess(*ALONE, "--fixtures")
    result.stdout.fnmatch_lines(["oauth_server -- *", "    Provide a fake OAuth server *"])
    result = pytester.runpytest_inprocess(*ALONE, "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.oauth_server(*changes): *"])
    result = pytester.runpytest_inprocess(*ALONE, "--help")
    for name in ("settings", "host", "port", "violations"):
        result.stdout.fnmatch_lines([f"  oauth_server_{name} (string):*"])


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("violations = eror", "report or error, got 'eror'"),
        ("port = x", "0 to 65535, got 'x'"),
        ("port = -1", "0 to 65535, got '-1'"),
        ("port = 65536", "0 to 65535, got '65536'"),
        ("port = 0000000001", "0 to 65535, got '0000000001'"),
    ],
)
def test_an_invalid_ini_option_is_a_usage_error(
    pytester: pytest.Pytester, option: str, expected: str
) -> None:
    pytester.makeini(f"[pytest]\noauth_server_{option}")
    result = run(pytester, "\ndef test_it():\n    pass\n")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    name = f"oauth_server_{option.partition(' ')[0]}"
    result.stderr.fnmatch_lines([f"ERROR: {name}: expected {expected}"])
