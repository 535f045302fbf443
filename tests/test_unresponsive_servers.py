"""`fake-oauth check` and servers that send no response, a broken one, or one that is too late."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from ssl import create_default_context
from time import monotonic
from typing import Any

import pytest

from fake_oauth import FakeOAuth, Settings, faults
from fake_oauth.__main__ import main
from fake_oauth.contract import cli
from fake_oauth.contract.cases import Request, cases
from fake_oauth.contract.client import HTTPTransport, UnreachableError
from fake_oauth.contract.runner import Outcome, run
from fake_oauth.contract.targets import FakeTarget, ServerTarget
from fake_oauth.faults import Fault

DISCOVERY = Request(method="GET", path="/.well-known/openid-configuration")
DEFAULT = Settings()
CLIENT = ("--client-id", "TENANT_CLIENT_ID", "--client-secret", "TENANT_CLIENT_SECRET")


@contextmanager
def faulty(
    fault: Fault, endpoint: str = "discovery", settings: Settings = DEFAULT
) -> Iterator[FakeOAuth]:
    """Provide a server whose every response at an endpoint has a fault."""
    with FakeOAuth(settings) as server:
        server.always(faults.Rule(fault, endpoint=endpoint))
        yield server


# The transport


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("fault", [faults.Drip(20), faults.Hang()], ids=str)
def test_a_complete_response_must_arrive_in_time(*, fault: Fault, tls: bool) -> None:
    with faulty(fault, settings=Settings(tls=tls)) as server:
        context = create_default_context(cadata=server.ca_pem) if tls else None
        transport = HTTPTransport(server.url, 0.3, context)
        began = monotonic()
        with pytest.raises(UnreachableError) as caught:
            transport.send(DISCOVERY)
        assert monotonic() - began < 10
        why = "no valid response: no complete response within 0.3 s"
        assert str(caught.value) == f"{server.url}: {why}"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (faults.HangUp(), "the server closed the connection without a response"),
        (faults.Reset(), "Connection reset by peer"),
        (
            faults.Garbage(),
            r"illegal status line: bytearray(b'\x00\x01\x02 this is not HTTP')",
        ),
        (
            faults.Truncated(7),
            "peer closed connection without sending complete message body "
            "(received 7 bytes, expected 887)",
        ),
        (faults.BadChunk(), r"illegal chunk header: bytearray(b'no size\r\n')"),
    ],
    ids=str,
)
def test_a_response_that_is_cut_off_or_not_http_is_an_error(fault: Fault, reason: str) -> None:
    with faulty(fault) as server, pytest.raises(UnreachableError) as caught:
        HTTPTransport(server.url).send(DISCOVERY)
    assert str(caught.value) == f"{server.url}: no valid response: {reason}"


def test_a_port_on_which_no_server_listens_is_an_error() -> None:
    with FakeOAuth() as server:
        url = server.url
    with pytest.raises(UnreachableError, match=r"no valid response: Connection refused$"):
        HTTPTransport(url).send(DISCOVERY)


# The cases


def test_a_case_without_a_response_differs_and_the_other_cases_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "report.json"
    with faulty(faults.HangUp(), "revoke") as server:
        options = ["--dialect", "ciam", "--spend", "--timeout=9.5", *CLIENT]
        options += ["--value", "access_token=t", "--json", str(path)]
        assert main(["check", server.url, *options]) == 1
    by_name = {case["case"]: case for case in json.loads(path.read_text("utf-8"))["cases"]}
    (difference,) = by_name["revoke.success"]["differences"]
    assert (difference["where"], difference["expected"]) == ("response", "status 200")
    why = "no valid response: the server closed the connection without a response"
    assert difference["actual"] == f"none: {server.url}: {why}"
    assert by_name["refresh_token.invalid_grant"]["verdict"] == "matches"
    assert capsys.readouterr().err == ""


def test_a_path_without_a_response_is_given_up_after_three_cases() -> None:
    with FakeOAuth() as server:
        target = ServerTarget(HTTPTransport(server.url), {}, server.dialect)
    by_name = {case.name: case for case in cases()}
    jwks, discovery = by_name["jwks.success"], by_name["discovery.success"]
    outcomes = [(one.verdict, one.reason) for one in run([jwks] * 5 + [discovery], target)]
    differs = ("differs", "")
    skipped = ("skipped", "needs a server that responds at /oauth2/jwks")
    assert outcomes == [*[differs] * 3, *[skipped] * 2, differs]


@pytest.mark.parametrize(
    ("url", "of_metadata", "of_token"),
    [
        *((url, "differs", "matches") for url in ("ftp://x.example/token", "//x", 7)),
        ("http://[x/token", "matches", "differs"),  # It starts like a URL, and cannot be used.
    ],
)
def test_an_endpoint_in_the_metadata_that_is_not_a_url_is_a_difference(
    url: Any, of_metadata: str, of_token: str
) -> None:
    fault = faults.Field("token_endpoint", url)
    with faulty(fault, "metadata", Settings(dialect="rfc")) as server:
        server.always(faults.Rule(fault, endpoint="discovery"))
        values = {"client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET"}
        target = ServerTarget(HTTPTransport(server.url), values, server.dialect)
        names = ("metadata.success", "refresh_token.unknown")
        chosen = [case for case in cases("rfc") if case.name in names]
        verdicts = {one.case.name: one.verdict for one in run(chosen, target)}
    assert verdicts == {"metadata.success": of_metadata, "refresh_token.unknown": of_token}


# The command


def test_a_check_reports_the_cases_even_if_the_fake_stops(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command also says that the fake could not be reset."""
    with FakeOAuth(Settings(control=True)) as server:
        target = FakeTarget(HTTPTransport(server.url), server.dialect)

        def stopping(*_: object) -> Iterator[Outcome]:
            outcomes = run(cases()[:5], target)
            yield next(outcomes)
            server.stop()
            yield from outcomes

        monkeypatch.setattr(cli, "run", stopping)
        assert main(["check", server.url, "--spend"]) == 2
    output = capsys.readouterr()
    assert "1 match, 3 differ, 1 skipped" in output.out
    assert output.err == f"fake-oauth: {server.url}: no valid response: Connection refused\n"


def test_https_needs_a_certificate_to_trust(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeOAuth(Settings(tls=True, control=True)) as server:
        assert main(["check", server.url]) == 2
        assert "certificate verify failed" in capsys.readouterr().err
        path = tmp_path / "ca.pem"
        path.write_text(server.ca_pem, encoding="utf-8")
        assert main(["check", server.url, "--ca-file", str(path)]) == 0
    assert "0 differ" in capsys.readouterr().out


def test_an_interrupted_check_resets_the_fake_to_its_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(control=True, refresh_policy="rotate")
    with FakeOAuth(settings) as server:
        target = FakeTarget(HTTPTransport(server.url), server.dialect)

        def interrupted(*_: object) -> Iterator[Outcome]:
            yield next(run(cases(), target))
            assert server.settings != settings
            raise KeyboardInterrupt

        monkeypatch.setattr(cli, "run", interrupted)
        assert main(["check", server.url, "--spend"]) == 130
        assert server.settings == settings
    assert capsys.readouterr().err == "fake-oauth: interrupted\n"


@pytest.mark.parametrize(
    "url",
    [
        *("tenant.example", "http://", "ftp://tenant.example", "http://tenant.example:port"),
        *("http://[::1", "http://tenant.example:0", "http://tenant.example/?a=b"),
        *("https://tenant.example#here", "https://alice:s3cret@tenant.example"),
    ],
)
@pytest.mark.parametrize("command", [("check",), ("record", "--upstream")], ids=["check", "record"])
def test_an_invalid_url_of_a_server_is_an_error(
    url: str, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, url]) == 2
    shown = url.replace("alice:s3cret", "***")
    expected = "expected the URL of a server, such as http://127.0.0.1:8080"
    assert capsys.readouterr().err == f"fake-oauth: {shown}: {expected}\n"


def test_the_url_of_an_endpoint_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    url = "https://tenant.example/oauth2/token"
    assert main(["check", url]) == 2
    expected = "expected the URL of a server, without /oauth2/token at its end"
    assert capsys.readouterr().err == f"fake-oauth: {url}: {expected}\n"


@pytest.mark.parametrize("seconds", ["0", "-1", "inf", "nan", "soon"])
def test_a_timeout_is_a_positive_number(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", "http://127.0.0.1:1", f"--timeout={seconds}"])
    error = f"argument --timeout: expected a number of seconds above 0, got {seconds}\n"
    assert capsys.readouterr().err.endswith(error)


def test_progress_is_shown_only_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeOAuth(Settings(control=True)) as server:
        assert main(["check", server.url]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert re.search(r"^case +verdict", output.out)
