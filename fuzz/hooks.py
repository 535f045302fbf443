"""What schemathesis is told beside the description of the API.

Loaded by it (SCHEMATHESIS_HOOKS), in an environment of its own.
"""

from __future__ import annotations

import schemathesis
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
)

# As the description has it: OpenAPI has no words for a body that need not be there.
MAY_BE_EMPTY = "x-may-be-empty"


@schemathesis.check
def described_body(ctx, response, case):
    """There is a body where one is described and none elsewhere, of this kind to the letter."""
    told = case.operation.definition.raw["responses"].get(str(response.status_code))
    if told is None:
        return  # The status is another check's affair.
    kinds = list(told.get("content", ()))
    if not response.content:
        assert not kinds or told.get(MAY_BE_EMPTY), "The body is empty"
        return
    assert kinds, "There is a body, and none is described"
    kind = response.headers.get("content-type", ["none"])[0]
    assert kind in kinds, f"The Content-Type is {kind}, not {' or '.join(kinds)}"
    content_type_conformance(ctx, response, case)
    response_schema_conformance(ctx, response, case)
