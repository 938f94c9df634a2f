"""A made-up study of how models train: losses, a language model, seconds an epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qlmbench.packing import pack_classes, pack_numbers, pack_rows
from qlmbench.records import (
    AttentionMap,
    AttentionMaps,
    Cost,
    Curves,
    Outcome,
    Parameters,
    Predictions,
    Record,
    SplitLabels,
    Tuning,
    environment_id,
)
from qlmbench.spec import Arm, Study
from qlmbench.store import Store

EPOCHS = 10
SPEED = {"quantum": 3.0, "classical": 6.0, "matched": 2.5, "frozen": 9.0, "no-cnot": 3.2}
END = {"quantum": 0.14, "classical": 0.22, "matched": 0.15, "frozen": 0.4, "no-cnot": 0.145}
SECONDS = {"quantum": 1.3, "classical": 0.012, "matched": 0.013, "frozen": 0.9, "no-cnot": 1.1}
ENVIRONMENT = {"python": "3.11.7"}
STUCK = {"frozen": 3}
"""By arm, the number of its first repetitions that never learn."""
TEXTS = ("12 4 17 11 3 15", "2 9 14 5 5 18", "10 1 13 7 19 6")
CURVES, LANGUAGE, TIME = "curves", "language", "time"
_SPLIT = {"train": {"count": 80}, "validation": {"count": 40}, "test": {"rest": True}}
_PAIR = {"arm": "quantum", "versus": "classical", "source": "Figure 1"}


def study(**changes: object) -> Study:
    """Return a study of three settings, each with a metric that is no accuracy."""
    compare = ["quantum", "classical", "matched", "frozen"]
    settings = {
        CURVES: {
            "title": "Token sentiment",
            "metric": "test_log_loss",
            "choose_by": "loss",
            "compare": compare,
            "threshold": 0.3,
        },
        LANGUAGE: {
            "title": "Next token",
            "task": "language-model",
            "metric": "test_perplexity",
            "compare": compare[:2],
        },
        TIME: {
            "title": "Time alone",
            "metric": "seconds_per_epoch",
            "alone": True,
            "tune": {"lr": [0.001]},
        },
    }
    declared = {
        "name": "made_up",
        "version": 1,
        "summary": "A made-up embedding by circuits.",
        "paper": {
            "title": "A made-up embedding",
            "authors": "A. Person",
            "year": 2025,
            "url": "https://example.org",
            "says": "The circuit reaches a lower loss, and an epoch of it takes longer.",
        },
        "claims": [
            _PAIR
            | {
                "id": "loss",
                "statement": "The hybrid model reaches a lower validation loss.",
                "metric": "validation_log_loss",
                "direction": "less",
                "headline": True,
            },
            _PAIR
            | {
                "id": "train-loss",
                "statement": "The hybrid model reaches a lower training loss.",
                "metric": "train_log_loss",
                "direction": "less",
                "published": -0.05,
            },
            _PAIR
            | {
                "id": "accuracy",
                "statement": "Validation accuracies are comparable.",
                "metric": "validation_accuracy",
                "direction": "equal",
                "margin": 0.02,
            },
            _PAIR
            | {
                "id": "perplexity",
                "statement": "The hybrid language model is less perplexed.",
                "metric": "test_perplexity",
                "setting": LANGUAGE,
                "direction": "less",
                "margin": 2.0,
            },
            _PAIR
            | {
                "id": "slow",
                "statement": "An epoch of the hybrid model takes longer.",
                "metric": "seconds_per_epoch",
                "setting": TIME,
                "margin": 0.05,
            },
            {
                "id": "level",
                "statement": "The hybrid model ends between 0.1 and 0.2 nats.",
                "arm": "quantum",
                "metric": "test_log_loss",
                "level": [0.1, 0.2],
                "source": "Figure 1",
            },
        ],
        "arms": [
            {
                "name": "quantum",
                "label": "Quantum embedding and attention",
                "kind": "paper",
                "model": "x:Y",
                "tune": {"lr": [0.001, 0.01, 0.1]},
            },
            {"name": "classical", "label": "Classical", "kind": "baseline", "model": "x:Y"},
            {
                "name": "matched",
                "label": "Classical, initial scale matched",
                "kind": "control",
                "model": "x:Y",
                "tests": "the initial scale",
            },
            {
                "name": "frozen",
                "label": "Frozen random circuit",
                "kind": "control",
                "model": "x:Y",
                "tests": "training the circuit matters",
            },
            {
                "name": "no-cnot",
                "label": "No CNOT",
                "kind": "control",
                "model": "x:Y",
                "tests": "entanglement",
            },
            {
                "name": "shuffled",
                "label": "Shuffled labels",
                "kind": "control",
                "model": "x:Y",
                "shuffle_labels": True,
                "tests": "the test labels do not leak",
            },
        ],
        "settings": settings,
        "profiles": {
            "default": {
                "dataset": "token-sentiment",
                "encoder": "token-ids",
                "split": _SPLIT,
                "repetitions": 12,
                "settings": {name: {} for name in settings},
            }
        },
    }
    return Study.model_validate(declared | changes)


def fill(folder: Path, repetitions: int = 12) -> Path:
    """Write a run of all settings below ``folder`` and return it."""
    for setting in (CURVES, LANGUAGE, TIME):
        store = Store(folder / setting)
        for arm in study().arms:
            if arm.shuffle_labels and setting != CURVES:
                continue
            for repetition in range(repetitions):
                store.save(outcome(arm, setting, repetition))
        store.consolidate()
    return folder


def outcome(arm: Arm, setting: str, repetition: int) -> Outcome:
    """Return one made-up trial."""
    place = [a.name for a in study().arms].index(arm.name)
    own = np.random.default_rng([place, repetition])
    shared = np.random.default_rng([99, repetition])
    labels = shared.permutation(np.arange(60) % 2)
    trial = f"{setting}{place:03d}{repetition:03d}"
    curves = _curves(arm, repetition, own, trial)
    last = {name: values[-1] for name, values in curves.values.items()}
    spoken = setting == LANGUAGE
    text = pack_numbers([-2.0, -2.5]) if spoken else pack_classes(labels.tolist())
    tuned = None
    if arm.tune:
        rates = arm.tune["lr"]
        tuned = Tuning(
            id=trial,
            configurations=[{"lr": rate} for rate in rates],
            validation_accuracy=[0.9, 0.8, -1.0],
            validation_loss=[last["validation_loss"], last["validation_loss"] + 0.3, -1.0],
        )
    return Outcome(
        record=Record(
            id=trial,
            study="made_up",
            arm=arm.name,
            repetition=repetition,
            metrics=_spoken(last) if spoken else _classified(last),
            chosen={"lr": 0.001} if arm.tune else {},
            parameters=Parameters(classical=300 + 20 * place, quantum=48, effective=280, dead=4),
            cost=Cost(circuits=3 * EPOCHS * 1000, shots=10**6) if arm.tune else None,
            seconds=0.5,
            seconds_per_epoch=_seconds(arm, own) if setting == TIME else None,
            environment=environment_id(ENVIRONMENT),
            finished=f"2026-01-02T03:04:{repetition:02d}Z",
        ),
        predictions=Predictions(id=trial, validation=text, test=text),
        curves=curves,
        tuning=tuned,
        attention=_attention(arm, trial, spoken) if repetition == 0 else None,
        split=SplitLabels(
            repetition=repetition,
            digest=f"d{repetition}",
            test_digest="t",
            n_train=80,
            validation=pack_classes(labels[:40].tolist()),
            test=pack_classes(labels.tolist()),
            test_rows=pack_rows(range(60), 60),
        ),
        environment=ENVIRONMENT,
    )


def _seconds(arm: Arm, rng: np.random.Generator) -> float:
    return SECONDS.get(arm.name, 0.02) * float(1 + 0.05 * rng.random())


def _classified(last: dict[str, float]) -> dict[str, float]:
    found = {}
    for role in ("train", "validation", "test"):
        of = "train" if role == "train" else "validation"
        found[f"{role}_log_loss"] = last[f"{of}_loss"]
        found[f"{role}_accuracy"] = last[f"{of}_accuracy"]
        found[f"{role}_macro_f1"] = last[f"{of}_accuracy"]
    return found


def _spoken(last: dict[str, float]) -> dict[str, float]:
    found = {}
    for role in ("train", "validation", "test"):
        of = "train" if role == "train" else "validation"
        entropy = 5 + last[f"{of}_loss"]
        found[f"{role}_cross_entropy"] = entropy
        found[f"{role}_perplexity"] = float(np.exp(entropy))
        found[f"{role}_token_accuracy"] = 0.2
    return found


def _curves(arm: Arm, repetition: int, rng: np.random.Generator, trial: str) -> Curves:
    epochs = np.arange(1, EPOCHS + 1)
    fall = np.exp(-epochs / SPEED.get(arm.name, 3.0))
    end = END.get(arm.name, 0.7) + rng.normal(0, 0.01)
    losses = end + (0.72 - end) * fall + rng.normal(0, 0.004, EPOCHS)
    if repetition < STUCK.get(arm.name, 0) or arm.shuffle_labels:
        losses = 0.7 + rng.random(EPOCHS) / 50
    right = np.clip(1 - 0.72 * losses, 0, 1)
    values = {
        "train_loss": losses - 0.01,
        "train_accuracy": right,
        "validation_loss": losses,
        "validation_accuracy": right - 0.005,
    }
    rounded = {name: [round(float(v), 5) for v in curve] for name, curve in values.items()}
    return Curves(id=trial, epochs=epochs.tolist(), values=rounded)


def _attention(arm: Arm, trial: str, spoken: bool) -> AttentionMaps | None:
    if arm.name not in ("quantum", "classical"):
        return None
    sharpness = 0.1 if arm.name == "quantum" else 1.5
    maps = []
    for number, text in enumerate(TEXTS):
        tokens = text.split()
        scores = sharpness * np.random.default_rng(number).normal(size=(len(tokens),) * 2)
        weights = np.exp(scores)
        if spoken:
            weights = np.tril(weights)
        weights /= weights.sum(1, keepdims=True)
        maps.append(AttentionMap(tokens=tokens, weights=weights.tolist()))
    return AttentionMaps(id=trial, maps=maps)
