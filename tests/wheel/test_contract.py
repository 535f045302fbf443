"""The contract as users of the wheel run it, with what its extra pulls in.

Run by `make wheel` after the other tests of the wheel, which do without that extra.
"""

import json
import subprocess
import sys
from pathlib import Path

import fake_oauth


def test_it_has_the_documented_exchanges() -> None:
    from fake_oauth.contract.cases import cases

    assert len(cases("ciam")) == 53
    assert len(cases("rfc")) > 60


def test_it_is_run_by_pytest() -> None:
    from fake_oauth.contract.cases import cases
    from fake_oauth.dialects import DIALECTS

    # Not with the conftest.py of the project whose folder this environment is in.
    package = str(Path(fake_oauth.__file__).parent)
    own = ("-c", str(Path(__file__).with_name("pytest.ini")), "--confcutdir", package)
    command = [sys.executable, "-I", "-m", "pytest", "-q", *own, "--pyargs", "fake_oauth.contract"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    total = sum(len(cases(dialect)) for dialect in DIALECTS)
    assert f"{3 * total} passed" in ended.stdout, ended.stdout + ended.stderr
    assert ended.returncode == 0


def test_it_is_run_by_the_command(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("fake-oauth")
    told = tmp_path / "told.json"
    with fake_oauth.FakeOAuth(fake_oauth.Settings(control=True)) as server:
        asked = [str(command), "check", server.url, "--spend"]
        table = subprocess.run(asked, capture_output=True, text=True, check=False)
        subprocess.run([*asked, "--json", str(told)], check=True)
    assert "53 match, 0 differ, 0 skipped" in table.stdout, table.stdout + table.stderr
    assert table.returncode == 0
    assert json.loads(told.read_text(encoding="utf-8"))["counts"]["matches"] == 53
