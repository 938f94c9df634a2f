"""What a user waits for: imports, help, a run that has nothing to do, status of a large store."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import ROOT, Report, Setting, Work, interleave, run_alone

from qlmbench.records import Record
from qlmbench.report.speed_results import OURS
from qlmbench.store import seal

STUDY = "qllm"


def call(*arguments: str) -> None:
    """Run a Python process from the repository's root; fail if it fails."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"suite: {' '.join(arguments)}: {done.stderr.strip()}")


def qlmbench(*arguments: str) -> None:
    """Run the command line as a process of its own."""
    call("-c", "from qlmbench.cli import main; main()", *arguments)


def fill(folder: Path, n_records: int) -> None:
    """Write a run of made-up records, as the store would."""
    folder.mkdir(parents=True)
    with (folder / "records.jsonl").open("w", encoding="utf-8") as file:
        for i in range(n_records):
            record = Record(
                id=f"{i:016x}",
                study=STUDY,
                arm=f"arm-{i // 1000:03d}",
                repetition=i % 1000,
                metrics={"accuracy": 0.5 + i % 7 / 20, "log_loss": 0.6, "f1": 0.5},
                seconds=1.5,
                environment="0123456789ab",
                finished="2025-01-01T00:00:00+00:00",
            )
            file.write(
                seal(record.model_dump_json(exclude_none=True, exclude_defaults=True)) + "\n"
            )


def main(setting: Setting) -> None:
    """Measure."""
    n_records = 2_000 if setting.quick else 100_000
    report = Report(
        "suite",
        "Whole processes from start to end, beside a Python process that does nothing: importing "
        "the library, the help text, a smoke run of which every trial is done, and the status of "
        f"a store of {n_records:,} made-up records.",
        setting,
    )
    with tempfile.TemporaryDirectory() as name:
        smoke, large = os.path.join(name, "smoke"), os.path.join(name, "large")  # noqa: PTH118
        qlmbench("run", STUDY, "--profile", "smoke", "--results", smoke, "--quiet", "--jobs", "1")
        fill(Path(large) / STUDY / "default", n_records)
        rerun = ("run", STUDY, "--profile", "smoke", "--results", smoke)
        works: dict[str, Work] = {
            "python that does nothing": lambda: call("-c", "pass"),
            "import qlmbench": lambda: call("-c", "import qlmbench"),
            "qlmbench --help": lambda: qlmbench("--help"),
            "qlmbench run, nothing to do": lambda: qlmbench(*rerun),
            f"qlmbench status, {n_records:,} records": lambda: qlmbench(
                "status", "--results", large
            ),
        }
        for command, seconds in interleave(works, setting.rounds(5)).items():
            report.add("commands", {"command": command}, "whole process", {OURS: seconds})
    report.finish()


if __name__ == "__main__":
    run_alone(main, __doc__)
