"""A Flask application that logs users in, refreshes tokens, and logs out, with Authlib."""

from authlib.integrations.base_client import OAuthError
from authlib.integrations.flask_client import OAuth
from flask import Flask, redirect, session, url_for
from markupsafe import escape


def create_app(issuer="http://127.0.0.1:8080"):
    app = Flask(__name__)
    app.secret_key = "for development"

    def save(token, **_old):  # not the ID token: cookies are small
        names = ("access_token", "refresh_token", "token_type", "expires_at")
        session["token"] = {name: token[name] for name in names}

    provider = OAuth(app).register(
        "provider",
        client_id="web",
        client_secret="s3cret",
        server_metadata_url=f"{issuer}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid email", "code_challenge_method": "S256"},
        update_token=save,  # Authlib calls this after a refresh
    )

    @app.get("/")
    def home():
        if "name" not in session:
            return '<a href="/login">Log in</a>'
        links = '<a href="/profile">Profile</a> <a href="/logout">Log out</a>'
        return f"Hello {escape(session['name'])}! {links}"

    @app.get("/login")
    def login():
        return provider.authorize_redirect(url_for("callback", _external=True))

    @app.get("/callback")
    def callback():
        token = provider.authorize_access_token()  # checks state, nonce, signature
        save(token)
        session["name"] = token["userinfo"].get("name", token["userinfo"]["sub"])
        return redirect(url_for("home"))

    @app.get("/profile")
    def profile():
        url = provider.load_server_metadata()["userinfo_endpoint"]
        response = provider.get(url, token=session.get("token"))
        if response.status_code == 401:  # expired or revoked: refresh, and retry once
            response = provider.get(url, token=session["token"] | {"expires_at": 1})
        return response.json(), response.status_code

    @app.get("/logout")
    def logout():
        session.clear()
        home = url_for("home", _external=True)
        return redirect(f"{issuer}/logout?client_id=web&logout_redirect_uri={home}")

    @app.errorhandler(OAuthError)
    def not_logged_in(error):  # no token yet, denied by the user, or refused by the provider
        session.clear()
        return f'Not logged in: {escape(error.error)}. <a href="/login">Log in</a>', 401

    return app
