"""The control API: tests in another process, or in another language, control a running server.

api            CONTROLS, the table of what can be controlled, and the functions
access         who may use it
arguments      what a request passes to a function
exchanges      the journal as data
trees          the token families as data
curl           an exchange as a shell command
snippets       an exchange as a test
circumstances  the state before an exchange, for its test
source         values as Python source
events         a stream that says when something has changed
pages          the console, a page for people
"""

from typing import Final

PREFIX: Final = "/_fake"
"""The path of the control API."""
BODY_LIMIT: Final = 1024 * 1024
"""The longest body of a request to the control API, in bytes."""


def is_control(path: str) -> bool:
    """Return whether a path belongs to the control API, known or not."""
    return f"{path}/".startswith(f"{PREFIX}/")
