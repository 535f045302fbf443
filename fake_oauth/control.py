"""The control API below `/_fake/` over HTTP: who may ask, and JSON in and out."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Final

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from fake_oauth.controls import CONTROLS, PREFIX
from fake_oauth.guard import refused
from fake_oauth.provider.errors import FakeOAuthError, Problem, SettingsError
from fake_oauth.service import Service
from fake_oauth.structuring import structure

_LIMIT: Final = 1024 * 1024


class _RefusedError(Exception):
    def __init__(self, status: int, description: str, **headers: str) -> None:
        super().__init__(description)
        self.status = status
        self.headers = headers


class Control:
    """The paths below `/_fake/` of one server."""

    def __init__(self, service: Service, token: str | None) -> None:
        self._service = service
        self._token = token

    @staticmethod
    def serves(path: str) -> bool:
        """Whether a path is one of its own, known or not."""
        return f"{path}/".startswith(f"{PREFIX}/")

    def handle(self, request: Request) -> Response:
        """Answer one request; whatever goes wrong is told as JSON with an `error`."""
        status, headers = 200, {}
        data: dict[str, Any]
        try:
            data = self._answer(request)
        except _RefusedError as error:
            status, headers = error.status, error.headers
            data = {"error": "refused", "error_description": str(error)}
        except SettingsError as error:
            status = 400
            problems = [asdict(problem) for problem in error.problems]
            data = {"error": "invalid_settings", "problems": problems}
        except FakeOAuthError as error:
            status, data = 400, {"error": "invalid_request", "error_description": str(error)}
        body = json.dumps(data, ensure_ascii=False, indent=2) + "\n"
        told = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **headers}
        return Response(
            body.encode(errors="backslashreplace"), status, told, content_type="application/json"
        )

    def _answer(self, request: Request) -> dict[str, Any]:
        no = refused(dict(request.headers), scheme=request.scheme, token=self._token)
        if no is not None:
            raise _RefusedError(no.status, no.description)
        path = request.path.removeprefix(PREFIX) or "/"
        allowed = [verb for verb, at in CONTROLS if at == path]
        if not allowed:
            known = ", ".join(dict.fromkeys(PREFIX + at for _, at in CONTROLS))
            raise _RefusedError(404, f"there is no {PREFIX}{path}; there are {known}")
        if request.method not in allowed:
            told = ", ".join(allowed)
            raise _RefusedError(405, f"{PREFIX}{path} takes {told}", Allow=told)
        row = CONTROLS[request.method, path]
        return row.answer(self._service, None if row.body is None else _read(request, row.body))


def _read(request: Request, kind: type[Any]) -> Any:
    """The body as an instance of `kind`. Raises SettingsError with all that is wrong with it."""
    request.max_content_length = _LIMIT
    try:
        body = request.get_data()
    except HTTPException as error:
        raise _RefusedError(error.code or 400, f"cannot read the body: {error.name}") from None
    # A form, which any page can send, cannot say that it is JSON.
    if body and request.mimetype != "application/json":
        told = request.mimetype or "a body without a type"
        raise _RefusedError(415, f"send application/json, not {told}")
    try:
        data = json.loads(body or b"{}", parse_constant=_not_in_json)
    except (ValueError, RecursionError) as error:
        raise SettingsError([Problem("$", f"not JSON: {error}")]) from None
    if kind is dict:
        return data
    asked, problems = structure(data, kind)
    if problems:
        raise SettingsError(problems)
    return asked


def _not_in_json(name: str) -> Any:
    raise ValueError(f"{name} (RFC 8259 section 6 has no such number)")
