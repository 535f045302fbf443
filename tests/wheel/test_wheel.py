"""The wheel as its users get it: installed where there is nothing else.

Run by `make wheel`, not with the other tests.
"""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import fake_oauth

FORM = {
    "client_id": "TENANT_CLIENT_ID",
    "client_secret": "TENANT_CLIENT_SECRET",
    "grant_type": "refresh_token",
    "refresh_token": "MOCK_REFRESH_TOKEN",
}


def test_it_is_the_installed_package() -> None:
    assert "site-packages" in Path(fake_oauth.__file__).parts


def test_the_fixture_is_there_and_serves(oauth_server: "fake_oauth.FakeOAuth") -> None:
    with urlopen(oauth_server.token_url, urlencode(FORM).encode()) as reply:
        assert json.load(reply)["refresh_token"] == "MOCK_REFRESH_TOKEN"
    assert oauth_server.journal[0].status == 200


def test_a_settings_file_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "fake.toml"
    path.write_text("seed = 7\n", encoding="utf-8")
    assert fake_oauth.Settings.from_toml(path).seed == 7


def test_it_pulls_in_few_other_packages() -> None:
    requirements = importlib.metadata.requires("fake_oauth") or []
    always = sorted(line.split(">")[0] for line in requirements if "extra ==" not in line)
    assert always == ["cattrs", "cryptography", "h11", "jinja2", "pyjwt", "tomli-w", "werkzeug"]


def test_it_carries_what_it_should_and_nothing_else() -> None:
    files = importlib.metadata.files("fake_oauth") or []
    top = {file.parts[0] for file in files if ".dist-info" not in file.parts[0]}
    assert top - {".."} == {"fake_oauth"}
    carried = {"/".join(file.parts[1:]) for file in files if file.parts[0] == "fake_oauth"}
    carried = {name for name in carried if not name.endswith(".pyc")}
    assert carried >= {
        "py.typed",
        "provider/pem/next.pem",
        "control/console/console.html",
        "http/templates/base.html",
        "http/templates/login.html",
        "provider/pem/signing.pem",
        "provider/pem/stranger.pem",
        "provider/pem/signing_p256.pem",
        "fixtures/documented_keys.json",
        "fixtures/ciam/token/refresh_token.success.toml",
        "fixtures/rfc/introspect/introspect.unknown.toml",
    }
    assert {Path(name).suffix for name in carried} == {
        ".css",
        ".html",
        ".js",
        ".json",
        ".md",
        ".pem",
        ".py",
        ".svg",
        ".toml",
        ".typed",
    }


def test_the_command_is_there() -> None:
    command = Path(sys.executable).with_name("fake-oauth")
    shown = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout == f"fake-oauth {importlib.metadata.version('fake_oauth')}\n"


def test_what_the_command_needs_more_it_says() -> None:
    command = Path(sys.executable).with_name("fake-oauth")
    with fake_oauth.FakeOAuth() as server:
        asked = [str(command), "check", server.url]
        ended = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert 'pip install "fake_oauth[check]"' in ended.stderr
