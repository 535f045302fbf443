"""The applications in examples/: their own tests, and their settings files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fake_oauth import FakeOAuth, Settings

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*/test_*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_the_tests_of_an_example_pass(path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path.name]
    result = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_the_settings_of_an_example_are_valid() -> None:
    for path in EXAMPLES:
        FakeOAuth(Settings.from_toml(path.with_name("fake.toml")))
    assert EXAMPLES
