"""Where a record comes from: the code's commit, the package versions, the machine."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "qlmbench",
    "merlinquantum",
    "perceval-quandela",
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "transformers",
)


@cache
def environment() -> dict[str, str]:
    """Describe the code and the machine that a trial runs on."""
    found = {name: _version(name) for name in PACKAGES}
    return found | {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "commit": commit(),
    }


def commit() -> str:
    """Return the commit of the running code, marked where the working tree differs from it."""
    source = Path(__file__).resolve().parents[2]
    head = _git(source, "rev-parse", "HEAD")
    if not head:
        return "not a checkout"
    changed = _git(source, "status", "--porcelain", "--", "src", "reproductions", "pyproject.toml")
    return head + ("+changed" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    """Return the processor's model name, where the system tells it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.processor()
