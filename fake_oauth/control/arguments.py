"""The arguments of a control: the members of a JSON body, or the parameters of a query.

Both are read by the types of the function's parameters, and every problem is reported with its
path.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import field, fields, make_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, get_args, get_type_hints

from werkzeug.exceptions import HTTPException

from fake_oauth.control import BODY_LIMIT
from fake_oauth.faults.tables import converter
from fake_oauth.provider.errors import SettingsError
from fake_oauth.structure import Problem, is_union, structure

if TYPE_CHECKING:
    from werkzeug.wrappers import Request

_WHOLE: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_BOOLEANS: Final[Mapping[str, bool]] = {"true": True, "false": False}


class RefusedError(Exception):
    """A request that gets an error response; the message is its description."""

    def __init__(self, status: int, description: str, **headers: str) -> None:
        super().__init__(description)
        self.status = status
        self.headers = headers


def arguments(row: Callable[..., Any], request: Request) -> dict[str, Any]:
    """Return the arguments for a function. Raise SettingsError with every problem of the data."""
    kind = _arguments_kind(row)
    data = _body(request)
    if request.method == "GET" and data == {}:
        data = _query(request, kind)
    if not fields(kind) and data == {}:
        return {}
    made, problems = structure(data, kind, converter())
    if made is None or problems:
        raise SettingsError(problems)
    return {member.name: getattr(made, member.name) for member in fields(kind)}


def _body(request: Request) -> object:
    """Return the JSON in the body; an empty object if there is no body."""
    request.max_content_length = BODY_LIMIT
    try:
        body = request.get_data()
    except HTTPException as error:
        raise RefusedError(error.code or 400, f"cannot read the body: {error.name}") from None
    # Any page can send a form, and a form cannot say that it is JSON.
    if body and request.mimetype != "application/json":
        sent = request.mimetype or "a body without a Content-Type"
        raise RefusedError(415, f"expected a body with Content-Type: application/json, got {sent}")
    try:
        return json.loads(body or b"{}", parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise SettingsError([Problem("$", f"not JSON: {error}")]) from None


def _query(request: Request, kind: type[Any]) -> dict[str, Any]:
    """Return the parameters of the query, each as the type that the function expects.

    A text that does not fit stays text, so that the problem shows it as it was sent.
    """
    kinds = {member.name: member.type for member in fields(kind)}
    repeated = [
        Problem(f"$.{name}", f"expected one value, got {len(values)}")
        for name, values in request.args.lists()
        if len(values) > 1
    ]
    if repeated:
        raise SettingsError(repeated)
    return {name: _typed(text, kinds.get(name)) for name, text in request.args.items()}


def _typed(text: str, kind: Any) -> object:
    kinds = get_args(kind) if is_union(kind) else (kind,)
    if bool in kinds and text in _BOOLEANS:
        return _BOOLEANS[text]
    return int(text) if int in kinds and _WHOLE.fullmatch(text) else text


@cache
def _arguments_kind(row: Callable[..., Any]) -> type[Any]:
    """Return a dataclass of a function's parameters after the server."""
    hints = get_type_hints(row, localns={"FakeOAuth": object, "Response": object})
    parameters = list(inspect.signature(row).parameters.values())[1:]
    members = [
        (parameter.name, hints[parameter.name])
        if parameter.default is parameter.empty
        else (parameter.name, hints[parameter.name], field(default=parameter.default))
        for parameter in parameters
    ]
    return make_dataclass("Arguments", members, frozen=True, kw_only=True)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number (RFC 8259 section 6)")
