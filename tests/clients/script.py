"""A client's script in another language, run by a test.

The script gets its options as JSON in its last argument. Each line that it prints is a JSON object
with one member: a question and its subject. The test answers each with a line of JSON. The last
line is `{"done": …}`, with what the script found.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from threading import Timer
from typing import Any, Final

import pytest

PATIENCE_SECONDS: Final = 60
"""How long a script can take; the slowest needs a few seconds."""

Answer = Callable[[Any], Any]
"""What a test does for a script: receives the subject of a question, and returns the answer."""


def run(
    command: Sequence[str | Path],
    options: Mapping[str, Any],
    answers: Mapping[str, Answer],
    *,
    environment: Mapping[str, str] | None = None,
) -> Any:
    """Run a script, answer its questions, and return what it found."""
    result: list[Any] = []
    with (
        TemporaryFile() as errors,
        subprocess.Popen(
            [*command, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        timer = Timer(PATIENCE_SECONDS, process.kill)
        timer.start()
        try:
            for line in process.stdout:
                ((question, subject),) = json.loads(line).items()
                if question == "done":
                    result.append(subject)
                else:
                    print(json.dumps(answers[question](subject)), file=process.stdin, flush=True)
        finally:
            process.stdin.close()
            if not result:
                process.kill()
            process.wait()
            timer.cancel()
            timer.join()
        if process.returncode or not result:
            errors.seek(0)
            said = errors.read().decode(errors="replace")
            pytest.fail(f"{command[-1]} ended with {process.returncode}:\n{said}", pytrace=False)
    return result[0]
