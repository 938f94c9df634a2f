"""A made-up study with known effects: what the report's tests and screenshots are drawn from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from qlmbench.packing import pack_classes, pack_rows
from qlmbench.records import (
    Condition,
    Conditions,
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
from qlmbench.spec import Arm, ArmKind, Study
from qlmbench.store import Store

GRID = [(2, 1), (4, 1), (4, 2), (6, 1), (6, 2), (6, 3), (8, 1), (8, 2), (8, 3), (8, 4)]
SKILL = {"chance": 0.5, "logreg": 0.80, "svc": 0.805, "mlp": 0.79}
SKILL |= {f"photonic-{m}-{n}": 0.76 + 0.011 * m - 0.02 * n for m, n in GRID}
SKILL |= {f"published-{m}-{n}": 0.55 + 0.03 * m - 0.04 * n for m, n in GRID if n < 3}
SKILL |= {"distinguishable": 0.807, "tanh": 0.812, "frozen": 0.79, "shuffled": 0.5}
EVALUATED = {
    "photonic-8-2": {"shots": [100, 1000, 10000], "indistinguishability": [0.8, 0.9]},
    "published-8-2": {"shots": [100, 1000, 10000]},
}
ENVIRONMENT = {"python": "3.11.7", "torch": "2.12.0", "commit": "abc", "system": "Linux"}
LOSS = {"shots": 4.0, "indistinguishability": 0.02}
_ROLES = {"validation": {"count": 60}, "test": {"rest": True}}
GAIN = {
    "id": "gain",
    "statement": "8 modes and 2 photons beat the logistic regression by 4 points.",
    "arm": "photonic-8-2",
    "versus": "logreg",
    "published": 0.04,
    "published_n": 1,
    "headline": True,
    "source": "Table 1, row 8",
}


def study(**changes: object) -> Study:
    grid = [{"n_modes": m, "n_photons": n} for m, n in GRID]
    split = {"train": {"per_class": 8}, **_ROLES}
    profile = {
        "dataset": "rotten-tomatoes",
        "encoder": "all-mpnet-base-v2",
        "split": split,
        "repetitions": 12,
    }
    tune = {"lr": [0.001, 0.01], "init_scale": [0.1, 1.0]}
    declared = {
        "name": "fake",
        "version": 1,
        "summary": "A made-up photonic head on a frozen sentence encoder.",
        "paper": {
            "title": "A made-up paper about | photonic heads",
            "authors": "A. Person and B. Person",
            "year": 2025,
            "venue": "Journal of Examples",
            "arxiv": "0000.00000",
            "says": "An interferometer of 8 modes behind a frozen encoder is more accurate than "
            "classical heads. More modes are better. The gain needs few parameters.",
        },
        "claims": [
            GAIN,
            {
                "id": "interference",
                "statement": "The gain comes from interference between photons.",
                "arm": "photonic-8-2",
                "versus": "distinguishable",
                "source": "Section 4, last sentence",
            },
            {
                "id": "published-gain",
                "statement": "The circuit as published beats a linear support vector machine.",
                "arm": "published-8-2",
                "versus": "svc",
                "published": 0.053,
                "source": "Table 1",
            },
            {
                "id": "heads-agree",
                "statement": "Logistic regression and support vectors agree.",
                "arm": "logreg",
                "versus": "svc",
                "direction": "equal",
                "margin": 0.03,
                "source": "Table 1",
            },
            {
                "id": "level",
                "statement": "The interferometer is about 80 to 86 % right.",
                "arm": "photonic-8-2",
                "level": [0.80, 0.86],
                "published": 0.838,
                "source": "Abstract",
            },
            {
                "id": "scale",
                "statement": "A hundred modes are better still.",
                "arm": "huge",
                "versus": "logreg",
                "source": "Outlook",
            },
        ],
        "arms": [
            {
                "name": "photonic-{n_modes}-{n_photons}",
                "label": "Photonic, {n_modes} modes, {n_photons} ph.",
                "kind": "paper",
                "model": "heads:Photonic",
                "group": "photonic",
                "cases": grid,
                "tune": tune,
            },
            {
                "name": "published-{n_modes}-{n_photons}",
                "label": "As published, {n_modes} modes, {n_photons} ph.",
                "kind": "as-published",
                "model": "heads:Published",
                "group": "published",
                "cases": [case for case in grid if case["n_photons"] < 3],
            },
            {"name": "chance", "label": "Majority class", "kind": "baseline", "model": "x:Y"},
            {
                "name": "logreg",
                "label": "Logistic regression",
                "kind": "baseline",
                "model": "x:Y",
                "tune": {"C": [0.1, 1.0, 10.0, 100.0]},
            },
            {"name": "svc", "label": "SVC, linear", "kind": "baseline", "model": "x:Y"},
            {
                "name": "mlp",
                "label": "MLP 768-100-50-2",
                "kind": "baseline",
                "model": "x:Y",
                "tune": tune,
            },
            {
                "name": "distinguishable",
                "label": "Distinguishable photons",
                "kind": "control",
                "model": "x:Y",
                "tests": "interference between photons",
            },
            {
                "name": "tanh",
                "label": "Tanh bottleneck",
                "kind": "control",
                "model": "x:Y",
                "tests": "any nonlinearity of the same width would do",
            },
            {
                "name": "frozen",
                "label": "Frozen random circuit",
                "kind": "control",
                "model": "x:Y",
                "tests": "training the circuit matters",
            },
            {
                "name": "shuffled",
                "label": "Shuffled labels",
                "kind": "control",
                "model": "x:Y",
                "shuffle_labels": True,
                "tests": "the test labels do not leak",
            },
            {"name": "huge", "label": "100 modes", "kind": "paper", "model": "x:Y"},
        ],
        "profiles": {
            "smoke": profile | {"repetitions": 2},
            "default": profile,
            "paper": profile | {"dataset": "sst2-glue", "note": "The paper's own data."},
        },
        "deviations": [
            {"what": "Learning rate 0.01 as well as 0.001.", "why": "0.001 does not converge."},
            {"what": "20 repetitions instead of 1.", "why": "One seed says nothing."},
        ],
        "quoted": [
            {
                "method": "8 modes",
                "arm": "photonic-8-2",
                "value": 0.8376,
                "parameters": 77086,
                "source": "Table 1",
            },
            {"method": "LogReg", "arm": "logreg", "value": 0.7669, "source": "Table 1"},
            {"method": "MLP (paper)", "value": 91.44, "source": "Table 2"},
        ],
    }
    return Study.model_validate(declared | changes)


def lean() -> Study:
    """Return the study with a few arms and claims: as many kinds of everything, drawn faster."""
    whole = study()
    names = ("photonic-4-1", "photonic-8-2", "logreg", "svc", "tanh")
    claims = [c for c in whole.claims if c.id in ("gain", "level")]
    quoted = whole.quoted[:1]
    arms = [arm for arm in whole.arms if arm.name in names]
    return whole.model_copy(update={"arms": arms, "claims": claims, "quoted": quoted})


def several() -> Study:
    """Return a study of three settings: few rows, more rows, and more rows with a tuned encoder."""
    factors = [{"a": a, "b": b, "c": c} for a in (1, 2) for b in (1, 2) for c in (1, 2)]
    few, more = ({"train": {"per_class": n}, **_ROLES} for n in (8, 32))
    heads = study().model_dump(mode="json")["arms"]
    names = ("photonic-4-1", "photonic-8-2", "published-8-2", "logreg", "svc", "tanh")
    design = {
        "name": "design-{a}{b}{c}",
        "label": "Design {a}{b}{c}",
        "kind": "paper",
        "model": "x:Y",
        "group": "design",
        "cases": factors,
    }
    return study(
        arms=[*(arm for arm in heads if arm["name"] in names), design],
        claims=[
            GAIN,
            GAIN | {"id": "gain-tuned", "setting": "tuned", "headline": False},
            {
                "id": "regime",
                "statement": "Tuning the encoder helps the logistic regression.",
                "arm": "logreg",
                "versus": "logreg",
                "setting": "tuned",
                "versus_setting": "more",
                "source": "Figure 2",
            },
        ],
        settings={
            "few": {"title": "Few rows", "split": few, "curve": "frozen"},
            "more": {"title": "More rows", "split": more, "curve": "frozen"},
            "tuned": {"title": "Tuned encoder", "split": more, "encoder_tuning": {}},
        },
        profiles={
            name: study().profile(name).model_dump(mode="json") | {"settings": settings}
            for name, settings in {
                "smoke": {"few": {}},
                "default": {"few": {}, "more": {}, "tuned": {}},
            }.items()
        },
        quoted=[
            {"method": "8 modes", "arm": "photonic-8-2", "value": 0.8376, "source": "Table 1"},
            {"method": "tuned", "arm": "logreg", "value": 0.9, "setting": "tuned", "source": "T"},
        ],
    )


def fill_several(folder: Path, repetitions: int = 12) -> None:
    """Write a run of the study of three settings: more rows help, and tuning helps more."""
    for setting, (gain, n_train) in {
        "few": (0, 16),
        "more": (0.04, 64),
        "tuned": (0.1, 64),
    }.items():
        skill = {name: level + gain for name, level in SKILL.items()}
        for arm in several().arms:
            if arm.group == "design":  # only the factor b does anything
                skill[arm.name] = 0.75 + 0.05 * int(arm.params["b"]) + gain
        options = {"repetitions": repetitions, "skill": skill, "n_train": n_train}
        fill(folder / setting, several(), **options)


def fill(
    folder: Path,
    declared: Study | None = None,
    *,
    repetitions: int = 12,
    rows: int = 240,
    skill: dict[str, float] | None = None,
    shared: bool = True,
    consolidate: bool = True,
    seed: int = 0,
    n_train: int = 16,
) -> Store:
    """Write a setting of a run of the made-up study: every arm with a skill."""
    declared = declared or study()
    store = Store(folder)
    truth = {r: np.random.default_rng([seed, 9, r * (not shared)]) for r in range(repetitions)}
    labels = {r: rng.integers(0, 2, rows) for r, rng in truth.items()}
    for arm in declared.arms:
        level = (skill or SKILL).get(arm.name)
        for repetition in range(repetitions if level is not None else 0):
            done = outcome(declared, arm, level or 0.5, repetition, labels[repetition], seed)
            start = 0 if shared else repetition * rows
            known = done.split.model_copy(
                update={
                    "n_train": n_train,
                    "digest": f"{seed} {n_train} {repetition}",
                    "test_rows": pack_rows(range(start, start + rows), rows * repetitions),
                }
            )
            store.save(done.model_copy(update={"split": known}))
    if consolidate:
        store.consolidate()
    return store


def outcome(
    declared: Study,
    arm: Arm,
    skill: float,
    repetition: int,
    labels: np.ndarray,
    seed: int = 0,
) -> Outcome:
    place = [a.name for a in declared.arms].index(arm.name)
    own = np.random.default_rng([seed, place, repetition])
    luck = np.random.default_rng([seed, 77, repetition]).normal(0, 0.02)
    hard = np.random.default_rng([seed, 78]).random(len(labels))
    level = np.clip(skill + luck + own.normal(0, 0.012), 0.02, 0.98)
    right = 0.75 * hard + 0.25 * own.random(len(labels)) < level
    predicted = np.where(right, labels, 1 - labels)
    validation = float(np.clip(level + own.normal(0, 0.02), 0, 1))
    trial = f"{place:03d}{repetition:03d}{seed:010d}"
    tuned = _tuning(arm, validation, own, trial)
    quantum = int(arm.params.get("n_modes", 0)) ** 2 if arm.kind is not ArmKind.BASELINE else 0
    return Outcome(
        record=Record(
            id=trial,
            study=declared.name,
            arm=arm.name,
            repetition=repetition,
            metrics={
                "test_accuracy": float(np.mean(predicted == labels)),
                "validation_accuracy": validation,
                "test_macro_f1": float(np.mean(predicted == labels)) - 0.01,
                "test_log_loss": 1.2 - level,
            },
            chosen=tuned.configurations[int(np.argmax(tuned.validation_accuracy))] if tuned else {},
            parameters=Parameters(
                classical=770 + 7000 * (place % 11), quantum=quantum, effective=700 + place, dead=3
            ),
            cost=Cost(circuits=12_000 * quantum, shots=12_000_000 * quantum) if quantum else None,
            seconds=0.2 + 0.05 * place,
            environment=environment_id(ENVIRONMENT),
            finished=f"2026-01-02T03:04:{repetition:02d}Z",
        ),
        predictions=Predictions(
            id=trial, validation=pack_classes([0]), test=pack_classes(predicted.tolist())
        ),
        curves=_curves(trial, level, own),
        tuning=tuned,
        conditions=_conditions(declared, arm, float(np.mean(predicted == labels)), trial),
        split=SplitLabels(
            repetition=repetition,
            digest=f"d{repetition}",
            test_digest=hashlib.sha256(labels.tobytes()).hexdigest()[:12],
            n_train=16,
            validation=pack_classes([0]),
            test=pack_classes(labels.tolist()),
        ),
        environment=ENVIRONMENT,
    )


def _conditions(declared: Study, arm: Arm, own: float, trial: str) -> Conditions | None:
    asked = EVALUATED.get(arm.name, {}) if declared.settings else {}
    rows = [
        Condition(name=name, value=value, metrics={"test_accuracy": own - LOSS[name] / value})
        for name, values in asked.items()
        for value in values
    ]
    return Conditions(id=trial, rows=rows) if rows else None


def _tuning(arm: Arm, best: float, rng: np.random.Generator, trial: str) -> Tuning | None:
    if not arm.tune:
        return None
    configurations = [{}]
    for key, values in arm.tune.items():
        configurations = [c | {key: value} for c in configurations for value in values]
    scores = [best - 0.08 * float(rng.random()) for _ in configurations]
    scores[int(rng.integers(0, 2))] = best
    return Tuning(
        id=trial,
        configurations=configurations,
        validation_accuracy=scores,
        validation_loss=[1 - s for s in scores],
    )


def _curves(trial: str, level: float, rng: np.random.Generator) -> Curves:
    epochs = list(range(1, 101, 3))
    rise = 1 - np.exp(-np.array(epochs) / 20)
    noise = rng.normal(0, 0.01, len(epochs))
    return Curves(
        id=trial,
        epochs=epochs,
        values={
            "train_loss": (0.7 - 0.5 * rise + noise).tolist(),
            "validation_accuracy": (0.5 + (level - 0.5) * rise + noise).tolist(),
            "validation_loss": (0.7 - 0.3 * rise + noise).tolist(),
        },
    )
