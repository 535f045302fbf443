"""The how-to pages for other languages and set-ups: their files and commands, as a reader has them.

A block whose first line is a comment with a name is a file. The files of a page are saved in one
folder, and the commands of the page run there, with ports that are free.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest

from fake_oauth import FakeOAuth, Settings
from tests.clients.conftest import HERE, PACKAGES, form_in, node_program
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
# It is not on everybody's PATH.
NGINX: Final = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
# The ports of the pages; each is a free one here.
PORTS: Final = ("3000", "8000", "8080", "8443")


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return str(listening.getsockname()[1])


def files_of(page: str) -> dict[str, str]:
    """Return the files that a page shows, by name."""
    files = {}
    for block in re.findall(r"^```\w+\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        if named := re.match(r"(?://|#|<!--) ([\w/-]+\.[\w.]+)(?: -->)?\n", block):
            files[named[1]] = block
    return files


class Reader:
    """Somebody who follows a page in a folder of their own."""

    def __init__(self, page: str, folder: Path) -> None:
        self.page = (ROOT / "docs/howto" / page).read_text(encoding="utf-8")
        self.folder = folder
        self.ports = {port: free_port() for port in PORTS}
        self.environment = dict(os.environ)
        self.files = {name: self.own(text) for name, text in files_of(self.page).items()}
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

    def borrow(self, name: str, page: str) -> None:
        """Save a file of another page."""
        text = files_of((ROOT / "docs/howto" / page).read_text(encoding="utf-8"))[name]
        (self.folder / name).write_text(text, encoding="utf-8")

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
    def serving(self, command: str) -> Iterator[str]:
        """Run `fake-oauth serve` of the page, and yield what it prints first."""
        assert re.search(rf"^(\$ )?{re.escape(command)}$", self.page, re.MULTILINE), command
        if "--port" not in command:
            command += " --port 8080"
        with subprocess.Popen(
            shlex.split(self.own(command)),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        ) as process:
            try:
                assert process.stdout is not None
                heading = "".join(iter(process.stdout.readline, "Press Ctrl-C to stop.\n"))
                assert process.poll() is None, heading
                yield heading
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
    # The page has its settings from a command, and a file from another page.
    reader.runs("fake-oauth init --for spa --redirect-uri http://localhost:3000/index.html --yes")
    reader.borrow("fake_oauth.mjs", "node.md")
    written = "".join(reader.files.values()).count("\ntest(")
    assert written == 5
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


# Around the file of a page: nothing outside of the folder, and no process besides this one.
NGINX_CONF: Final = """
daemon off; master_process off; pid nginx.pid; error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;
    uwsgi_temp_path t4; scgi_temp_path t5;
    include %s;
}
"""


@contextmanager
def nginx(reader: Reader, configuration: str, port: str) -> Iterator[None]:
    """Run nginx with a file of the page, which listens on a port of the page."""
    if NGINX is None:
        pytest.skip("no nginx: apt-get install nginx")
    path = reader.folder / "nginx.conf"
    path.write_text(NGINX_CONF % configuration, encoding="utf-8")
    command = [NGINX, "-p", str(reader.folder), "-c", str(path), "-e", "stderr"]
    with subprocess.Popen(command, cwd=reader.folder) as process:
        try:
            while process.poll() is None:
                try:
                    socket.create_connection(("127.0.0.1", int(reader.ports[port]))).close()
                except ConnectionRefusedError:
                    continue
                break
            assert process.poll() is None, "nginx ended early"
            yield
        finally:
            process.kill()


@pytest.mark.parametrize("slash", ["", "/"], ids=["kept", "removed"])
@reads("proxy.md")
def test_a_path_is_served_behind_a_proxy(reader: Reader, slash: str, browser: httpx.Client) -> None:
    """The proxy keeps the path of the issuer, or removes it."""
    configuration = reader.folder / "path.conf"
    text = re.sub(r"(proxy_pass http://[^;]*)", rf"\1{slash}", reader.files["path.conf"])
    configuration.write_text(text, encoding="utf-8")
    command = "fake-oauth serve --dialect rfc --issuer http://localhost:8000/auth"
    with reader.serving(command), nginx(reader, "path.conf", "8000"):
        output = reader.runs("curl -s http://localhost:8000/auth/.well-known/openid-configuration")
        (shown,) = re.findall(r"^({.*),…$", reader.page, re.MULTILINE)
        assert output.startswith(reader.own(shown))
        issuer = reader.own("http://localhost:8000/auth")
        # What the page says of these headers.
        forged = {"Host": "evil.example", "X-Forwarded-Prefix": "/evil"}
        forged |= {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
        forged["X-Forwarded-Proto"] = "https"
        document = f"{issuer}/.well-known/openid-configuration"
        assert browser.get(document, headers=forged).text == output
        query = {"response_type": "code", "client_id": "TENANT_CLIENT_ID", "scope": "openid"}
        query["redirect_uri"] = "https://example.com/callback"
        login = browser.get(f"{issuer}/authorize", params=query).headers["Location"]
        login_url = httpx.URL(issuer).join(login)
        form = form_in(browser.get(login_url).raise_for_status().text)
        target = login_url.join(form["url"])
        assert target.path == "/auth/login"
        chosen = {**form["fields"], "sub": "MOCK_USERNAME"}
        back = browser.post(target, data=chosen).headers["Location"]
        assert httpx.URL(back).host == "example.com"
        assert "code" in httpx.URL(back).params
        for path in ("/_fake/", "/auth/_fake/"):
            assert browser.get(httpx.URL(issuer).join(path)).status_code == 404


@reads("proxy.md")
def test_the_metadata_of_rfc_8414_are_outside_of_the_path(reader: Reader) -> None:
    (location,) = re.findall(
        r"^```nginx\n(location .*?)^```", reader.page, re.MULTILINE | re.DOTALL
    )
    configuration = reader.folder / "path.conf"
    text = reader.files["path.conf"].replace("location /auth/ {", f"{location}location /auth/ {{")
    configuration.write_text(reader.own(text), encoding="utf-8")
    command = "fake-oauth serve --dialect rfc --issuer http://localhost:8000/auth"
    with reader.serving(command), nginx(reader, "path.conf", "8000"):
        url = "http://localhost:8000/.well-known/oauth-authorization-server/auth"
        assert reader.own('"issuer":"http://localhost:8000/auth"') in reader.run(f"curl -s {url}")


@reads("proxy.md")
def test_the_port_in_an_issuer_is_the_server_s(reader: Reader) -> None:
    with reader.serving("fake-oauth serve --port 0 --issuer http://fake.test:{port}") as heading:
        (port,) = re.findall(r"listening on http://127\.0\.0\.1:(\d+)$", heading, re.MULTILINE)
        assert f"  issuer http://fake.test:{port}\n" in heading


@reads("proxy.md")
def test_a_proxy_terminates_tls(reader: Reader) -> None:
    (certificate,) = re.findall(r"^openssl .*$", reader.page, re.MULTILINE)
    reader.runs(certificate)
    command = "fake-oauth serve --dialect rfc --issuer https://localhost:8443"
    with reader.serving(command), nginx(reader, "tls.conf", "8443"):
        url = "https://localhost:8443/.well-known/openid-configuration"
        output = reader.run(f"curl -s --fail --cacert cert.pem {url}")
        assert reader.own('"issuer":"https://localhost:8443"') in output


SERVE_FILE: Final = "fake-oauth serve --settings fake.toml"


def journal(reader: Reader) -> list[tuple[int, str | None]]:
    """Return the status and the reason of each exchange with the server itself."""
    url = reader.own("http://127.0.0.1:8080/_fake/journal")
    exchanges = httpx.get(url, trust_env=False).json()["exchanges"]
    return [(exchange["status"], exchange["reason"]) for exchange in exchanges]


@reads("proxy.md")
def test_a_proxy_loses_a_response(reader: Reader) -> None:
    first, second = re.findall(r"^\$ (curl .*/token .*)$", reader.page, re.MULTILINE)
    assert first == second
    with reader.serving(SERVE_FILE), nginx(reader, "drops.conf", "8000"):
        lost = reader.run(f"{first} -sS", code=52)
        assert f"{lost}$ curl" in reader.page
        (shown,) = re.findall(r'^({"error":.*)…$', reader.page, re.MULTILINE)
        assert reader.run(f"{second} -s").startswith(shown)
        (_, was_lost), (_, refused) = journal(reader)
        assert "the response was lost" in str(was_lost)
        assert refused == "refresh token rotated by request 1"


@reads("proxy.md")
def test_a_proxy_sends_a_request_twice(reader: Reader) -> None:
    """Without `non_idempotent`, it does not."""
    command, _ = re.findall(r"^\$ (curl .*/token .*)$", reader.page, re.MULTILINE)
    with reader.serving(SERVE_FILE), nginx(reader, "retries.conf", "8000"):
        assert "invalid_grant" in reader.run(f"{command} -s")
        reasons = [reason for _, reason in journal(reader)]
        assert len(reasons) == 2
        assert f"`{reasons[1]}`" in reader.page
    configuration = reader.folder / "retries.conf"
    text = configuration.read_text(encoding="utf-8")
    configuration.write_text(text.replace(" non_idempotent", ""), encoding="utf-8")
    with reader.serving(SERVE_FILE), nginx(reader, "retries.conf", "8000"):
        assert "504" in reader.run(f"{command} -s")
        assert len(journal(reader)) == 1


BEHIND_NGINX: Final = {
    "HangUp(after_commit=True)": {"fault": "HangUp", "after_commit": True},
    "Reset(after_commit=True)": {"fault": "Reset", "after_commit": True},
    "Hang(after_commit=True)": {"fault": "Hang", "after_commit": True},
    "Truncated(at=20)": {"fault": "Truncated", "at": 20},
    "Status(503)": {"fault": "Status", "code": 503},
    "Down()": {"fault": "Down", "seconds": 60},
}


@reads("proxy.md")
def test_a_proxy_changes_what_a_client_sees_of_a_fault(reader: Reader) -> None:
    rows = re.findall(r"^\| (`\w+\(.*\)`) \| (\d{3}),? ?(.*) \|$", reader.page, re.MULTILINE)
    described = {name: row[1:] for row in rows for name in re.findall(r"`(.*?)`", row[0])}
    assert list(described) == list(BEHIND_NGINX)
    passes = reader.files["drops.conf"].replace("error_page", "# error_page")
    (reader.folder / "drops.conf").write_text(passes, encoding="utf-8")
    command, _ = re.findall(r"^\$ (curl .*/token .*)$", reader.page, re.MULTILINE)
    with reader.serving(SERVE_FILE), nginx(reader, "drops.conf", "8000"):
        for name, fault in BEHIND_NGINX.items():
            status, what = described[name]
            control = reader.own("http://127.0.0.1:8080/_fake/")
            httpx.post(f"{control}reset", json={}, trust_env=False).raise_for_status()
            script = {"faults": [fault]}
            httpx.put(f"{control}faults", json=script, trust_env=False).raise_for_status()
            output = reader.run(f"{command} -s -w '%{{http_code}} %{{exitcode}}' || true")
            # curl's code for a response that is shorter than it says.
            code = 18 if "closes too early" in what else 0
            assert output.endswith(f"{status} {code}"), name
            assert ("<html>" in output) == (status in ("502", "504")), name
