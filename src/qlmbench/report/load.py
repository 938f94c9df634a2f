"""The records of a run as data frames, joined with what the study declares about its arms."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlmbench.errors import UserError
from qlmbench.plan import make_trials
from qlmbench.records import AttentionMap, Record, RunInfo, SplitLabels
from qlmbench.report import unpacked
from qlmbench.report.frames import conditions_frame, curves_frame, records_frame, tuning_frame
from qlmbench.report.kept import (
    attention_maps,
    correct_rows,
    without_predictions,
    written_texts,
)
from qlmbench.report.wording import plural
from qlmbench.seeding import seed_for
from qlmbench.spec import MAIN, Arm, ArmKind, Protocol, Quoted, Study
from qlmbench.store import Store

KIND_ORDER = (ArmKind.PAPER, ArmKind.AS_PUBLISHED, ArmKind.BASELINE, ArmKind.CONTROL)
VALIDATION_ACCURACY = "validation_accuracy"


@dataclass(frozen=True)
class Results:
    """Everything that a page says about one setting of one run of a study, read once."""

    study: Study
    run: str
    """Name of the run: the profile, then what the user put in place of its data and encoder."""
    protocol: Protocol
    """The setting, written out."""
    records: pd.DataFrame
    """One row a finished trial, in study order; see `load_frame` for the columns."""
    failures: pd.DataFrame
    curves: pd.DataFrame
    """One row a trial, epoch and curve: arm, repetition, epoch, curve, value."""
    tuning: pd.DataFrame
    """One row a configuration tried: arm, repetition, configuration, accuracy, loss, chosen."""
    conditions: pd.DataFrame
    """One row a trial and condition: arm, repetition, condition, value, and each metric."""
    environments: dict[str, dict[str, str]]
    splits: dict[int, SplitLabels]
    correct: dict[str, dict[int, NDArray[np.bool_]]] = field(repr=False)
    """By arm and repetition: which rows of the test split were predicted right; nothing of a
    language model, whose predictions are no classes."""
    problems: tuple[str, ...] = ()
    """What was damaged, superseded or unknown, one line each; shown on the page."""
    info: RunInfo | None = None
    """Dataset and encoder of the run; None where its folder does not tell."""
    attention: dict[str, dict[int, list[AttentionMap]]] = field(default_factory=dict, repr=False)
    """By arm and repetition: where the attention goes in a few test texts, where that was kept."""
    written: dict[str, dict[int, list[str]]] = field(default_factory=dict, repr=False)
    """By arm and repetition: what was written for the first test rows, or for all of them."""

    @property
    def setting(self) -> str:
        """Name of the setting."""
        return self.protocol.setting

    @property
    def stem(self) -> str:
        """What the names of its page, figures and tables begin with."""
        return f"{self.run}-{self.setting}"

    @property
    def title(self) -> str:
        """The run, and the setting where the study has several."""
        return self.run if self.setting == MAIN else f"{self.run}, {self.protocol.title}"

    @property
    def quoted(self) -> list[Quoted]:
        """The published numbers that belong beside this setting."""
        return [quoted for quoted in self.study.quoted if self.is_meant_by(quoted.setting)]

    def is_meant_by(self, setting: str) -> bool:
        """Whether a claim or a quoted number that names this setting, or none, belongs here."""
        first = next(iter(self.study.protocols(self.protocol.profile)))
        return (setting or first) == self.setting

    @cached_property
    def n_classes(self) -> int:
        """Number of classes among the true labels of the test rows; 0 where there are none."""
        found = [self.labels(r) for r, split in self.splits.items() if split.test]
        return max((int(labels.max()) + 1 for labels in found), default=0)

    def where(self, repetition: int) -> str:
        """Name a repetition in a message."""
        return f"{self.study.name}, run {self.run}, {self.setting}, repetition {repetition}"

    def labels(self, repetition: int) -> NDArray[np.int64]:
        """Return the true labels of the test rows of a repetition."""
        return unpacked.classes(self.splits[repetition].test, self.where(repetition))

    @property
    def arms(self) -> list[Arm]:
        """The arms that have records, in study order."""
        present = set(self.records["arm"]) if len(self.records) else set()
        return [arm for arm in self.study.arms if arm.name in present]

    def of(self, arm: str) -> pd.DataFrame:
        """Return the records of one arm by repetition."""
        return self._by_arm.get(arm, self.records.iloc[:0])

    @cached_property
    def _values(self) -> dict[tuple[str, str], pd.Series[float]]:
        return {}

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
        if (arm, metric) not in self._values:  # every table asks for them again
            self._values[arm, metric] = self.of(arm)[metric].dropna().astype(float)
        return self._values[arm, metric]

    def same_rows(self, other: Results) -> list[int]:
        """List the repetitions that drew the same rows, of every role, in another setting."""
        return [
            r
            for r in sorted(self.splits.keys() & other.splits.keys())
            if self.splits[r].digest == other.splits[r].digest
        ]

    def seed(self, arm: str, versus: str, metric: str) -> int:
        """Return the bootstrap's seed of a comparison: the same wherever it is shown."""
        return seed_for("bootstrap", study=self.study.name, arm=arm, versus=versus, metric=metric)

    def test_rows(self, repetition: int) -> NDArray[np.int64]:
        """Return which rows of the dataset a repetition was scored on."""
        return unpacked.rows(self.splits[repetition].test_rows, self.where(repetition))


@dataclass(frozen=True)
class RunResults:
    """Every setting of one run of a study."""

    study: Study
    run: str
    profile: str
    settings: dict[str, Results]
    """Settings that have records, by name, in the profile's order."""

    @property
    def main(self) -> Results:
        """The first setting: what the study is about."""
        return next(iter(self.settings.values()))

    def setting_of(self, name: str) -> Results | None:
        """Return a setting by name, by default the profile's first; None without records."""
        return self.settings.get(name or next(iter(self.study.protocols(self.profile))))


def load_run(study: Study, folder: Path) -> RunResults:
    """Read a run of a study, setting by setting.

    Parameters
    ----------
    study : Study
        Its declaration.
    folder : Path
        ``results/<study>/<run>``.

    Returns
    -------
    RunResults

    Raises
    ------
    UserError
        If the folder's name belongs to no profile of the study, or no setting has records.
    """
    profile = profile_of(study, folder.name)
    names = [name for name in study.protocols(profile) if has_records(folder / name)]
    if not names:
        raise UserError(f"{folder}: no records here", do=f"run 'qlmbench run {study.name}' first")
    settings = {name: load_results(study, folder / name) for name in names}
    return RunResults(study, folder.name, profile, settings)


def load_results(study: Study, folder: Path) -> Results:
    """Read one setting of a run.

    Parameters
    ----------
    study : Study
        Its declaration.
    folder : Path
        ``results/<study>/<run>/<setting>``. Records of trials that the study would not run like
        this any more (of an arm as it was declared earlier) are left out, and their number stands
        among the problems.

    Returns
    -------
    Results

    Raises
    ------
    UserError
        If the folder's name belongs to no setting, or its parent's to no profile of the study.
    """
    run = folder.parent.name
    protocol = study.protocol(profile_of(study, run), folder.name)
    store = Store(folder)
    notes: list[str] = []
    records = store.records()
    records = _current(study, records, _declared_ids(study, store, records), notes)
    by_id = {record.id: record for record in records}
    splits = store.splits()
    predictions = store.predictions()
    correct = correct_rows(records, predictions, splits, folder)
    if protocol.task == "classification":
        notes += without_predictions(records, correct)
    return Results(
        study=study,
        run=run,
        protocol=protocol,
        records=_in_study_order(study, records_frame(records)),
        failures=records_frame(store.failures()),
        curves=curves_frame(by_id, store.curves()),
        tuning=tuning_frame(by_id, store.tuning()),
        conditions=conditions_frame(by_id, store.conditions()),
        environments=store.environments(),
        splits=splits,
        correct=correct,
        problems=(*store.problems, *notes),
        info=store.info(),
        attention=attention_maps(records, store),
        written=written_texts(records, predictions, folder),
    )


def _declared_ids(study: Study, store: Store, records: list[Record]) -> set[str] | None:
    """Identities of the trials that the study declares now; None where the run is not known."""
    info = store.info()
    if info is None:
        return None
    repetitions = 1 + max((record.repetition for record in records), default=0)
    return {trial.id for trial in make_trials(study, info, study.arms, repetitions)}


def load_runs(study: Study, folder: Path) -> list[RunResults]:
    """Read every run of a study that has records, the default run first, smoke runs last."""
    runs = [path.name for path in folder.iterdir() if _is_run(path)] if folder.is_dir() else []
    order = {"default": 0, "paper": 1, "smoke": 3}
    known = [run for run in runs if _profile_or_none(study, run)]
    known.sort(key=lambda run: (order.get(profile_of(study, run), 2), run))
    return [load_run(study, folder / run) for run in known]


def load_frame(folder: Path | str) -> pd.DataFrame:
    """Read the records of a run, or of all runs of a study, as a data frame.

    Parameters
    ----------
    folder : Path or str
        ``results/<study>/<run>/<setting>``, or a folder above it for all that lie below.

    Returns
    -------
    DataFrame
        One row a finished trial: study, run, setting, arm, repetition, each metric by name
        (accuracies as fractions), ``seconds``, ``seconds_per_epoch`` where it was measured,
        ``parameters_classical``, ``parameters_quantum``,
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
    found = setting_folders(folder)
    if not found:
        raise UserError(
            f"{folder}: no records here",
            expected="the folder of a study, of a run (results/<study>/<run>) or of a setting",
        )
    frames = []
    for setting in found:
        frame = records_frame(Store(setting).records())
        frame.insert(1, "run", setting.parent.name)
        frame.insert(2, "setting", setting.name)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def setting_folders(folder: Path) -> list[Path]:
    """List the folders with records at or below a folder, sorted."""
    below = (folder, *folder.glob("*/"), *folder.glob("*/*/"))
    return sorted(path for path in below if has_records(path))


def has_records(folder: Path) -> bool:
    """Whether a folder is a setting of a run with at least one trial in it."""
    return (folder / "records.jsonl").is_file() or any((folder / "trials").glob("*.json"))


def _is_run(folder: Path) -> bool:
    return folder.is_dir() and any(has_records(path) for path in folder.glob("*/"))


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
