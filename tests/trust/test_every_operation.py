"""A store that is killed or runs out of room at any single operation on a file loses nothing."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.test_store import outcome

from qlmbench.store import Store

OLD, NEW, FAILING = range(3), range(3, 5), 5


class Killed(BaseException):
    """Stands for the end of the process: nothing may catch it and go on."""


class Operations:
    """Counts operations on files, and from the ``last`` one on lets none be done.

    Parameters
    ----------
    last : int
        How many are done.
    error : exception
        What the others raise.
    cleaning : bool
        Whether files may be removed all the same: they may where a disk is full.
    """

    def __init__(self, last: int, error: BaseException, cleaning: bool) -> None:
        self.last, self.error, self.seen = last, error, 0
        self.names = {(os, "fsync"), (tempfile, "mkstemp"), (Path, "mkdir"), (Path, "replace")}
        self.names |= set() if cleaning else {(Path, "unlink")}

    def tick(self) -> None:
        self.seen += 1
        if self.seen > self.last:
            raise self.error

    def patched(self, patch: pytest.MonkeyPatch) -> None:
        for place, name in self.names:
            patch.setattr(place, name, self._counted(getattr(place, name)))
        opened = os.fdopen
        patch.setattr(os, "fdopen", lambda *args, **kw: _Halves(opened(*args, **kw), self))

    def _counted(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.tick()
            return operation(*arguments, **options)

        return counted


class _Halves:
    """A file that is written in two halves, with an operation before each."""

    def __init__(self, file: Any, operations: Operations) -> None:
        self.file, self.operations = file, operations

    def __enter__(self) -> "_Halves":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, text: str) -> None:
        for half in (text[: len(text) // 2], text[len(text) // 2 :]):
            self.operations.tick()
            self.file.write(half)
            self.file.flush()


def work(store: Store, told: list[str]) -> None:
    """Save two trials and a failure and put them in their tables; tell what was saved."""
    for i in NEW:
        store.save(outcome(i, value=0.1 * i))
        told.append(outcome(i).record.id)
    store.save(outcome(FAILING, status="failed"))
    store.consolidate()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no disk: it is a process that is killed here, and never the machine."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """Tables of three trials, one of which failed at first."""
    store = Store(tmp_path / "before")
    for i in OLD:
        store.save(outcome(i, value=0.1 * i))
    store.save(outcome(9, status="failed"))
    store.consolidate()
    return store.folder


def tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.json*")}


def interrupt(before: Path, folder: Path, operations: Operations) -> bool:
    """Do the work until it is interrupted, look at what is there, and do the rest of it."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(before, folder)
    told = [outcome(i).record.id for i in OLD]
    whole = True
    with pytest.MonkeyPatch.context() as patch:
        operations.patched(patch)
        try:
            work(Store(folder), told)
        except type(operations.error):
            whole = False
    left = Store(folder)
    kept = {record.id: record for record in left.records()}
    assert set(told) <= kept.keys() == left.finished(), f"operation {operations.last}"
    assert all(record == outcome_of(key) for key, record in kept.items())
    tables = Store(folder.with_name("tables"))  # for a reader who listed single trials before
    shutil.copytree(folder, tables.folder, ignore=shutil.ignore_patterns("trials", "*.part"))
    assert {record.id for record in tables.records()} == tables.finished()
    shutil.rmtree(tables.folder)
    left.failures()
    left.environments()
    assert left.problems == [], f"operation {operations.last}"
    work(Store(folder), [])
    return whole


def outcome_of(key: str) -> object:
    i = int(key, 16)
    record = outcome(i, value=0.1 * i).record
    return record.model_copy(update={"beside": ["predictions", "curves"]})


@pytest.mark.parametrize("how", ["killed", "full"])
def test_no_operation_on_a_file_is_one_that_a_stop_or_a_full_disk_may_not_meet(
    before: Path, tmp_path: Path, how: str
) -> None:
    error = Killed() if how == "killed" else OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(before, undisturbed)
    work(Store(undisturbed), [])
    expected = tables(undisturbed)
    met, whole = 0, False
    while not whole:
        whole = interrupt(before, tmp_path / "r", Operations(met, error, how == "full"))
        assert tables(tmp_path / "r") == expected, f"operation {met}"
        if how == "full":
            assert not list((tmp_path / "r").rglob("*.part"))
        met += 1
    assert met > 40, "every operation of the work was met"


def test_what_a_killed_merge_left_half_written_is_gone_after_the_next(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(outcome(1))
    stale = [tmp_path / name for name in (".records.jsonl.ab.part", ".environments.json.x.part")]
    for path in stale:
        path.write_bytes(b"{")
    store.consolidate()
    assert not any(path.exists() for path in stale)
    assert len(store.records()) == 1


def test_a_failure_of_another_run_never_takes_the_place_of_a_finished_trial(
    tmp_path: Path,
) -> None:
    for order in (("ok", "failed"), ("failed", "ok")):
        store = Store(tmp_path / order[0])
        for status in order:
            store.save(outcome(1, status=status))
        for _ in range(2):
            assert [record.status for record in store.records()] == ["ok"]
            assert store.failures() == []
            assert len(store.finished()) == 1
            store.consolidate()
        assert not (store.folder / "failures.jsonl").exists()
