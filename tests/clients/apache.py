"""Apache from Debian's packages, with a module that knows OAuth, and an application behind it."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

# It is not on everybody's PATH.
PROGRAM: Final = shutil.which("apache2", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
MODULES: Final = Path("/usr/lib/apache2/modules")
PATIENCE_SECONDS: Final = 20


def require(module: str, package: str) -> None:
    """Skip the tests of a file if Apache or its module is not installed."""
    if PROGRAM is None:
        pytest.skip("no Apache: apt-get install apache2", allow_module_level=True)
    if not (MODULES / f"{module}.so").is_file():
        pytest.skip(f"no {module}: apt-get install {package}", allow_module_level=True)


@contextmanager
def running(
    configuration: Path,
    folder: Path,
    application: HTTPServer,
    variables: Mapping[str, str],
    *defines: str,
) -> Iterator[str]:
    """Run Apache, and yield its URL. The application reports the headers that Apache adds."""

    def report(request: Request) -> Response:
        return Response(json.dumps(dict(request.headers)), mimetype="application/json")

    application.expect_request(re.compile("/.*")).respond_with_handler(report)
    port = _free_port()
    own = {
        "APPLICATION": application.url_for("/"),
        "FOLDER": str(folder),
        "MODULES": str(MODULES),
        "PORT": str(port),
    }
    command = [str(PROGRAM), "-f", str(configuration), "-DFOREGROUND"]
    command += [f"-D{define}" for define in (*defines, *(["ROOT"] if os.geteuid() == 0 else []))]
    process = subprocess.Popen(command, env={**os.environ, **own, **variables})
    try:
        _wait_for(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    """Return once a process listens on a port."""
    for _ in range(PATIENCE_SECONDS * 20):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            with suppress(subprocess.TimeoutExpired):
                process.wait(1 / 20)
                break
        else:
            return
    pytest.fail("Apache does not listen", pytrace=False)
