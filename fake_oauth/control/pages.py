"""The console: one page for people, its stylesheet, its script, and its icon.

They are files of the package in `console/`, without a template and without data. The script reads
everything from the control API, so the same guard is in front of the page and of its data.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Final

from fake_oauth.control import PREFIX

if TYPE_CHECKING:
    from werkzeug.wrappers import Request, Response

    from fake_oauth.server import FakeOAuth

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HTML: Final = "text/html"


def console(request: Request) -> Response:
    """Return the page, at the address that the links in it are relative to."""
    from werkzeug.utils import redirect  # only a person needs it

    if not request.path.endswith("/"):
        response = redirect(f"{request.script_root}{PREFIX}/", 308)
        response.autocorrect_location_header = False
    else:
        response = _file("console.html", f"{_HTML}; charset=utf-8")
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def stylesheet(_: FakeOAuth) -> Response:
    """Return the stylesheet of the console."""
    return _file("console.css", "text/css; charset=utf-8")


def script(_: FakeOAuth) -> Response:
    """Return the script of the console, an ES module."""
    return _file("console.js", "text/javascript; charset=utf-8")


def icon(_: FakeOAuth) -> Response:
    """Return the icon of the console."""
    return _file("console.svg", "image/svg+xml")


def _file(name: str, content_type: str) -> Response:
    from werkzeug.wrappers import Response

    content = files("fake_oauth.control").joinpath("console", name).read_bytes()
    return Response(content, content_type=content_type)
