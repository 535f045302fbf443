"""The proof that tokens and replies are right to the byte."""

from __future__ import annotations

import json
import re
import tomllib
from base64 import urlsafe_b64decode
from pathlib import Path

import jwt
import pytest
from jwt.algorithms import RSAAlgorithm

from fake_oauth import FakeOAuth, Settings
from tests.support.client import ask, over_socket

FIXTURES = Path(__file__).parent.parent / "fixtures"

# The documented reply, as the page shows it.
DOCUMENTED_BODY = (Path(__file__).parent / "documented_body.json").read_text(encoding="utf-8")
# Of the token on the client credentials page (CIAM 1148/51483).
CLIENT_CREDENTIALS_SIGNATURE = (
    "D8khbU3BkWTHD6sRTY9M_bbRq7AF4MGina2S1ycFA2HOUo-k_P_f81V4fP1DLO7n-1_5em_Dmxo768wsFcvUIY"
    "WRlSLh91kXPTyBV5mHt6IZRnT3eMpqTiMKC_ubzUc_7DSpE8-99-CpfrQ19hcpMwkoLYh1dwYjUJB6xyZPzqle"
    "zrHy4unUHLTpyjGeecgNNLUScY9W0diGxVnbsMuTW7T00OsltNoJj11qtOllbh5kd1B4umvA3UJpGucVMZQ2YT"
    "vltHyDBefWabP4ektzktAwDTALGIu1EsQfb5j9Rru3R0L0nAvjT8HiIqthLvvMdkjXAW983zj0yCPe3GqF3g"
)
SIGNATURE = re.compile(r'\.[\w-]{342}"')


def without_signatures(body: str) -> str:
    replaced, count = SIGNATURE.subn('.<signature>"', body)
    assert count == 2
    return replaced


def test_the_first_refresh_answers_the_documented_body_but_for_the_signatures() -> None:
    body = ask(FakeOAuth(Settings.documented())).text
    assert without_signatures(DOCUMENTED_BODY) == without_signatures(body)
    assert body != DOCUMENTED_BODY, "nobody here has the documented private key"


def test_so_it_does_over_a_socket() -> None:
    request = (
        "client_id=TENANT_CLIENT_ID&client_secret=TENANT_CLIENT_SECRET"
        "&grant_type=refresh_token&refresh_token=MOCK_REFRESH_TOKEN"
    )
    with FakeOAuth(Settings.documented()) as server:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        status, answered, body = over_socket(server, "POST", "/oauth2/token", request, headers)
    assert status == 200
    assert answered["Content-Type"] == "application/json;charset=UTF-8"
    assert answered["Date"] == "Tue, 09 Nov 2021 09:13:51 GMT"
    assert without_signatures(DOCUMENTED_BODY) == without_signatures(body.decode())


@pytest.mark.parametrize("name", ["access_token", "id_token"])
def test_the_documented_signature_verifies_over_our_bytes(name: str) -> None:
    keys = json.loads((FIXTURES / "documented_keys.json").read_text(encoding="utf-8"))["keys"]
    key = RSAAlgorithm.from_jwk(keys[0])
    theirs = json.loads(DOCUMENTED_BODY)[name].rpartition(".")[2]
    reply = ask(FakeOAuth(Settings.documented())).json
    assert reply is not None
    ours = reply[name].rpartition(".")[0]
    algorithm = RSAAlgorithm(RSAAlgorithm.SHA256)
    assert algorithm.verify(ours.encode(), key, urlsafe_b64decode(f"{theirs}=="))  # type: ignore[arg-type]
    assert not algorithm.verify(ours[:-1].encode(), key, urlsafe_b64decode(f"{theirs}=="))  # type: ignore[arg-type]


def test_the_second_refresh_has_other_ids() -> None:
    fake = FakeOAuth(Settings.documented())
    first, second = ask(fake).json, ask(fake).json
    assert first is not None
    assert second is not None
    assert first["refresh_token"] == second["refresh_token"]
    assert first["access_token"] != second["access_token"]


def test_our_own_signatures_verify_with_the_published_key() -> None:
    fake = FakeOAuth(Settings.documented())
    with fake as server:
        _, _, jwks = over_socket(server, "GET", "/oauth2/jwks", None, {})
        reply = ask(fake).json
    assert reply is not None
    (jwk,) = jwt.PyJWKSet.from_dict(json.loads(jwks)).keys
    assert jwk.key_id == "d49bc505-5572-4ed6-9e48-388c3d44bb46"
    decoded = jwt.decode(
        reply["access_token"],
        jwk,
        audience="TENANT_CLIENT_ID",
        issuer="https://TENANT.PORTAL.DOMAIN",
        options={"verify_exp": False},
    )
    assert decoded["sub"] == "MOCK_USERNAME"


def test_the_documented_client_credentials_signature_verifies_over_our_bytes() -> None:
    page = tomllib.loads(
        (FIXTURES / "ciam" / "token" / "client_credentials.success.toml").read_text(
            encoding="utf-8"
        )
    )
    keys = json.loads((FIXTURES / "documented_keys.json").read_text(encoding="utf-8"))["keys"]
    reply = ask(
        FakeOAuth(Settings.from_mapping(page["settings"])),
        page["request"]["body"].encode(),
        content_type="application/x-www-form-urlencoded",
    ).json
    assert reply is not None
    ours = reply["access_token"].rpartition(".")[0]
    signature = urlsafe_b64decode(f"{CLIENT_CREDENTIALS_SIGNATURE}==")
    key = RSAAlgorithm.from_jwk(keys[1])
    algorithm = RSAAlgorithm(RSAAlgorithm.SHA256)
    assert algorithm.verify(ours.encode(), key, signature)  # type: ignore[arg-type]
