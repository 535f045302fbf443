"""The how-to pages for other languages and set-ups: their files and commands, as a reader has them.

A block whose first line is a comment with a name is a file. The files of a page are saved in one
folder, and the commands of the page run there, with ports that are free.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from fake_oauth import FakeOAuth, Settings
from tests.clients.conftest import HERE, PACKAGES, node_program
from tests.clients.test_go import GOPATH, require_go

ROOT: Final = HERE.parent.parent
PATIENCE_SECONDS: Final = 120
# Where Debian's packages put the libraries of Java, and those that JUnit 5 needs.
JARS: Final = Path("/usr/share/java")
JUNIT: Final = (
    "apiguardian-api",
    "junit-jupiter-api",
    "junit-jupiter-engine",
    "junit-platform-commons",
    "junit-platform-console",
    "junit-platform-engine",
    "junit-platform-launcher",
    "junit-platform-reporting",
    "opentest4j",
    "opentest4j-reporting-events",
    "picocli",
)
# The ports of the pages; each is a free one here.
PORTS: Final = ("3000", "8000", "8080", "8443")


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return str(listening.getsockname()[1])


class Reader:
    """Somebody who follows a page in a folder of their own."""

    def __init__(self, page: str, folder: Path) -> None:
        self.page = (ROOT / "docs/howto" / page).read_text(encoding="utf-8")
        self.folder = folder
        self.ports = {port: free_port() for port in PORTS}
        self.environment = dict(os.environ)
        blocks = re.findall(r"^```\w+\n(.*?)^```", self.page, re.MULTILINE | re.DOTALL)
        self.files = {}
        for block in blocks:
            if named := re.match(r"(?://|#|<!--) ([\w/-]+\.[\w.]+)(?: -->)?\n", block):
                self.files[named[1]] = self.own(block)
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        # The package of this checkout, whatever is installed.
        programs = folder / "programs"
        programs.mkdir()
        for name, arguments in (("fake-oauth", "-m fake_oauth "), ("python", "")):
            command = programs / name
            command.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n')
            command.chmod(0o755)
        self.environment["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
        self.environment["PYTHONPATH"] = str(ROOT)
        self.environment["NO_PROXY"] = "*"

    def own(self, text: str) -> str:
        """Return a text with the ports of this run."""
        return re.sub(rf"\b({'|'.join(PORTS)})\b", lambda port: self.ports[port[0]], text)

    def runs(self, command: str) -> str:
        """Run a command of the page, and return its output."""
        assert re.search(rf"^(\$ )?{re.escape(command)}$", self.page, re.MULTILINE), command
        return self.run(command)

    def run(self, command: str, code: int = 0) -> str:
        """Run a command that ends with this code, and return its output."""
        done = subprocess.run(
            ["sh", "-ec", self.own(command)],
            check=False,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=PATIENCE_SECONDS,
        )
        if done.returncode != code:
            pytest.fail(f"{command} ended with {done.returncode}:\n{done.stdout}", pytrace=False)
        return done.stdout

    @contextmanager
    def serving(self, command: str) -> Iterator[None]:
        """Run `fake-oauth serve` of the page until the end of the block."""
        assert re.search(rf"^(\$ )?{re.escape(command)}$", self.page, re.MULTILINE), command
        if "--port" not in command:
            command += " --port 8080"
        with subprocess.Popen(
            ["sh", "-c", f"exec {self.own(command)}"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        ) as process:
            try:
                assert process.stdout is not None
                assert any("listening on" in line for line in process.stdout)
                yield
            finally:
                process.kill()


@pytest.fixture
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Reader:
    """Return the reader of the page that the test names with `reads`."""
    return Reader(request.param, tmp_path)


def reads(page: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("reader", [page], indirect=True, ids=[page])


def with_node(reader: Reader) -> None:
    """Let the reader run Node, with the packages of npm. Skip the test without them."""
    program = node_program()
    (reader.folder / "node_modules").symlink_to(PACKAGES)
    path = reader.environment["PATH"]
    reader.environment["PATH"] = f"{Path(program).parent}{os.pathsep}{path}"


@reads("node.md")
def test_the_tests_of_a_node_backend_pass(reader: Reader) -> None:
    with_node(reader)
    written = "".join(reader.files.values()).count("\ntest(")
    assert written == 6
    output = reader.runs("node --test")
    # Versions of Node, and terminals, have another reporter.
    assert re.search(rf"^(#|ℹ) pass {written}$", output, re.MULTILINE), output


@reads("spa.md")
def test_the_tests_of_a_single_page_application_pass(reader: Reader) -> None:
    with_node(reader)
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no Chromium: apt-get install chromium")
    reader.environment |= {"CHROMIUM": chromium, "CI": "true", "NO_COLOR": "1"}
    written = "".join(reader.files.values()).count("\ntest(")
    assert written == 4
    assert f"{written} passed" in reader.runs("npx playwright test")


@reads("go.md")
def test_the_tests_of_a_go_backend_pass(reader: Reader) -> None:
    """Debian's libraries have no modules, and nothing is fetched."""
    require_go()
    package = reader.folder / "src" / "session"
    package.mkdir(parents=True)
    for name in reader.files:
        shutil.move(reader.folder / name, package)
    reader.folder = package
    path = f"{package.parent.parent}{os.pathsep}{GOPATH}"
    reader.environment |= {"GO111MODULE": "off", "GOPATH": path, "GOFLAGS": "-v"}
    if "HOME" not in os.environ and "GOCACHE" not in os.environ:
        reader.environment["GOCACHE"] = str(package.parent.parent / "cache")
    written = re.findall(r"^func (Test\w+)\(t ", "".join(reader.files.values()), re.MULTILINE)
    assert len(written) == 5
    output = reader.runs("go test")
    passed = re.findall(r"^--- PASS: (\w+)", output, re.MULTILINE)
    assert sorted(passed) == sorted(written)


def require_java(oldest: int = 17) -> None:
    """Skip the test without this version of Java's compiler, or a later one."""
    if shutil.which("javac") is None:
        pytest.skip("no Java: javac is not on PATH (apt-get install default-jdk-headless)")
    version = subprocess.check_output(["javac", "-version"], text=True, stderr=subprocess.STDOUT)
    found = re.search(r"javac (\d+)", version)
    if found is None or int(found[1]) < oldest:
        pytest.skip(f"Java {oldest} or later is needed, and this is {version.strip()}")


@reads("java.md")
def test_the_program_of_a_java_backend_prints_what_is_shown(reader: Reader) -> None:
    require_java()
    reader.runs("javac FakeOAuth.java Session.java")
    output = reader.runs("java -cp . Refresh.java")
    assert f"$ java -cp . Refresh.java\n{output}```" in reader.page


@reads("java.md")
def test_the_junit_tests_of_a_java_backend_pass(reader: Reader) -> None:
    require_java()
    jars = [JARS / f"{name}.jar" for name in JUNIT]
    if missing := [jar.name for jar in jars if not jar.exists()]:
        pytest.skip(f"no {missing[0]}: {JARS} does not have it (apt-get install junit5)")
    classpath = f"-cp .:{':'.join(map(str, jars))}"
    reader.run(f"javac -Xlint:all,-path,-processing,-serial -Werror {classpath} *.java")
    launcher = "org.junit.platform.console.ConsoleLauncher --include-engine junit-jupiter"
    output = reader.run(f"java {classpath} {launcher} --scan-classpath .")
    assert reader.page.count("@Test\n") == 2
    assert "2 tests successful" in output
    # It prints the journal of a test that fails.
    broken = reader.folder / "Session.java"
    text = broken.read_text(encoding="utf-8")
    broken.write_text(text.replace("invalid_grant", "invalid_grants"), encoding="utf-8")
    reader.run(f"javac {classpath} *.java")
    output = reader.run(f"java {classpath} {launcher} --scan-classpath . || true")
    assert "2 tests failed" in output
    assert "refresh token rotated by request 1" in output


@reads("java.md")
def test_the_discovery_document_has_the_members_that_spring_requires(reader: Reader) -> None:
    """Those that its ClientRegistrations reads, and OpenID Connect Discovery 1.0 section 3."""
    settings = Settings.from_toml(reader.folder / "fake.toml")
    with FakeOAuth(settings) as server:
        metadata = server.metadata()
    assert metadata["issuer"] == server.issuer
    assert "client_secret_basic" in metadata["token_endpoint_auth_methods_supported"]
    assert "authorization_code" in metadata["grant_types_supported"]
    assert "RS256" in metadata["id_token_signing_alg_values_supported"]
    members = ("authorization_endpoint", "jwks_uri", "token_endpoint", "userinfo_endpoint")
    assert [name for name in members if not metadata[name].startswith(server.issuer)] == []
    assert metadata["subject_types_supported"]
    properties = r"^ +(client-id|client-secret|scope): (.*)$"
    registered = dict(re.findall(properties, reader.page, re.MULTILINE))
    (client,) = settings.clients
    assert registered["client-id"] == client.client_id
    assert registered["client-secret"] == client.client_secret
    assert set(registered["scope"].split(", ")) == set(client.scopes)


SERVE_HTTPS: Final = "fake-oauth serve --tls --ca-file ca.pem"
JWKS: Final = "https://127.0.0.1:8080/oauth2/jwks"


def says(reader: Reader, client: str) -> str:
    """Return the symptom of a client that does not trust the certificate, as the page has it."""
    (symptom,) = re.findall(
        rf"^\| `(.*)` \| (?:.*, )?{client}(?:, .*)? \|$", reader.page, re.MULTILINE
    )
    return str(symptom)


@reads("https.md")
def test_curl_and_python_trust_the_certificate(reader: Reader) -> None:
    with reader.serving(SERVE_HTTPS):
        reader.runs(
            "curl --fail --cacert ca.pem https://127.0.0.1:8080/.well-known/openid-configuration"
        )
        assert says(reader, "curl") in reader.run(f"curl --silent --show-error {JWKS}", code=60)
        plain = JWKS.replace("https", "http")
        said = reader.run(f"curl --silent --show-error {plain} || true")
        assert re.search("Empty reply from server|Connection reset by peer", said), said
        for variable, library in (("SSL_CERT_FILE", "httpx"), ("REQUESTS_CA_BUNDLE", "requests")):
            code = f'import {library}; print({library}.get("{JWKS}"))'
            assert "200" in reader.runs(f"{variable}=ca.pem python -c '{code}'")
            assert says(reader, "Python") in reader.run(f"python -c '{code}'", code=1)


@reads("https.md")
def test_node_trusts_the_certificate(reader: Reader) -> None:
    with_node(reader)
    with reader.serving(SERVE_HTTPS):
        assert reader.runs("NODE_EXTRA_CA_CERTS=ca.pem node check.mjs") == "200\n"
        assert says(reader, "Node") in reader.run("node check.mjs", code=1)


@reads("https.md")
def test_go_trusts_the_certificate(reader: Reader) -> None:
    require_go()
    reader.environment |= {"GO111MODULE": "off", "GOFLAGS": ""}
    if "HOME" not in os.environ and "GOCACHE" not in os.environ:
        reader.environment["GOCACHE"] = str(reader.folder / "cache")
    with reader.serving(SERVE_HTTPS):
        assert reader.runs("go run check.go") == "200\n"
        program = reader.folder / "check.go"
        trusting = program.read_text(encoding="utf-8")
        program.write_text(trusting.replace("RootCAs: pool", ""), encoding="utf-8")
        assert reader.run("SSL_CERT_FILE=ca.pem go run check.go") == "200\n"
        assert says(reader, "Go") in reader.run("go run check.go", code=1)


@reads("https.md")
def test_java_trusts_the_certificate(reader: Reader) -> None:
    require_java()
    with reader.serving(SERVE_HTTPS):
        lines = re.findall(r"^\$ (keytool .*|java .*)$", reader.page, re.MULTILINE)
        outputs = [reader.runs(line) for line in lines]
        assert outputs[1] == "200\n"
        assert says(reader, "Java") in reader.run("java Check.java", code=1)
