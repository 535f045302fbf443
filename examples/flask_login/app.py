"""A Flask application that lets people log in with Authlib, and keeps them logged in."""

import os
from urllib.parse import urlencode

from authlib.integrations.flask_client import OAuth
from flask import Flask, redirect, session, url_for

app = Flask(__name__)
app.secret_key = "for an example only"
app.config["OAUTH_ISSUER"] = os.environ.get("OAUTH_ISSUER", "http://127.0.0.1:8080")


def provider():
    """The OAuth client, by the discovery document of the issuer."""
    discovery = f"{app.config['OAUTH_ISSUER']}/.well-known/openid-configuration"
    return OAuth(app).register(
        "provider",
        client_id="flask",
        client_secret="s3cret",
        server_metadata_url=discovery,
        client_kwargs={"scope": "openid", "code_challenge_method": "S256"},
    )


@app.get("/login")
def login():
    return provider().authorize_redirect(url_for("callback", _external=True))


@app.get("/callback")
def callback():
    session["token"] = provider().authorize_access_token()
    return redirect(url_for("profile"))


@app.get("/")
def profile():
    if "token" not in session:
        return redirect(url_for("login"))
    client = provider()
    reply = client.get(client.load_server_metadata()["userinfo_endpoint"], token=session["token"])
    if reply.status_code == 401:  # The access token is no good any more: refresh, try once more.
        session["token"] = client.fetch_access_token(
            grant_type="refresh_token", refresh_token=session["token"]["refresh_token"]
        )
        reply = client.get(client.server_metadata["userinfo_endpoint"], token=session["token"])
    return f"You are {reply.json()['name']}."


@app.get("/logout")
def logout():
    session.clear()
    asked = urlencode(
        {"client_id": "flask", "logout_redirect_uri": url_for("profile", _external=True)}
    )
    return redirect(f"{app.config['OAUTH_ISSUER']}/logout?{asked}")
