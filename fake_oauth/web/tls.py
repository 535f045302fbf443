"""A certificate for one server, made when it starts. It is kept nowhere.

trustme makes it (extra `tls`), and is imported when somebody asks for https.
"""

from __future__ import annotations

from ssl import PROTOCOL_TLS_SERVER, SSLContext

from fake_oauth.provider.errors import FakeOAuthError


def server_context(host: str) -> tuple[SSLContext, str]:
    """What a server at `host` needs, and the certificate, as PEM, that its clients must trust."""
    try:
        import trustme
    except ModuleNotFoundError:
        raise FakeOAuthError('https needs trustme: pip install "fake_oauth[tls]"') from None
    authority = trustme.CA(organization_name="fake_oauth, for tests")
    names = dict.fromkeys((host, "localhost", "127.0.0.1", "::1"))
    context = SSLContext(PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context, authority.cert_pem.bytes().decode()
