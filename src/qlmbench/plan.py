"""Trials and their identity, and the list of trials that a run of a study consists of."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from qlmbench.data.datasets import dataset_identity
from qlmbench.data.encoders import encoder_identity
from qlmbench.errors import UserError
from qlmbench.records import RunInfo
from qlmbench.spec import Arm, Profile, Scalar, Spec, Split, Study, Value, unknown

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
    shuffle_labels: bool
    dataset: dict[str, str]
    """Identity of the dataset: name and content hash."""
    encoder: dict[str, str]
    """Identity of the encoder: name, weights hash, settings."""
    split: Split
    repetition: int

    @cached_property
    def id(self) -> str:
        """Hash of what changes the outcome, and of nothing else.

        The profile's name, the number of jobs, the order, a folder's name and the total number of
        repetitions do not enter; names of datasets and encoders do not either, their content does.
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
    """The trials of one run, in a fixed order, and the folder name they are stored under."""

    study: Study
    run_name: str
    info: RunInfo
    dataset: str
    """Name or folder that the dataset is loaded by."""
    encoder: str
    """Name or folder that the encoder is loaded by."""
    arms: tuple[Arm, ...]
    trials: tuple[Trial, ...]


def make_plan(
    study: Study,
    profile_name: str,
    *,
    arms: tuple[str, ...] = (),
    repetitions: int | None = None,
    data: str | None = None,
    encoder: str | None = None,
) -> Plan:
    """List the trials of a run.

    Parameters
    ----------
    study : Study
        The study.
    profile_name : str
        Name of one of its profiles.
    arms : tuple of str, optional
        Names or shell patterns; default all arms of the profile.
    repetitions : int, optional
        Number of repetitions instead of the profile's.
    data : str, optional
        A registered dataset or a local folder instead of the profile's dataset.
    encoder : str, optional
        A registered encoder or a local folder instead of the profile's encoder.

    Returns
    -------
    Plan

    Raises
    ------
    UserError
        If the profile, an arm, the dataset or the encoder is not known.
    """
    profile = study.profile(profile_name)
    chosen = _choose(study, profile, arms)
    n = profile.repetitions if repetitions is None else repetitions
    if n < 1:
        raise UserError(f"{n} repetitions asked for", expected="at least 1")
    changed = [Path(name).name for name in (data, encoder) if name is not None]
    dataset = profile.dataset if data is None else data
    encoder = profile.encoder if encoder is None else encoder
    info = RunInfo(
        profile=profile_name, dataset=dataset_identity(dataset), encoder=encoder_identity(encoder)
    )
    return Plan(
        study=study,
        run_name="-".join([profile_name, *changed]),
        info=info,
        dataset=dataset,
        encoder=encoder,
        arms=tuple(chosen),
        trials=tuple(make_trials(study, info, chosen, n)),
    )


def make_trials(
    study: Study, info: RunInfo, arms: Sequence[Arm], repetitions: int
) -> Iterator[Trial]:
    """Make the trials of some arms, arm by arm.

    Parameters
    ----------
    study : Study
        Its declaration as it is now.
    info : RunInfo
        Profile, dataset and encoder of the run.
    arms : sequence of Arm
        Which arms.
    repetitions : int
        How many repetitions of each.
    """
    profile = study.profile(info.profile)
    for arm in arms:
        for repetition in range(repetitions):
            yield Trial(
                study=study.name,
                study_version=study.version,
                arm=arm.name,
                model=arm.model,
                params=_params(arm, profile),
                tune=arm.tune if profile.tune else {},
                shuffle_labels=arm.shuffle_labels,
                dataset=info.dataset,
                encoder=info.encoder,
                split=profile.split,
                repetition=repetition,
            )


def _choose(study: Study, profile: Profile, patterns: tuple[str, ...]) -> list[Arm]:
    """Select the profile's arms, then of these the ones that the user asked for."""
    names = [arm.name for arm in study.arms]
    for wanted in (tuple(profile.arms), patterns):
        for pattern in wanted:
            if not fnmatch.filter(names, pattern):
                raise unknown("arm", pattern, names, f"study {study.name!r}")
        if wanted:
            names = [n for n in names if any(fnmatch.fnmatch(n, p) for p in wanted)]
    return [study.arm(name) for name in names]


def _params(arm: Arm, profile: Profile) -> dict[str, Value]:
    """Parameters of the arm under the profile: its own, overridden; grid keys at first value."""
    params = dict(arm.params)
    if not profile.tune:
        params |= {key: values[0] for key, values in arm.tune.items()}
    return params | {k: v for k, v in profile.overrides.items() if k in params}
