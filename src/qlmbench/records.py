"""What a trial leaves behind: a short record, and beside it whatever is long."""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from qlmbench.spec import Scalar


class Entry(BaseModel):
    """Base of everything in the store."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def environment_id(description: dict[str, str]) -> str:
    """Return a short key of an environment: a hash of what it is."""
    text = json.dumps(description, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class Parameters(Entry):
    """Number of trainable parameters, and how many of them can do anything."""

    classical: int = 0
    """Trainable numbers outside the circuit."""
    quantum: int = 0
    """Trainable angles of the circuit."""
    effective: int | None = None
    """Rank of the Jacobian of the outputs to the parameters at a random point."""
    dead: int = 0
    """Parameters that no output depends on."""
    dead_classical: int = 0
    """How many of these stand outside the circuit."""
    dead_in: dict[str, int] = Field(default_factory=dict)
    """Where they are: number by name of the parameter tensor."""

    @property
    def total(self) -> int:
        """Classical and quantum parameters together."""
        return self.classical + self.quantum


class Cost(Entry):
    """What the same trainings, the search included, would take on a quantum processor."""

    circuits: int = 0
    """Circuit evaluations: forward passes plus two a shifted angle."""
    shots: int = 0
    """Circuit evaluations times the shots of each."""


class Record(Entry):
    """One trial, in one short row."""

    id: str
    """Identity of the trial."""
    study: str
    arm: str
    repetition: int
    status: Literal["ok", "failed"] = "ok"
    metrics: dict[str, float] = Field(default_factory=dict)
    """Metric values; accuracy and its kin as fractions, losses in nats."""
    chosen: dict[str, Scalar] = Field(default_factory=dict)
    """Configuration that validation chose, where the arm was tuned."""
    parameters: Parameters | None = None
    cost: Cost | None = None
    seconds: float = 0.0
    """Wall-clock seconds of fitting and scoring, divided among trials trained together."""
    seconds_per_epoch: float | None = None
    """Wall-clock seconds of one epoch of training, where it was trained by itself, by epochs."""
    stacked: int = 1
    """Number of trainings that ran together."""
    peak_memory_mb: float = 0.0
    """Largest resident memory of the process up to the end of the trial."""
    environment: str = ""
    """Key of the environment that it ran in."""
    finished: str = ""
    """When it ended, UTC, ISO 8601."""
    error: str = ""
    """For a failure: what went wrong, in one line."""
    beside: list[str] = Field(default_factory=list)
    """Tables that hold a row of this trial: a trial that lost one runs again."""


class Predictions(Entry):
    """What a trial predicted, row by row of the split; see `qlmbench.packing`.

    Classes, or where words are predicted the mean log-likelihood of each row's words.
    """

    id: str
    validation: str
    test: str
    texts: str = ""
    """What was written for the test rows, or for the first of them: captions."""


class Curves(Entry):
    """Values an epoch of the configuration that was chosen."""

    id: str
    epochs: list[int]
    values: dict[str, list[float]]


class Tuning(Entry):
    """Every configuration that was tried on validation."""

    id: str
    configurations: list[dict[str, Scalar]]
    validation_accuracy: list[float]
    validation_loss: list[float]


class Condition(Entry):
    """How a trained model did under one condition that it was not trained under."""

    name: str
    """The argument that was changed."""
    value: Scalar
    """Its value."""
    metrics: dict[str, float]


class Conditions(Entry):
    """Every condition that a trained model was also scored under."""

    id: str
    rows: list[Condition]


class AttentionMap(Entry):
    """Where the attention of a trained model goes in one text."""

    tokens: list[str]
    """Its tokens, length T."""
    weights: list[list[float]]
    """T rows of T weights, a query a row, mean over the heads; a row sums to 1."""


class AttentionMaps(Entry):
    """Attention of a trained model in a few test texts, the same ones for every arm."""

    id: str
    maps: list[AttentionMap]


class SplitLabels(Entry):
    """True labels of a repetition, so that a metric can be added without training again."""

    repetition: int
    digest: str
    """Hash of the rows of all roles."""
    test_digest: str
    """Hash of the test rows alone: equal across repetitions where they share their test rows."""
    n_train: int
    validation: str
    test: str
    test_rows: str = ""
    """Which rows of the dataset, all parts counted through, are the test rows, in order."""


class RunInfo(Entry):
    """What all trials of a folder share; with the study, it gives the identity of each of them."""

    profile: str
    setting: str
    dataset: dict[str, str]
    """Identity of the dataset: name and content hash."""
    encoder: dict[str, str]
    """Identity of the encoder: name, weights, settings."""


class Outcome(Entry):
    """All that one finished trial writes."""

    record: Record
    predictions: Predictions | None = None
    curves: Curves | None = None
    tuning: Tuning | None = None
    conditions: Conditions | None = None
    attention: AttentionMaps | None = None
    split: SplitLabels | None = None
    environment: dict[str, str] = Field(default_factory=dict)
