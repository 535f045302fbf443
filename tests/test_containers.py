"""The compose files and CI jobs of the docs, run as processes: no container is needed.

The same commands, environments, and settings run here, with other ports and paths. What only a
container engine does, such as its names and networks, is not tested.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import requests
import yaml

from fake_oauth.commands.program import program

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/howto/containers.md").read_text(encoding="utf-8")
FOLDER = ROOT / "examples/compose"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
BLOCKS = [
    yaml.safe_load(block)
    for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
]
SAME_NAME, BACKGROUND, SERVICE, GITLAB = BLOCKS
EXAMPLE = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
COMPOSE = {"shared network": EXAMPLE, "same name": SAME_NAME}
# Each process is told where the other is, as the names of containers tell it there.
FAKE, APP = 8080, 8000


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


class Here:
    """The ports and paths of this run, in place of those of the containers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fake, self.app = free_port(), free_port()
        settings = self.replaced((FOLDER / "fake.toml").read_text(encoding="utf-8"))
        (folder / "fake.toml").write_text(settings, encoding="utf-8")

    def replaced(self, text: str) -> str:
        """Return a text with the addresses of this run."""
        text = re.sub(rf"\b(localhost|fake|127\.0\.0\.1):{FAKE}", f"localhost:{self.fake}", text)
        return text.replace(f"localhost:{APP}", f"localhost:{self.app}")

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a container: of this process only what Python needs."""
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        own = {name: self.replaced(str(value)) for name, value in given.items()}
        return {**kept, "NO_PROXY": "*", **own}

    @contextmanager
    def running(
        self, command: list[str], environment: Mapping[str, str], ready: str, folder: Path = ROOT
    ) -> Iterator[None]:
        """Run a command until the end of the block; it is ready once it prints a line."""
        with subprocess.Popen(
            command,
            cwd=folder,
            env=self.environment(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        ) as process:
            try:
                assert process.stdout is not None
                seen = []
                while not re.search(ready, line := process.stdout.readline()):
                    seen.append(line)
                    assert line, f"it ended early: {''.join(seen)}"
                yield
            finally:
                process.kill()

    @contextmanager
    def fake_running(
        self, command: list[str], environment: Mapping[str, str] | None = None
    ) -> Iterator[str]:
        """Run `fake-oauth` with the command of a service. Yield its URL."""
        arguments = [self.replaced(argument) for argument in command]
        if "/etc/fake.toml" in arguments:
            arguments[arguments.index("/etc/fake.toml")] = str(self.folder / "fake.toml")
        whole = [sys.executable, "-m", "fake_oauth", *arguments, "--port", str(self.fake)]
        with self.running(whole, environment or {}, "Press Ctrl-C"):
            yield f"http://localhost:{self.fake}"


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


def dockerfile(path: Path) -> dict[str, str]:
    """Return the instructions of a Dockerfile by name; the last of each name."""
    text = re.sub(r"\s*\\\n\s*", " ", path.read_text(encoding="utf-8"))
    return dict(re.findall(r"^([A-Z]+) (.*)$", text, re.MULTILINE))


def controlled(url: str, token: str, method: str = "GET", data: Any = None) -> Any:
    """Return the JSON of a response of the control API."""
    body = None if data is None else json.dumps(data).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with urlopen(Request(url, body, headers, method=method)) as response:
        return json.load(response)


@pytest.mark.parametrize("compose", COMPOSE.values(), ids=COMPOSE)
def test_the_application_of_a_compose_file_logs_a_user_in(
    here: Here, compose: dict[str, Any]
) -> None:
    fake, app = compose["services"]["fake"], compose["services"]["app"]
    command = json.loads(dockerfile(FOLDER / "Dockerfile")["CMD"])
    command[command.index(str(APP))] = str(here.app)
    token = fake["environment"]["FAKE_OAUTH_CONTROL_TOKEN"]
    with (
        here.fake_running(fake["command"], fake["environment"]) as url,
        here.running(
            [sys.executable, "-m", *command], app["environment"], "Running on", folder=FOLDER
        ),
        requests.Session() as browser,
    ):
        home = f"http://localhost:{here.app}/"
        assert "Log in" in browser.get(home).text
        page = browser.get(f"{home}login")
        assert page.url.startswith(f"{url}/"), "the browser is at the login page of the fake"
        controlled(f"{url}/_fake/login", token, "POST", {"user": "alice"})
        assert browser.get(f"{home}login").text == "Hello Alice!"
        violations = controlled(f"{url}/_fake/violations", token)["violations"]
        assert violations == []
        assert requests.get(f"{url}/_fake/clock", timeout=30).status_code == 401


@pytest.mark.parametrize("compose", COMPOSE.values(), ids=COMPOSE)
def test_a_compose_file_is_one(compose: dict[str, Any]) -> None:
    fake, app = compose["services"]["fake"], compose["services"]["app"]
    assert app["depends_on"] == {"fake": {"condition": "service_healthy"}}
    options = program().parse_args(fake["command"])
    assert options.issuer == app["environment"]["ISSUER"]
    assert options.host == "0.0.0.0"  # noqa: S104
    (volume,) = fake["volumes"]
    source, target, mode = volume.split(":")
    assert (FOLDER / source).is_file()
    assert (Path(target), mode) == (options.settings, "ro")
    shares = app.get("network_mode") == "service:fake"
    assert shares == ("localhost" in options.issuer)
    # A service that shares the network of another one cannot publish ports.
    published = [*fake["ports"], *([] if shares else app["ports"])]
    assert shares != ("ports" in app)
    assert published == ["127.0.0.1:8080:8080", "127.0.0.1:8000:8000"]


def test_the_health_check_of_the_example_is_that_of_the_image(here: Here) -> None:
    instructions = dockerfile(ROOT / "Dockerfile")
    check = json.loads(instructions["HEALTHCHECK"].partition(" CMD ")[2])
    assert EXAMPLE["services"]["fake"]["healthcheck"]["test"] == ["CMD", *check]
    command = [sys.executable, *(one.replace(str(FAKE), str(here.fake)) for one in check[1:])]
    with here.fake_running(json.loads(instructions["CMD"])):
        assert subprocess.run(command, check=False).returncode == 0
    assert subprocess.run(command, check=False, capture_output=True).returncode != 0


def test_the_example_installs_what_it_imports() -> None:
    installed = dockerfile(FOLDER / "Dockerfile")["RUN"].split()
    source = (FOLDER / "app.py").read_text(encoding="utf-8")
    imported = set(re.findall(r"^from (\w+)", source, re.MULTILINE))
    assert imported - {"os", "markupsafe"} <= set(installed), "Flask brings markupsafe"


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


def run(here: Here, line: str, environment: Mapping[str, str] | None = None) -> str:
    """Return the output of shell lines with the addresses of this run."""
    command = ["sh", "-e", "-c", here.replaced(line)]
    env = here.environment(environment or {})
    ended = subprocess.run(
        command, cwd=here.folder, env=env, check=True, capture_output=True, text=True
    )
    return ended.stdout


def steps(job: dict[str, Any]) -> dict[str, str]:
    """Return the named steps of a job that run something."""
    return {step["name"]: step["run"] for step in job["steps"] if {"name", "run"} <= step.keys()}


@needs_curl
def test_a_job_starts_the_fake_in_the_background_and_waits_for_it(here: Here) -> None:
    job = BACKGROUND["jobs"]["test"]
    assert {"run": "pip install fake_oauth"} in job["steps"]
    (tests,) = [step for step in job["steps"] if step.get("run") == "npm test"]
    named = steps(job)
    start = named["Start the fake"].replace(
        "fake-oauth serve", f"{sys.executable} -m fake_oauth serve --port {here.fake}"
    )
    # The fake ends with the job, which is a group of processes here.
    with subprocess.Popen(
        ["sh", "-e", "-c", here.replaced(start)],
        cwd=here.folder,
        env=here.environment({"PYTHONPATH": str(ROOT)}),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    ) as job_process:
        try:
            assert job_process.wait(timeout=60) == 0
            issuer = here.replaced(tests["env"]["ISSUER"])
            with urlopen(f"{issuer}/.well-known/openid-configuration") as response:
                assert json.load(response)["token_endpoint"]
            log = run(here, named["Show what the fake saw"])
        finally:
            os.killpg(job_process.pid, signal.SIGTERM)
    assert "fake-oauth listening on" in log
    requested = re.findall(r"^#\d+ .*", log, re.MULTILINE)
    assert [line for line in requested if "/.well-known/" not in line] == [], "waiting leaves none"


@needs_curl
def test_a_job_controls_its_service(here: Here) -> None:
    job = SERVICE["jobs"]["test"]
    service = job["services"]["fake"]
    assert service["ports"] == ["8080:8080"]
    (block,) = re.findall(r"^```dockerfile\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (here.folder / "Dockerfile").write_text(block, encoding="utf-8")
    instructions = dockerfile(here.folder / "Dockerfile")
    assert instructions["COPY"] == "fake.toml /etc/fake.toml"
    command = json.loads(instructions["CMD"])
    assert [step["env"]["ISSUER"] for step in job["steps"] if step.get("run") == "npm test"] == [
        program().parse_args(command).issuer
    ]
    with here.fake_running(command, service["env"]) as url:
        shown = json.loads(run(here, steps(job)["Set the clock of the fake"]))
        assert shown["now"].startswith("2030-01-01T00:00")
        with urlopen(f"{url}/.well-known/openid-configuration") as response:
            assert json.load(response)["issuer"] == url


def test_the_service_of_gitlab_has_the_issuer_of_the_job(here: Here) -> None:
    job = GITLAB["test"]
    (service,) = job["services"]
    options = program().parse_args(service["command"])
    assert options.issuer == job["variables"]["ISSUER"] == f"http://{service['alias']}:8080"
    with here.fake_running(service["command"], job["variables"]) as url:
        token = job["variables"]["FAKE_OAUTH_CONTROL_TOKEN"]
        assert controlled(f"{url}/_fake/journal", token) == {"exchanges": [], "forgotten": 0}


@needs_curl
def test_the_requests_of_the_pages_log_a_user_in(here: Here) -> None:
    fake = EXAMPLE["services"]["fake"]
    pattern = r"^(curl -X POST (?:.*\\\n)*.*)$"
    (of_page,) = re.findall(pattern, PAGE, re.MULTILINE)
    (of_readme,) = re.findall(pattern, README, re.MULTILINE)
    assert of_page == of_readme
    with here.fake_running(fake["command"], fake["environment"]) as url:
        run(here, of_page)
        token = fake["environment"]["FAKE_OAUTH_CONTROL_TOKEN"]
        login = controlled(f"{url}/_fake/", token)
        assert login["issuer"] == url
