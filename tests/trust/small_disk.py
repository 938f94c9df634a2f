"""Runs commands on a disk that is full, has room again, and is then read-only.

Called in a working folder with the cheap study, in a mount namespace of its own (``unshare -rm``):
the disk is a file system in memory that nobody else sees and that is gone with this process.
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import torch
from click.testing import Result
from tests.trust.faults import RUN, SETTING, assert_one_line, call, contents

from qlmbench.data.features import FeatureCache, text_key
from qlmbench.data.sources import RegistryPackage, fetch
from qlmbench.errors import UserError
from qlmbench.store import Store
from qlmbench.tensor_files import load_tensors, save_tensors

DISK = Path("disk")
SOURCE = RegistryPackage(
    "tiny-set", "1.0", {"tiny_set/data.csv": os.environ["MEMBER_SHA256"]}, archive_sha256=""
)


def run() -> Result:
    return call(*RUN[:-1], str(DISK / "r"), "--jobs", "1", "-q")


def fill(leave: int) -> None:
    """Leave only so many bytes free, in whole pages."""
    (DISK / "filler").unlink(missing_ok=True)
    free = os.statvfs(DISK).f_bavail * os.statvfs(DISK).f_frsize
    (DISK / "filler").write_bytes(bytes(max(0, free - leave)))


def refused(what: str, action: object) -> str:
    try:
        action()  # type: ignore[operator]
    except UserError as error:
        return str(error)
    raise AssertionError(f"{what}: was not refused")


def features(n: int, name: str) -> None:
    rows = {text_key(f"{name} {i}"): np.full(64, i, dtype=np.float32) for i in range(n)}
    FeatureCache(Path(os.environ["QLMBENCH_CACHE"]) / "f.sqlite", 64).write(rows)


def while_full() -> None:
    for leave in (4096, 40_000):  # full at the first record; full while tables are written
        fill(leave)
        result = run()
        assert result.exit_code == 2, result.output
        assert_one_line(result)
        assert "finished trials are kept" in result.stderr
        store = Store(DISK / SETTING)
        assert store.finished() == {record.id for record in store.records()}
        assert store.problems == []
        assert not list(DISK.rglob("*.part"))
    fill(0)
    assert "QLMBENCH_CACHE" in refused("features", lambda: features(500, "a"))
    assert "QLMBENCH_CACHE" in refused("fetch", lambda: fetch(SOURCE))
    before = (DISK / "w.safetensors").read_bytes()
    try:
        save_tensors({"w": torch.ones(50_000)}, DISK / "w.safetensors")
    except Exception:  # safetensors has its own error
        assert (DISK / "w.safetensors").read_bytes() == before, "the old file is whole"
    else:
        raise AssertionError("weights were written to a full disk")
    assert sorted(path.name for path in DISK.glob("*.part")) == []


def with_room_again() -> None:
    (DISK / "filler").unlink()
    result = run()
    assert result.exit_code == 0, result.output
    assert contents(DISK / SETTING) == contents(Path("undisturbed") / SETTING)
    features(20, "b")
    fetch(SOURCE)
    load_tensors(DISK / "w.safetensors")


def while_read_only() -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(DISK)], check=True)
    again = run()
    assert again.exit_code == 0, again.output  # nothing is to be written: the tables are shown
    more = call(*RUN[:-1], str(DISK / "r"), "--repetitions", "9", "--jobs", "1", "-q")
    assert more.exit_code == 2
    assert_one_line(more)
    assert "Read-only file system" in more.stderr
    report = call("report", "cheap", "--results", str(DISK / "r"))
    assert report.exit_code == 2, report.output
    assert_one_line(report)
    fetch(SOURCE)
    keys = [text_key(f"b {i}") for i in range(20)]
    path = Path(os.environ["QLMBENCH_CACHE"]) / "f.sqlite"
    assert FeatureCache(path, 64).read(keys).keys() == set(keys)
    assert "QLMBENCH_CACHE" in refused("features", lambda: features(5, "c"))


if __name__ == "__main__":
    assert call(*RUN[:-1], "undisturbed/r", "--jobs", "1", "-q").exit_code == 0
    DISK.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(DISK)], check=True)
    save_tensors({"w": torch.ones(3)}, DISK / "w.safetensors")
    while_full()
    with_room_again()
    while_read_only()
    print("everything held")
