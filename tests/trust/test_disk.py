"""A disk that is full or read-only is one line; what is finished stays."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.data.conftest import sha256, write_wheel
from tests.trust.faults import RUN, SETTING, TRIALS, assert_one_line, call, contents, start

from qlmbench.store import Store

ROOT = Path(__file__).parents[2]


def check_full_from(work: Path, writes: int) -> None:
    """Run with room for so many files, then with room for all."""
    assert call(*RUN, "--jobs", "1").exit_code == 0
    whole = contents(work / SETTING)
    (work / "r").rename(work / f"whole-{writes}")
    left = writes
    sound = os.fsync

    def full_after_some(handle: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sound(handle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qlmbench.store.os.fsync", full_after_some)
        result = call(*RUN, "--jobs", "1", "-q")
    assert result.exit_code == 2
    assert_one_line(result)
    assert "No space left on device" in result.stderr
    store = Store(work / SETTING)
    assert store.finished() == {record.id for record in store.records()}
    assert store.problems == []
    assert not list(work.rglob("*.part"))
    assert call(*RUN, "--jobs", "1", "-q").exit_code == 0
    assert contents(work / SETTING) == whole
    shutil.rmtree(work / "r")


def test_a_disk_that_fills_up_while_records_are_written_costs_no_finished_trial(
    work: Path,
) -> None:
    check_full_from(work, 12)


@pytest.mark.slow
@pytest.mark.parametrize("writes", [0, 1, TRIALS // 2, *range(TRIALS, TRIALS + 6)])
def test_a_disk_that_fills_up_at_any_write_costs_no_finished_trial(work: Path, writes: int) -> None:
    check_full_from(work, writes)


def test_results_that_cannot_be_written_are_said_before_anything_is_trained(work: Path) -> None:
    (work / "taken").write_text("a file", encoding="utf-8")
    for results in ("taken", "taken/below"):
        result = call(*RUN[:-1], results)
        assert result.exit_code == 2
        assert_one_line(result)
        assert "taken" in result.stderr


def test_a_disk_that_became_read_only_is_said_before_the_rest_is_trained(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(*RUN, "--jobs", "1", "--arm", "mean").exit_code == 0
    trained: list[object] = []

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("qlmbench.store.tempfile.TemporaryDirectory", refuse)
    monkeypatch.setattr("qlmbench.store.tempfile.mkstemp", refuse)
    monkeypatch.setattr("qlmbench.experiment.run_job", lambda *job: trained.append(job) or [])
    result = call(*RUN, "--jobs", "1")
    assert_one_line(result, codes=(2,))
    assert "Read-only file system" in result.stderr
    assert trained == []


def test_an_error_of_the_system_that_nobody_expected_is_one_line(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), "some/file")

    monkeypatch.setattr("qlmbench.registry.study_folders", broken)
    result = call("list")
    assert result.exit_code == 2
    assert result.stderr == "qlmbench: some/file: Input/output error\n"


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
from qlmbench.cli import main
main(sys.argv[2:])
"""


@pytest.mark.slow
@pytest.mark.parametrize("largest", [100, 3000])
def test_a_file_that_the_system_refuses_to_let_grow_is_one_line(work: Path, largest: int) -> None:
    command = [sys.executable, "-c", LIMITED, str(largest), *RUN, "--jobs", "1", "-q"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "File too large" in done.stderr
    assert Store(work / SETTING).problems == []
    assert start(work, *RUN, "-q").wait() == 0
    assert len(Store(work / SETTING).finished()) == TRIALS


def may_mount() -> bool:
    """Whether this user may make a mount namespace, and mount in it."""
    if not sys.platform.startswith("linux") or shutil.which("unshare") is None:
        return False
    trial = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(trial, capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not may_mount(), reason="needs a mount namespace: Linux, and leave to make one")
def test_a_disk_that_is_full_then_has_room_and_is_then_read_only(work: Path, index: Path) -> None:
    content = b"text,label\n" + b"good,1\n" * 1000
    write_wheel(index, "tiny-set", "1.0", {"tiny_set/data.csv": content})
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    chosen = {"QLMBENCH_CACHE": str(work / "disk" / "cache"), "MEMBER_SHA256": sha256(content)}
    done = subprocess.run(
        ["unshare", "-rm", sys.executable, "-m", "tests.trust.small_disk"],
        cwd=work,
        env=os.environ | chosen | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.endswith("everything held\n")
