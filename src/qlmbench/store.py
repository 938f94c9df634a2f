"""Records on disk: atomic writes by the workers, tolerant reads, and a merge into a few tables.

The folder of a setting holds one table a kind (``records.jsonl``, ``predictions.jsonl``, ...), one
row a trial (of true labels a repetition), sorted, so that a diff shows what changed. While a run
goes on, each finished trial is one file under ``trials/``; `Store.consolidate` moves them into the
tables. Each row carries a checksum of itself, as ``run.json`` does; an environment's key is a hash
of it. A row that was cut off or altered is reported, set aside and run again, never used.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock
from pydantic import TypeAdapter, ValidationError

from qlmbench.errors import UserError
from qlmbench.records import (
    AttentionMaps,
    Conditions,
    Curves,
    Entry,
    Outcome,
    Predictions,
    Record,
    RunInfo,
    SplitLabels,
    Tuning,
    environment_id,
)

E = TypeVar("E", bound=Entry)
_ENVIRONMENTS = TypeAdapter(dict[str, dict[str, str]])
_OBJECT = TypeAdapter(dict[str, Any])
_INFO_CHECK = "check"
_CHECK = ',"check":"'
_TAIL = len(_CHECK) + 8 + len('"}')
_BESIDE: dict[str, type[Entry]] = {
    "predictions": Predictions,
    "curves": Curves,
    "tuning": Tuning,
    "conditions": Conditions,
    "attention": AttentionMaps,
}
"""Tables with a row a trial beside its record; the names are those of `Outcome`."""


def seal(body: str) -> str:
    """Append a checksum to a JSON object, as its last key."""
    digest = hashlib.sha256(body.encode()).hexdigest()[:8]
    return f'{body[:-1]}{_CHECK}{digest}"}}'


def unseal(line: str) -> str | None:
    """Return the JSON object without its checksum, or None if the two do not agree."""
    body = line[:-_TAIL] + "}"
    return body if len(line) > _TAIL and seal(body) == line else None


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader, or a crash, sees the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


class Store:
    """The records of one setting of one run of a study.

    Parameters
    ----------
    folder : Path
        ``results/<study>/<run>/<setting>``; made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[str] = []
        """Damaged rows and files met so far, one line each."""

    # ---- writing -------------------------------------------------------------------------

    def check_writable(self) -> None:
        """Raise a `UserError` now rather than after hours, if nothing can be written here."""
        existing = next(p for p in (self.folder, *self.folder.parents) if p.exists())
        try:
            with tempfile.TemporaryDirectory(prefix=".qlmbench-", dir=existing):
                pass
        except OSError as error:
            raise self.unwritable(error) from None

    def unwritable(self, error: OSError) -> UserError:
        """Build the error for a folder that takes no more files."""
        return UserError(
            f"{self.folder}: cannot write results here ({error.strerror})",
            do="make room, or choose another folder with --results; finished trials are kept",
        )

    def claim_for(self, info: RunInfo) -> None:
        """Raise a `UserError` if this folder holds the run of another dataset or encoder.

        Names of folders are no identity: two folders called ``data`` would else mix their rows.
        """
        other = self.info()
        for what in ("dataset", "encoder"):
            mine = getattr(info, what)
            theirs = mine if other is None else getattr(other, what)
            if _without_name(mine) != _without_name(theirs):
                raise UserError(
                    f"{self.folder}: holds a run of another {what} ({theirs['name']!r}, now "
                    f"{mine['name']!r} with other content)",
                    do="choose another folder with --results, or move this one away",
                )

    def save(self, outcome: Outcome) -> None:
        """Write a finished or failed trial to a file of its own, whole or not at all.

        A failure has another name, and so never takes the place of what another run finished.
        """
        beside = [table for table in _BESIDE if getattr(outcome, table) is not None]
        record = outcome.record.model_copy(update={"beside": beside})
        whole = outcome.model_copy(update={"record": record})
        body = whole.model_dump_json(exclude_none=True, exclude_defaults=True)
        end = ".failed.json" if record.status == "failed" else ".json"
        write_atomically(self.folder / "trials" / f"{record.id}{end}", seal(body) + "\n")

    def save_info(self, info: RunInfo) -> None:
        """Write down what the trials of this run share."""
        if self.info() != info:
            sealed = {**info.model_dump(mode="json"), _INFO_CHECK: _info_digest(info)}
            text = json.dumps(sealed, indent=1, ensure_ascii=False)
            write_atomically(self.folder / "run.json", text + "\n")

    def finished(self) -> set[str]:
        """Return the trials that need not run again: with labels, record and all beside it."""
        pending = {o.record.id for o in self._outcomes() if o.record.status == "ok"}
        # Records before what stands beside them: another process writes them the other way round.
        records = self._rows("records", Record)
        labelled = self.splits().keys()
        named = {"predictions"}.union(*(record.beside for record in records)) & _BESIDE.keys()
        found = {table: self._ids(table) for table in named}
        return pending | {
            record.id
            for record in records
            if record.repetition in labelled
            and all(
                record.id in ids
                for table, ids in found.items()
                if table in ("predictions", *record.beside)
            )
        }

    def consolidate(self) -> None:
        """Move the files of single trials into the tables; safe to repeat, to kill, to race."""
        if not self._pending():
            return
        with FileLock(self.folder / ".lock"):
            # Tables are written under this lock alone: a half-written one is of a killed process.
            for half in (".*.jsonl.*.part", ".environments.json.*.part"):
                for path in self.folder.glob(half):
                    path.unlink()
            outcomes = [(path, self._read_outcome(path)) for path in self._pending()]
            good = [outcome for _, outcome in outcomes if outcome is not None]
            done = [o for o in good if o.record.status == "ok"]
            finished = {o.record.id for o in done}
            # The side tables go first: a record must never stand without its predictions.
            self._merge("splits", SplitLabels, [o.split for o in done if o.split], "repetition")
            for table, kind in _BESIDE.items():
                rows = (getattr(o, table) for o in done)
                self._merge(table, kind, [row for row in rows if row is not None])
            self._merge_environments([o for o in good if o.environment])
            self._merge("records", Record, [o.record for o in done])
            failed = [o.record for o in good if o.record.status == "failed"]
            self._merge("failures", Record, failed, drop=finished)
            for path, outcome in outcomes:
                if outcome is None:
                    path.replace(path.with_suffix(".damaged"))
                else:
                    path.unlink(missing_ok=True)

    # ---- reading -------------------------------------------------------------------------

    def info(self) -> RunInfo | None:
        """Return what the trials of this run share; None where that is not known."""
        path = self.folder / "run.json"
        try:
            given = _OBJECT.validate_json(path.read_bytes())
            stated = given.pop(_INFO_CHECK, None)
            info = RunInfo.model_validate(given)
        except FileNotFoundError:
            return None
        except ValidationError:
            stated, info = "", None
        # Folders written before there was a checksum have none.
        if info is None or stated not in (None, _info_digest(info)):
            self._report(f"{path}: damaged; running the study again writes it anew")
            return None
        return info

    def records(self) -> list[Record]:
        """Return the finished trials."""
        return self._with_pending("records", Record, "ok")

    def failures(self, records: Iterable[Record] | None = None) -> list[Record]:
        """Return the trials that failed and have not finished since.

        Whoever has the finished trials already may give them, and they are not read again.
        """
        failed = self._with_pending("failures", Record, "failed")
        if failed and records is None:
            records = self.records()
        done = {(record.arm, record.repetition) for record in records or ()}
        return [f for f in failed if (f.arm, f.repetition) not in done]

    def predictions(self) -> dict[str, Predictions]:
        """Return predictions by trial."""
        return {row.id: row for row in self._parts("predictions", Predictions)}

    def curves(self) -> dict[str, Curves]:
        """Return training curves by trial."""
        return {row.id: row for row in self._parts("curves", Curves)}

    def tuning(self) -> dict[str, Tuning]:
        """Return what tuning tried, by trial."""
        return {row.id: row for row in self._parts("tuning", Tuning)}

    def conditions(self) -> dict[str, Conditions]:
        """Return the scores under other conditions, by trial."""
        return {row.id: row for row in self._parts("conditions", Conditions)}

    def attention(self) -> dict[str, AttentionMaps]:
        """Return where the attention of trained models goes in a few texts, by trial."""
        return {row.id: row for row in self._parts("attention", AttentionMaps)}

    def splits(self) -> dict[int, SplitLabels]:
        """Return true labels by repetition."""
        return {row.repetition: row for row in self._parts("splits", SplitLabels, "split")}

    def environments(self) -> dict[str, dict[str, str]]:
        """Return the environments that trials ran in, by key."""
        path = self.folder / "environments.json"
        try:
            found = _ENVIRONMENTS.validate_json(path.read_bytes())
        except FileNotFoundError:
            return {}
        except ValidationError:
            found = {"": {}}
        sound = {key: value for key, value in found.items() if environment_id(value) == key}
        if len(sound) < len(found):
            self._report(f"{path}: damaged; environments of earlier trials are not shown")
        return sound

    # ---- tables --------------------------------------------------------------------------

    def _path(self, table: str) -> Path:
        return self.folder / f"{table}.jsonl"

    def _pending(self) -> list[Path]:
        return sorted((self.folder / "trials").glob("*.json"))

    def _report(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def _rows(self, table: str, kind: type[E]) -> list[E]:
        """Read the sound rows of a table; report the others."""
        path = self._path(table)
        if not path.exists():
            return []
        rows = []
        # Nothing but a line feed ends a row: other marks that Unicode has stand in error messages.
        # A table without a row is damaged, too: none is written empty.
        lines = path.read_bytes().removesuffix(b"\n").split(b"\n")
        with _collector_paused():
            for number, line in enumerate(lines, start=1):
                row = _parse(line.removesuffix(b"\r").decode("utf-8", errors="replace"), kind)
                if row is None:
                    self._report(
                        f"{path}, line {number}: damaged row ignored; its trial runs again"
                    )
                else:
                    rows.append(row)
        return rows

    def _ids(self, table: str) -> set[str]:
        return {_order(row)[-1] for row in self._rows(table, _BESIDE[table])}

    def _read_outcome(self, path: Path) -> Outcome | None:
        text = path.read_bytes().decode("utf-8", errors="replace").rstrip("\n")
        outcome = _parse(text, Outcome)
        if outcome is None or outcome.record.id != path.name.split(".")[0]:
            self._report(f"{path}: damaged record set aside; its trial runs again")
            return None
        return outcome

    def _with_pending(self, table: str, kind: type[Record], status: str) -> list[Record]:
        # Single files first: another process may move one into the table while we read, and a
        # record that is met twice does no harm.
        pending = [o.record for o in self._outcomes() if o.record.status == status]
        rows = {row.id: row for row in self._rows(table, kind)}
        return list((rows | {record.id: record for record in pending}).values())

    def _parts(self, table: str, kind: type[E], part: str = "") -> list[E]:
        """Read a side table, and what finished trials that are not in it yet have of it."""
        pending = [getattr(o, part or table) for o in self._outcomes() if o.record.status == "ok"]
        return [*self._rows(table, kind), *(row for row in pending if row is not None)]

    def _outcomes(self) -> list[Outcome]:
        """Read the trials that stand in files of their own; those just moved away are met later."""
        found = []
        for path in self._pending():
            with contextlib.suppress(FileNotFoundError):
                outcome = self._read_outcome(path)
                if outcome is not None:
                    found.append(outcome)
        return found

    def _merge(
        self,
        table: str,
        kind: type[E],
        new: Iterable[E],
        key: str = "id",
        drop: frozenset[str] | set[str] = frozenset(),
    ) -> None:
        """Write a table again with the new rows in it, sorted, if that changes it."""
        path = self._path(table)
        rows: dict[Any, E] = {getattr(row, key): row for row in self._rows(table, kind)}
        before = len(rows)
        added = {getattr(row, key): row for row in new}
        rows.update(added)
        rows = {k: row for k, row in rows.items() if k not in drop}
        if not added and len(rows) == before:
            return
        if not rows:
            path.unlink(missing_ok=True)
            return
        ordered = sorted(rows.values(), key=_order)
        lines = (
            seal(row.model_dump_json(exclude_none=True, exclude_defaults=True)) for row in ordered
        )
        write_atomically(path, "".join(f"{line}\n" for line in lines))

    def _merge_environments(self, outcomes: list[Outcome]) -> None:
        known = self.environments()
        new = {o.record.environment: o.environment for o in outcomes}
        if new.keys() - known.keys():
            text = json.dumps(known | new, indent=1, sort_keys=True)
            write_atomically(self.folder / "environments.json", text + "\n")


def _order(row: Entry) -> tuple[str, int, str]:
    """Sort records by arm and repetition, other rows by what identifies them."""
    return (
        getattr(row, "arm", ""),
        getattr(row, "repetition", 0),
        getattr(row, "id", ""),
    )


def _info_digest(info: RunInfo) -> str:
    return hashlib.sha256(info.model_dump_json().encode()).hexdigest()[:8]


def _without_name(identity: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in identity.items() if key != "name"}


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the garbage collector from walking all rows read so far, again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _parse(line: str, kind: type[E]) -> E | None:
    body = unseal(line)
    if body is None:
        return None
    try:
        return kind.model_validate_json(body)
    except ValidationError:
        return None
