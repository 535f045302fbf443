"""A server that does not answer, or not in time: it is told, and nothing that was found is lost."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from ssl import create_default_context
from threading import Event
from typing import Any

import pytest

from fake_oauth import FakeOAuth, Settings, faults
from fake_oauth.__main__ import main
from fake_oauth.contract import command
from fake_oauth.contract.hosts import Foreign, Steered
from fake_oauth.contract.pages import Request, pages
from fake_oauth.contract.running import Outcome, run
from fake_oauth.contract.transports import UnreachableError, Wire, _cut
from fake_oauth.faults.seams import Fault

DISCOVERY = Request(method="GET", path="/.well-known/openid-configuration")
DEFAULT = Settings()
CLIENT = ("--client-id", "TENANT_CLIENT_ID", "--client-secret", "TENANT_CLIENT_SECRET")


@contextmanager
def never_right(
    fault: Fault, endpoint: str = "discovery", settings: Settings = DEFAULT
) -> Iterator[FakeOAuth]:
    with FakeOAuth(settings) as server:
        server.always(faults.Rule(fault, endpoint=endpoint, always=True))
        yield server


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("fault", [faults.Drip(20), faults.Hang()], ids=["drip", "hang"])
def test_an_answer_has_to_be_there_in_time(*, fault: Fault, tls: bool) -> None:
    with never_right(fault, settings=Settings(tls=tls)) as server:
        context = create_default_context(cadata=server.ca_pem) if tls else None
        wire = Wire(server.url, 0.3, context)
        with pytest.raises(UnreachableError, match=r"does not answer: not in full within 0\.3 s$"):
            wire.send(DISCOVERY)


def test_an_answer_may_end_just_when_its_time_does() -> None:
    ended, is_over = socket.socket(), Event()
    ended.close()
    _cut(ended, is_over)
    assert is_over.is_set()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (faults.HangUp(), "Remote end closed connection without response"),
        (faults.Garbage(), r"BadStatusLine\('\\x00"),
        (faults.Truncated(7), r"IncompleteRead\(7 bytes read"),
        (faults.BadChunk(), r"IncompleteRead\("),
    ],
)
def test_what_breaks_off_or_is_not_http_is_told(fault: Fault, said: str) -> None:
    with never_right(fault) as server, pytest.raises(UnreachableError, match=said):
        Wire(server.url).send(DISCOVERY)


def test_a_page_without_an_answer_differs_and_the_others_are_held(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "report.json"
    with never_right(faults.HangUp(), "revoke") as server:
        asked = ["check", server.url, "--dialect", "ciam", "--spend", "--timeout=9.5", *CLIENT]
        assert main([*asked, "--value", "access_token=t", "--json", str(path)]) == 1
    told = {page["page"]: page for page in json.loads(path.read_text("utf-8"))["pages"]}
    (difference,) = told["revoke.success"]["differences"]
    assert (difference["where"], difference["expected"]) == ("answer", "status 200")
    assert "Remote end closed connection" in difference["actual"]
    assert told["refresh_token.invalid_grant"]["verdict"] == "holds"
    assert capsys.readouterr().err == ""


def test_where_a_server_does_not_answer_it_is_not_asked_for_long() -> None:
    with FakeOAuth() as server:
        host = Foreign(Wire(server.url), {})
    by_name = {page.name: page for page in pages()}
    jwks, discovery = by_name["jwks.success"], by_name["discovery.success"]
    told = [(one.verdict, one.why) for one in run([jwks] * 4 + [discovery], host)]
    unanswered = ("differs", "")
    why = "needs a server that answers at /oauth2/jwks"
    assert told == [*[unanswered] * 3, ("skipped", why), unanswered]


def test_a_fake_that_ends_under_the_check_leaves_its_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor can it begin again as its own settings say: that is told too."""
    with FakeOAuth(Settings(control=True)) as server:

        def ends(*_: object) -> Iterator[Outcome]:
            outcomes = run(pages()[:5], Steered(Wire(server.url)))
            yield next(outcomes)
            server.stop()
            yield from outcomes

        monkeypatch.setattr(command, "run", ends)
        assert main(["check", server.url, "--spend"]) == 2
    told = capsys.readouterr()
    assert "1 hold, 3 differ, 1 skipped" in told.out
    assert f"{server.url} does not answer" in told.err


def test_a_check_can_be_interrupted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fake that was steered then begins again as its own settings say."""

    def interrupted(*_: object) -> Iterator[Outcome]:
        yield next(run(pages(), Steered(Wire(server.url))))
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run", interrupted)
    with FakeOAuth(Settings(control=True, rotate_refresh_tokens=True)) as server:
        assert main(["check", server.url, "--spend"]) == 130
        assert server.settings.rotate_refresh_tokens
    assert capsys.readouterr().err == "fake-oauth: interrupted\n"


@pytest.mark.parametrize(
    "url",
    [
        *("tenant.example", "http://", "ftp://tenant.example", "http://tenant.example:port"),
        *("http://[::1", "http://tenant.example:0", "http://tenant.example/?a=b"),
        *("https://tenant.example#here", "https://alice:s3cret@tenant.example"),
    ],
)
@pytest.mark.parametrize("asked", [("check",), ("record", "--upstream")])
def test_what_is_no_url_of_a_server_is_told(
    url: str, asked: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*asked, url]) == 2
    shown = url.replace("alice:s3cret", "***")
    expected = "expected the URL of a server, such as http://127.0.0.1:8080"
    assert capsys.readouterr().err == f"fake-oauth: {shown}: {expected}\n"


@pytest.mark.parametrize("time", ["0", "-1", "inf", "nan", "soon"])
def test_a_timeout_is_some_time(time: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", "http://127.0.0.1:1", f"--timeout={time}"])
    assert f"expected seconds, more than 0, got {time}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "of_metadata", "of_token"),
    [
        *((url, "differs", "holds") for url in ("ftp://x.example/token", "//x", 7)),
        ("http://[x/token", "holds", "differs"),  # A URL it seems to be; it cannot be asked.
    ],
)
def test_a_server_that_says_nonsense_of_its_endpoints_is_told(
    url: Any, of_metadata: str, of_token: str
) -> None:
    fault = faults.Field("token_endpoint", url)
    with never_right(fault, "metadata", Settings(dialect="rfc")) as server:
        server.always(faults.Rule(fault, endpoint="discovery", always=True))
        values = {"client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET"}
        host = Foreign(Wire(server.url), values, dialect=server.dialect)
        asked = ("metadata.success", "refresh_token.unknown")
        chosen = [page for page in pages("rfc") if page.name in asked]
        told = {one.page.name: one.verdict for one in run(chosen, host)}
    assert (told["metadata.success"], told["refresh_token.unknown"]) == (of_metadata, of_token)


def test_progress_is_shown_on_a_terminal_only(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeOAuth(Settings(control=True)) as server:
        assert main(["check", server.url]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert re.search(r"^page +verdict", told.out)
