"""Trials and their identity, and the list of trials that a run of a study consists of."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from qlmbench.data.datasets import dataset_identity
from qlmbench.data.encoders import encoder_identity
from qlmbench.errors import UserError, unknown
from qlmbench.records import RunInfo
from qlmbench.spec import (
    MOST_REPETITIONS,
    Arm,
    EncoderTuning,
    Protocol,
    Scalar,
    Spec,
    Split,
    Study,
    Task,
    Value,
    matches,
)

IDENTITY_VERSION = 1
"""Raised when the harness changes what a record means; a test pins one golden id per version."""


class Trial(Spec):
    """One arm on one repetition: the smallest thing that is run, recorded and resumed."""

    study: str
    study_version: int
    arm: str
    model: str
    params: dict[str, Value]
    tune: dict[str, list[Scalar]]
    evaluate: dict[str, list[Scalar]] | None = None
    """Conditions that the trained model is also scored under, where it knows them."""
    shuffle_labels: bool
    dataset: dict[str, str]
    """Identity of the dataset: name and content hash."""
    encoder: dict[str, str]
    """Identity of the encoder: name, weights hash, settings."""
    encoder_tuning: EncoderTuning | None = None
    """How the encoder is tuned on the training rows; None for a frozen one."""
    split: Split
    task: Task | None = None
    """What is predicted; None for a class."""
    choose_by: Literal["loss"] | None = None
    """What on validation decides among configurations; None for accuracy."""
    repetition: int

    @cached_property
    def id(self) -> str:
        """Hash of what changes the outcome, and of nothing else.

        Names of profile and setting, the number of jobs, the order, a folder's name and the total
        number of repetitions do not enter; of datasets and encoders the content does, not the name.
        """
        payload = self.model_dump(mode="json", exclude_none=True)
        payload["identity"] = IDENTITY_VERSION
        payload["tune"] = list(self.tune.items())  # ties go to the first: the order matters
        payload["dataset"] = {k: v for k, v in self.dataset.items() if k != "name"}
        payload["encoder"] = {k: v for k, v in self.encoder.items() if k != "name"}
        text = json.dumps(payload, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def job(self) -> str:
        """Everything of the trial but its repetition: trials of one job can be trained together."""
        payload = self.model_dump(mode="json", exclude={"repetition"})
        return json.dumps(payload, sort_keys=True)


@dataclass(frozen=True)
class Plan:
    """The trials of one setting, in a fixed order, and the folder that they are stored under."""

    study: Study
    run_name: str
    """``<profile>``, then what the user put in place of its data and encoder."""
    info: RunInfo
    protocol: Protocol
    dataset: str
    """Name or folder that the dataset is loaded by."""
    encoder: str
    """Name or folder that the encoder is loaded by."""
    arms: tuple[Arm, ...]
    trials: tuple[Trial, ...]

    @property
    def folder(self) -> Path:
        """Where its records lie, below the folder of all results."""
        return Path(self.study.name) / self.run_name / self.info.setting


def make_plans(
    study: Study,
    profile: str,
    *,
    settings: Sequence[str] = (),
    arms: Sequence[str] = (),
    repetitions: int | None = None,
    data: Sequence[str] = (),
    encoder: str | None = None,
) -> list[Plan]:
    """List the trials of a run, setting by setting.

    Parameters
    ----------
    study : Study
        The study.
    profile : str
        Name of one of its profiles.
    settings : sequence of str, optional
        Names or shell patterns; default all settings of the profile.
    arms : sequence of str, optional
        Names or shell patterns; default all arms of each setting.
    repetitions : int, optional
        Number of repetitions instead of the profile's.
    data : sequence of str, optional
        A registered dataset or a local folder instead of the profile's dataset; or
        ``NAME=FOLDER``, a folder instead of the dataset NAME wherever a setting uses that.
    encoder : str, optional
        A registered encoder or a local folder instead of the profile's encoder; settings with an
        encoder of their own are left out.

    Returns
    -------
    list of Plan
        One a setting; settings that run none of the arms are left out.

    Raises
    ------
    UserError
        If the profile, a setting, an arm, the dataset or the encoder is not known.
    """
    if repetitions is not None and not 1 <= repetitions <= MOST_REPETITIONS:
        raise UserError(
            f"{repetitions} repetitions asked for", expected=f"1 to {MOST_REPETITIONS:,}"
        )
    protocols = _chosen_settings(study, profile, settings)
    _must_match(study, arms)
    datasets = _replaced_data(study.profile(profile).dataset, protocols, data)
    changed = [Path(name).name for name in (*datasets.values(), encoder) if name is not None]
    run_name = "-".join([profile, *changed])
    plans = []
    for protocol in protocols:
        dataset = datasets.get(protocol.dataset, protocol.dataset)
        own = protocol.encoder != study.profile(profile).encoder
        if encoder is not None and own and settings:
            raise UserError(
                f"setting {protocol.setting!r} has an encoder of its own, {protocol.encoder!r}",
                do="leave --encoder out for it",
            )
        chosen = _chosen_arms(study, protocol, arms)
        if not chosen or (encoder is not None and own):
            continue
        named = protocol.encoder if encoder is None else encoder
        info = RunInfo(
            profile=profile,
            setting=protocol.setting,
            dataset=dataset_identity(dataset),
            encoder=encoder_identity(named),
        )
        n = protocol.repetitions if repetitions is None else repetitions
        trials = tuple(make_trials(study, info, chosen, n))
        plans.append(Plan(study, run_name, info, protocol, dataset, named, tuple(chosen), trials))
    if not plans:
        raise UserError(
            f"no setting of profile {profile!r} runs {', '.join(arms) or 'with another encoder'}",
            do=f"see 'qlmbench show {study.name}' for the settings and their arms",
        )
    return plans


def make_trials(
    study: Study, info: RunInfo, arms: Sequence[Arm], repetitions: int
) -> Iterator[Trial]:
    """Make the trials of some arms in one setting, arm by arm.

    Parameters
    ----------
    study : Study
        Its declaration as it is now.
    info : RunInfo
        Profile, setting, dataset and encoder.
    arms : sequence of Arm
        Which arms.
    repetitions : int
        How many repetitions of each.
    """
    protocol = study.protocol(info.profile, info.setting)
    for arm in arms:
        grid = _grid(arm, protocol)
        chooses = math.prod(len(values) for values in grid.values()) > 1
        for repetition in range(repetitions):
            yield Trial(
                study=study.name,
                study_version=study.version,
                arm=arm.name,
                model=arm.model,
                params=_params(arm, protocol),
                tune=grid,
                evaluate=protocol.evaluate or None,
                shuffle_labels=arm.shuffle_labels,
                dataset=info.dataset,
                encoder=info.encoder,
                encoder_tuning=protocol.encoder_tuning,
                split=protocol.split,
                task=None if protocol.task == "classification" else protocol.task,
                choose_by="loss" if chooses and protocol.choose_by == "loss" else None,
                repetition=repetition,
            )


def _chosen_settings(study: Study, profile: str, patterns: Sequence[str]) -> list[Protocol]:
    protocols = study.protocols(profile)
    for pattern in patterns:
        if not fnmatch.filter(protocols, pattern):
            where = f"profile {profile!r} of study {study.name!r}"
            raise unknown("setting", pattern, list(protocols), where)
    return [protocols[name] for name in protocols if matches(name, patterns)]


def _must_match(study: Study, patterns: Sequence[str]) -> None:
    names = [arm.name for arm in study.arms]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise unknown("arm", pattern, names, f"study {study.name!r}")


def _chosen_arms(study: Study, protocol: Protocol, patterns: Sequence[str]) -> list[Arm]:
    """Select the setting's arms, then of these the ones that the user asked for."""
    return [arm for arm in study.arms if protocol.runs(arm.name) and matches(arm.name, patterns)]


def _replaced_data(
    default: str, protocols: Sequence[Protocol], data: Sequence[str]
) -> dict[str, str]:
    """Read ``--data``: what stands in for which dataset."""
    used = {protocol.dataset for protocol in protocols}
    replaced = {}
    for given in data:
        name, equals, folder = given.partition("=")
        name, folder = (name, folder) if equals else (default, given)
        if name not in used:
            raise UserError(
                f"--data {given}: no setting of this run uses the dataset {name!r}",
                expected="one of " + ", ".join(sorted(used)),
            )
        if name in replaced:
            raise UserError(f"--data gives two folders for the dataset {name!r}", do="give one")
        replaced[name] = folder
    return replaced


def _grid(arm: Arm, protocol: Protocol) -> dict[str, list[Scalar]]:
    """Grid of the arm in the setting: its own arguments, the setting's values where it has some."""
    if not protocol.tune:
        return {}
    return {key: protocol.grid.get(key, values) for key, values in arm.tune.items()}


def _params(arm: Arm, protocol: Protocol) -> dict[str, Value]:
    """Parameters of the arm in the setting: its own, overridden; grid keys at first value."""
    params = dict(arm.params)
    if not protocol.tune:
        params |= {key: values[0] for key, values in arm.tune.items()}
    return params | {k: v for k, v in protocol.overrides.items() if k in params}
