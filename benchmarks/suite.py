"""What a user waits for: imports, help, a run with nothing to do, a large store, the documentation.

Each is a process of its own, from start to end. `import torch` stands beside them: whoever computes
anything here pays it once, whatever is done to the rest.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import ROOT, Report, Setting, Work, interleave, run_alone

from qlmbench.records import Record
from qlmbench.report.speed_results import OURS
from qlmbench.store import seal

STUDY = "qllm"
READ = "import pandas; pandas.read_json({path!r}, lines=True)"
SOURCES = ("docs", "notebooks", "results")


def call(*arguments: str, cwd: Path = ROOT) -> None:
    """Run a Python process, by default from the repository's root; fail if it fails."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"suite: {' '.join(arguments)}: {done.stderr.strip()}")


def qlmbench(*arguments: str) -> None:
    """Run the command line as a process of its own."""
    call("-c", "from qlmbench.cli import main; main()", *arguments)


def fill(folder: Path, n_records: int) -> Path:
    """Write the records of a made-up setting, as the store would; return their file."""
    folder.mkdir(parents=True)
    path = folder / "records.jsonl"
    with path.open("w", encoding="utf-8") as file:
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
            row = record.model_dump_json(exclude_none=True, exclude_defaults=True)
            file.write(seal(row) + "\n")
    return path


def copy_sources(folder: Path, *, with_results: bool) -> None:
    """Copy what the documentation is built from, so that a build changes no file of ours."""
    ignored = shutil.ignore_patterns("_build", "jupyter_execute")
    for name in SOURCES:
        if name != "results" or with_results:
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    (folder / "results").mkdir(exist_ok=True)


def build_documentation(folder: Path) -> None:
    """Build the site anew, from nothing."""
    call("-m", "sphinx", "-q", "-E", "-a", "-b", "html", "docs", "html", cwd=folder)


def main(setting: Setting) -> None:
    """Measure."""
    n_records = 2_000 if setting.quick else 100_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        smoke, large = str(folder / "smoke"), str(folder / "large")
        rerun = ("run", STUDY, "--profile", "smoke", "--results", smoke, "--jobs", "1")
        qlmbench(*rerun, "--quiet")
        table = fill(folder / "large" / STUDY / "default" / "main", n_records)
        copy_sources(folder / "site", with_results=not setting.quick)
        works: dict[str, Work] = {
            "import torch": lambda: call("-c", "import torch"),
            "import qlmbench": lambda: call("-c", "import qlmbench"),
            "qlmbench --help": lambda: qlmbench("--help"),
            "qlmbench run, nothing to do": lambda: qlmbench(*rerun),
            f"qlmbench status, {n_records:,} records": lambda: qlmbench(
                "status", "--results", large
            ),
            "the same records, read by pandas": lambda: call("-c", READ.format(path=str(table))),
            "the documentation, built anew": lambda: build_documentation(folder / "site"),
        }
        _report(works, setting, n_records)


def _report(works: dict[str, Work], setting: Setting, n_records: int) -> None:
    pages = "without results" if setting.quick else "with all results"
    report = Report(
        "suite",
        "Whole processes from start to end, beside one that imports torch and does nothing with "
        "it: importing the library, the help text, a smoke run of which every trial is done, the "
        f"status of a store of {n_records:,} made-up records and pandas reading the same lines, "
        f"and the documentation, built {pages}.",
        setting,
    )
    for command, seconds in interleave(works, setting.rounds(3)).items():
        report.add("commands", {"command": command}, "whole process", {OURS: seconds})
    report.finish()


if __name__ == "__main__":
    run_alone(main, __doc__)
