"""The records of a run as data frames, joined with what the study declares about its arms."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlmbench.errors import UserError
from qlmbench.plan import make_trials
from qlmbench.records import Record, RunInfo, SplitLabels, Tuning, unpack_classes
from qlmbench.report.wording import plural
from qlmbench.seeding import seed_for
from qlmbench.spec import Arm, ArmKind, Profile, Study
from qlmbench.store import Store

KIND_ORDER = (ArmKind.PAPER, ArmKind.AS_PUBLISHED, ArmKind.BASELINE, ArmKind.CONTROL)
VALIDATION_ACCURACY = "validation_accuracy"


@dataclass(frozen=True)
class Results:
    """Everything that a page says about one run of one study, read once."""

    study: Study
    run: str
    """Name of the run: the profile, then what the user put in place of its data and encoder."""
    profile_name: str
    records: pd.DataFrame
    """One row a finished trial, in study order; see `load_frame` for the columns."""
    failures: pd.DataFrame
    curves: pd.DataFrame
    """One row a trial, epoch and curve: arm, repetition, epoch, curve, value."""
    tuning: pd.DataFrame
    """One row a configuration tried: arm, repetition, configuration, accuracy, loss, chosen."""
    environments: dict[str, dict[str, str]]
    splits: dict[int, SplitLabels]
    correct: dict[str, dict[int, NDArray[np.bool_]]] = field(repr=False)
    """By arm and repetition: which rows of the test split were predicted right."""
    problems: tuple[str, ...] = ()
    """What was damaged, superseded or unknown, one line each; shown on the page."""
    info: RunInfo | None = None
    """Dataset and encoder of the run; None where its folder does not tell."""

    @property
    def profile(self) -> Profile:
        """The profile that was run."""
        return self.study.profile(self.profile_name)

    @property
    def arms(self) -> list[Arm]:
        """The arms that have records, in study order."""
        present = set(self.records["arm"]) if len(self.records) else set()
        return [arm for arm in self.study.arms if arm.name in present]

    def of(self, arm: str) -> pd.DataFrame:
        """Return the records of one arm by repetition."""
        return self._by_arm.get(arm, self.records.iloc[:0])

    @cached_property
    def _by_arm(self) -> dict[str, pd.DataFrame]:
        return {
            str(arm): rows.set_index("repetition", drop=False).sort_index()
            for arm, rows in self.records.groupby("arm", sort=False)
        }

    def values(self, arm: str, metric: str) -> pd.Series[float]:
        """Return the values of a metric of one arm by repetition, missing ones left out."""
        if metric not in self.records:
            return pd.Series(dtype=float)
        return self.of(arm)[metric].dropna().astype(float)

    def seed(self, arm: str, versus: str, metric: str) -> int:
        """Return the bootstrap's seed of a comparison: the same wherever it is shown."""
        return seed_for("bootstrap", study=self.study.name, arm=arm, versus=versus, metric=metric)

    @property
    def shared_test(self) -> bool:
        """Whether all repetitions were scored on the same test rows."""
        return len({split.test_digest for split in self.splits.values()}) == 1


def load_results(study: Study, folder: Path) -> Results:
    """Read a run of a study.

    Parameters
    ----------
    study : Study
        Its declaration.
    folder : Path
        ``results/<study>/<run>``. Records of trials that the study would not run like this any
        more (of an arm as it was declared earlier) are left out, and their number stands among
        the problems.

    Returns
    -------
    Results

    Raises
    ------
    UserError
        If the folder's name belongs to no profile of the study.
    """
    store = Store(folder)
    notes: list[str] = []
    records = store.records()
    records = _current(study, records, _declared_ids(study, store, records), notes)
    by_id = {record.id: record for record in records}
    splits = store.splits()
    correct = _correct(records, store, splits)
    notes += _without_predictions(records, correct)
    return Results(
        study=study,
        run=folder.name,
        profile_name=profile_of(study, folder.name),
        records=_in_study_order(study, records_frame(records)),
        failures=records_frame(store.failures()),
        curves=_curves_frame(by_id, store),
        tuning=_tuning_frame(by_id, store.tuning()),
        environments=store.environments(),
        splits=splits,
        correct=correct,
        problems=(*store.problems, *notes),
        info=store.info(),
    )


def _declared_ids(study: Study, store: Store, records: list[Record]) -> set[str] | None:
    """Identities of the trials that the study declares now; None where the run is not known."""
    info = store.info()
    if info is None:
        return None
    repetitions = 1 + max((record.repetition for record in records), default=0)
    return {trial.id for trial in make_trials(study, info, study.arms, repetitions)}


def load_runs(study: Study, folder: Path) -> list[Results]:
    """Read every run of a study that has records, the default run first, smoke runs last."""
    runs = [path.name for path in folder.iterdir() if has_records(path)] if folder.is_dir() else []
    order = {"default": 0, "paper": 1, "smoke": 3}
    known = [run for run in runs if _profile_or_none(study, run)]
    known.sort(key=lambda run: (order.get(profile_of(study, run), 2), run))
    return [load_results(study, folder / run) for run in known]


def load_frame(folder: Path | str) -> pd.DataFrame:
    """Read the records of a run, or of all runs of a study, as a data frame.

    Parameters
    ----------
    folder : Path or str
        ``results/<study>/<run>``, or ``results/<study>`` for all its runs.

    Returns
    -------
    DataFrame
        One row a finished trial: study, run, arm, repetition, each metric by name (accuracies as
        fractions), ``seconds``, ``parameters_classical``, ``parameters_quantum``,
        ``parameters_total``, ``parameters_effective``, ``parameters_dead``, ``circuits``,
        ``shots``, and ``chosen_<argument>`` for each tuned argument.

    Raises
    ------
    UserError
        If the folder holds no records.

    Examples
    --------
    >>> frame = load_frame("results/qllm")  # doctest: +SKIP
    >>> frame.groupby("arm")["test_accuracy"].mean()  # doctest: +SKIP
    """
    folder = Path(folder)
    runs = [folder] if has_records(folder) else []
    if not runs and folder.is_dir():
        runs = sorted(path for path in folder.iterdir() if has_records(path))
    if not runs:
        raise UserError(
            f"{folder}: no records here",
            expected="the folder of a run (results/<study>/<run>) or of a study",
        )
    frames = []
    for run in runs:
        frame = records_frame(Store(run).records())
        frame.insert(1, "run", run.name)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def has_records(folder: Path) -> bool:
    """Whether a folder is a run with at least one trial in it."""
    return (folder / "records.jsonl").is_file() or any((folder / "trials").glob("*.json"))


def profile_of(study: Study, run: str) -> str:
    """Return the profile that a run's name begins with.

    Raises
    ------
    UserError
        If no profile of the study fits.
    """
    name = _profile_or_none(study, run)
    if name is None:
        raise UserError(
            f"run {run!r} belongs to no profile of study {study.name!r}",
            expected="a name that begins with one of " + ", ".join(sorted(study.profiles)),
        )
    return name


def _profile_or_none(study: Study, run: str) -> str | None:
    fitting = [name for name in study.profiles if run == name or run.startswith(f"{name}-")]
    return max(fitting, key=len, default=None)


def records_frame(records: list[Record]) -> pd.DataFrame:
    """Put records in a frame: one row each, metrics and counts as columns."""
    columns = ["id", "study", "arm", "repetition", "seconds", "environment", "finished", "error"]
    rows = [_row(record) for record in records]
    frame = pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)
    return frame.sort_values(["arm", "repetition"], ignore_index=True) if rows else frame


def _row(record: Record) -> dict[str, object]:
    row: dict[str, object] = {
        "study": record.study,
        "arm": record.arm,
        "repetition": record.repetition,
        **record.metrics,
        "seconds": record.seconds,
        "stacked": record.stacked,
        "peak_memory_mb": record.peak_memory_mb,
    }
    if (counts := record.parameters) is not None:
        row |= {
            "parameters_classical": counts.classical,
            "parameters_quantum": counts.quantum,
            "parameters_total": counts.total,
            "parameters_effective": counts.effective,
            "parameters_dead": counts.dead,
            "dead_in": ", ".join(f"{name} {n:,}" for name, n in counts.dead_in.items()),
        }
    if record.cost is not None:
        row |= {"circuits": record.cost.circuits, "shots": record.cost.shots}
    row |= {f"chosen_{key}": value for key, value in record.chosen.items()}
    return row | {
        "environment": record.environment,
        "finished": record.finished,
        "error": record.error,
        "id": record.id,
    }


def _current(
    study: Study, records: list[Record], ids: set[str] | None, notes: list[str]
) -> list[Record]:
    """Keep one record an arm and repetition; say what was left out."""
    known = {arm.name for arm in study.arms}
    kept: dict[tuple[str, int], Record] = {}
    gone: Counter[str] = Counter()
    for record in sorted(records, key=lambda r: (r.finished, r.id)):
        key = (record.arm, record.repetition)
        if record.arm not in known:
            gone["of arms that the study no longer has"] += 1
        elif ids is not None and record.id not in ids:
            gone["of trials as they were declared earlier"] += 1
        else:
            gone["a later one of the same arm and repetition counts"] += key in kept
            kept[key] = record
    notes += [
        f"{plural(count, 'record')} left out: {reason}" for reason, count in gone.items() if count
    ]
    return list(kept.values())


def _in_study_order(study: Study, frame: pd.DataFrame) -> pd.DataFrame:
    """Sort by the study's order of arms and add what it declares about each."""
    order = {arm.name: place for place, arm in enumerate(study.arms)}
    arms = {arm.name: arm for arm in study.arms}
    frame = frame.assign(place=frame["arm"].map(order)).sort_values(["place", "repetition"])
    frame["label"] = [arms[name].title for name in frame["arm"]]
    frame["kind"] = [arms[name].kind.value for name in frame["arm"]]
    frame["group"] = [arms[name].group for name in frame["arm"]]
    return frame.drop(columns="place").reset_index(drop=True)


def _correct(
    records: list[Record], store: Store, splits: dict[int, SplitLabels]
) -> dict[str, dict[int, NDArray[np.bool_]]]:
    """Compare the stored predictions with the true labels of their repetition."""
    predictions = store.predictions()
    truth = {r: np.array(unpack_classes(split.test)) for r, split in splits.items() if split.test}
    correct: dict[str, dict[int, NDArray[np.bool_]]] = {}
    for record in records:
        stored = predictions.get(record.id)
        if stored is None or not stored.test or record.repetition not in truth:
            continue
        predicted = np.array(unpack_classes(stored.test))
        if len(predicted) == len(truth[record.repetition]):
            right = predicted == truth[record.repetition]
            correct.setdefault(record.arm, {})[record.repetition] = right
    return correct


def _without_predictions(
    records: list[Record], correct: dict[str, dict[int, NDArray[np.bool_]]]
) -> list[str]:
    """Say how many trials have no usable predictions, where others have them."""
    n = sum(record.repetition not in correct.get(record.arm, {}) for record in records)
    if not correct or n == 0:
        return []
    return [f"{plural(n, 'record')} without predictions that fit the test rows: no row bootstrap"]


def _curves_frame(records: dict[str, Record], store: Store) -> pd.DataFrame:
    rows = [
        (records[row.id].arm, records[row.id].repetition, epoch, name, value)
        for row in store.curves().values()
        if row.id in records
        for name, values in row.values.items()
        for epoch, value in zip(row.epochs, values, strict=True)
    ]
    return pd.DataFrame(rows, columns=["arm", "repetition", "epoch", "curve", "value"])


def _tuning_frame(records: dict[str, Record], tuning: dict[str, Tuning]) -> pd.DataFrame:
    rows = []
    for row in tuning.values():
        if row.id not in records:
            continue
        record = records[row.id]
        for configuration, accuracy, loss in zip(
            row.configurations, row.validation_accuracy, row.validation_loss, strict=True
        ):
            text = json.dumps(configuration, sort_keys=True)
            chosen = text == json.dumps(record.chosen, sort_keys=True)
            rows.append((record.arm, record.repetition, text, accuracy, loss, chosen))
    columns = ["arm", "repetition", "configuration", "accuracy", "loss", "chosen"]
    return pd.DataFrame(rows, columns=columns)
