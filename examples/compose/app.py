"""A Flask application that logs users in with the provider that its environment names."""

from os import environ

from authlib.integrations.flask_client import OAuth
from flask import Flask, redirect, session, url_for
from markupsafe import escape

app = Flask(__name__)
app.secret_key = environ["SECRET_KEY"]
provider = OAuth(app).register(
    "provider",
    client_id=environ["CLIENT_ID"],
    client_secret=environ["CLIENT_SECRET"],
    server_metadata_url=f"{environ['ISSUER']}/.well-known/openid-configuration",
    client_kwargs={"scope": "openid profile", "code_challenge_method": "S256"},
)


@app.get("/")
def home():
    if "name" not in session:
        return '<a href="/login">Log in</a>'
    return f"Hello {escape(session['name'])}!"


@app.get("/login")
def login():
    session.clear()
    return provider.authorize_redirect(url_for("callback", _external=True))


@app.get("/callback")
def callback():
    token = provider.authorize_access_token()  # checks state, nonce, issuer, and signature
    session["name"] = provider.userinfo(token=token)["name"]
    return redirect(url_for("home"))
