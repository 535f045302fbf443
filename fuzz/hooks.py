"""What schemathesis is told beside the description of the API.

Loaded by it (SCHEMATHESIS_HOOKS), in an environment of its own.
"""

from __future__ import annotations

import schemathesis
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
)


@schemathesis.check
def described_body(ctx, response, case):
    """The body is as described; a 401 may be without one, which OpenAPI has no words for."""
    if response.status_code == 401 and not response.content:
        return
    content_type_conformance(ctx, response, case)
    response_schema_conformance(ctx, response, case)
