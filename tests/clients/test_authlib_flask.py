"""Authlib in a Flask application: it reads the discovery document, and keeps the login."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.flask_client import OAuth
from flask import Flask, jsonify
from flask.testing import FlaskClient

from fake_oauth import FakeOAuth
from tests.clients.conftest import REDIRECT_URI, SCOPE, SECRET, sent_to


@pytest.fixture
def application(oauth_server: FakeOAuth) -> FlaskClient:
    """Return the browser of an application as Authlib's documentation shows it."""
    app = Flask(__name__)
    app.secret_key = "of the session"
    # The cookie of the session belongs to the host of the redirect URI.
    app.config["SERVER_NAME"] = "127.0.0.1:3000"
    oauth: Any = OAuth(app)
    oauth.register(
        "fake",
        client_id="web",
        client_secret=SECRET,
        server_metadata_url=f"{oauth_server.issuer}/.well-known/openid-configuration",
        token_endpoint_auth_method="client_secret_post",
        client_kwargs={"scope": SCOPE, "code_challenge_method": "S256"},
    )

    @app.get("/login/<response_mode>")
    def login(response_mode: str) -> Any:
        return oauth.fake.authorize_redirect(REDIRECT_URI, response_mode=response_mode)

    @app.get("/silent")
    def silent() -> Any:
        return oauth.fake.authorize_redirect(REDIRECT_URI, prompt="none")

    @app.route("/callback", methods=["GET", "POST"])
    def callback() -> Any:
        try:
            token = oauth.fake.authorize_access_token()
        except OAuthError as refused:
            return jsonify(error=refused.error)
        return jsonify(token=token["userinfo"], userinfo=oauth.fake.userinfo(token=token))

    return app.test_client()


def test_logs_in_and_reads_the_userinfo(
    oauth_server: FakeOAuth, application: FlaskClient, browse: Callable[[str], str]
) -> None:
    oauth_server.login("alice")
    back = browse(application.get("/login/query").headers["Location"])
    told = application.get(back).get_json()
    assert told["token"]["sub"] == "u-alice"
    assert told["token"]["nonce"] == sent_to(oauth_server, "authorize")[0].query["nonce"]
    assert told["userinfo"]["email"] == "alice@example.com"


def test_receives_the_code_in_a_form(
    oauth_server: FakeOAuth, application: FlaskClient, receive_form: Callable[[str], Any]
) -> None:
    oauth_server.login("alice")
    form = receive_form(application.get("/login/form_post").headers["Location"])
    assert form["url"] == REDIRECT_URI
    told = application.post("/callback", data=form["fields"]).get_json()
    assert told["token"]["sub"] == "u-alice"


def test_is_told_that_a_silent_login_is_not_possible(
    application: FlaskClient, browse: Callable[[str], str]
) -> None:
    back = browse(application.get("/silent").headers["Location"])
    assert application.get(back).get_json() == {"error": "login_required"}
