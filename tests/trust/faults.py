"""A cheap study, ways to damage files, and a comparison of runs, for all tests of this folder."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from tests.studies import LOGREG, MEAN, arm, head, profile, put_study

from qlmbench.cli import main
from qlmbench.store import Store, unseal

REPETITIONS = 6
TRIALS = 4 * REPETITIONS
STUDY = (
    head("cheap")
    + arm("logreg", LOGREG, "tune = { C = [0.1, 1.0] }")
    + arm("neighbours", "sklearn.neighbors:KNeighborsClassifier")
    + arm("mean", MEAN)
    + arm("shuffled", LOGREG, "shuffle_labels = true", kind="control")
    + profile("smoke", repetitions=REPETITIONS, per_class=4, test=40)
)
"""Two dozen trials of four arms; nothing is fetched and no torch network is trained."""

RUN = ("run", "cheap", "--profile", "smoke", "--results", "r")
SETTING = Path("r") / "cheap" / "smoke" / "main"
UNEQUAL = {"seconds", "finished", "peak_memory_mb", "stacked", "environment"}
"""What a record says of its making; all else must be equal between runs."""

Damage = Callable[[bytes], bytes]
FEW = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
MANY = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def write_study(folder: Path, text: str | bytes = STUDY) -> Path:
    """Make a working folder with the study in it."""
    put_study(folder, "cheap", text)
    return folder


def call(*arguments: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(main, list(arguments))


def start(folder: Path, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
    """Start a command as a process of its own, in its own group."""
    command = [sys.executable, "-m", "qlmbench", *arguments]
    kept = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen(command, cwd=folder, start_new_session=True, env=os.environ, **kept)


def contents(folder: Path) -> dict[str, Any]:
    """Read what a setting's folder holds, without what only says how it was made."""
    found: dict[str, Any] = {}
    for table in sorted(folder.glob("*.jsonl")):
        bodies = [unseal(line) for line in table.read_text(encoding="utf-8").splitlines()]
        assert None not in bodies, f"{table} has a damaged row"
        rows = [json.loads(body) for body in bodies if body is not None]
        found[table.name] = [
            {key: value for key, value in row.items() if key not in UNEQUAL} for row in rows
        ]
    return found


def stamps(folder: Path) -> Mapping[str, tuple[str, float]]:
    """Return by trial when it was finished and how long it took: what a second run would change."""
    return {record.id: (record.finished, record.seconds) for record in Store(folder).records()}


def assert_one_line(result: Result, *, codes: tuple[int, ...] = (0, 2)) -> None:
    """Check that a command ended as a mistake of the user's should: said in one line, or fine."""
    unexpected = result.exception
    if unexpected is not None and not isinstance(unexpected, SystemExit):
        raise unexpected
    assert result.exit_code in codes, result.output
    assert "Traceback" not in result.output
    if result.exit_code == 2:
        said = [
            line
            for line in result.stderr.splitlines()
            if line.startswith(("qlmbench: ", "Error: "))
        ]
        assert len(said) == 1, result.stderr
        usage = [line for line in result.stderr.splitlines() if line not in said]
        assert all(not line or line.startswith(("Usage: ", "Try ")) for line in usage), usage


def flipped(raw: bytes, position: int, bit: int) -> bytes:
    """Return the content with one bit the other way."""
    changed = bytearray(raw)
    changed[position % len(raw)] ^= 1 << bit
    return bytes(changed)


@st.composite
def damage(draw: st.DrawFn) -> Any:
    """Draw a way to damage a file: a flipped bit anywhere, or an end that is missing."""
    position, bit = draw(st.integers(0, 10**7)), draw(st.integers(0, 7))
    if draw(st.booleans()):
        return lambda raw: flipped(raw, position, bit)
    return lambda raw: raw[: position % len(raw)]
