"""`rfc`: the standards.

RFC 6749, 6750, 7009, 7523, 7636, 7662, 8414, 8628, 8693, 9068, 9126, and 9449. Where they
leave something open, the dialect does what most servers do.
"""

from __future__ import annotations

from typing import ClassVar

from fake_oauth.provider.dialect import Dialect


class RFC(Dialect):
    """A server that follows the RFCs.

    >>> RFC().paths["introspect"]
    '/introspect'
    """

    name: ClassVar[str] = "rfc"
