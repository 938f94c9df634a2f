"""The quantum-embedding study's arms are the published models, and its controls differ as said."""

import numpy as np
import pytest

from qlmbench.models.parameters import count_parameters
from qlmbench.models.token_transformer import TokenTransformerClassifier
from qlmbench.plan import make_plans
from qlmbench.registry import get_study

STUDY = get_study("quantum_embedding")


def fitted(setting: str, arm: str, **changed: object) -> TokenTransformerClassifier:
    """One epoch of an arm as a setting of the default profile has it, on a few sequences."""
    plan = make_plans(STUDY, "default", settings=[setting], arms=[arm])[0]
    model = TokenTransformerClassifier(**{**plan.trials[0].params, "epochs": 1, **changed})
    X = np.random.default_rng(0).integers(1, 20, (32, 6))
    return model.fit(X, (X > 9).sum(1) > 3)


@pytest.mark.parametrize(
    ("setting", "arm", "published"),
    [
        ("unified-benchmark", "classical", 610),
        ("unified-benchmark", "quantum-embedding", 602),
        ("unified-benchmark", "quantum-attention", 610),
        ("unified-benchmark", "quantum-both", 602),
        ("as-published-10", "quantum-embedding", 810),
        ("as-published-10", "classical", 610),
    ],
)
def test_parameter_counts_are_the_published_ones(setting: str, arm: str, published: int) -> None:
    """610 and 602 are printed in the unified benchmark; 810 follows from train_compare's sizes."""
    counted = count_parameters(fitted(setting, arm))
    assert counted is not None
    padding = 8 if arm in ("classical", "quantum-attention") else 0
    assert counted.total in (published, published - padding)


def test_published_circuits_start_where_their_vectors_hardly_differ() -> None:
    spread = {}
    for arm in ("classical", "quantum-embedding", "matched-start", "circuit-start"):
        table = fitted("as-published-10", arm, learning_rate=1e-12).embedding_table()[1:]
        spread[arm] = float(table.std(0).mean())
    assert spread["classical"] == pytest.approx(1.0, abs=0.2)
    assert spread["quantum-embedding"] < 0.02
    assert spread["matched-start"] == pytest.approx(spread["quantum-embedding"], rel=0.4)
    assert spread["circuit-start"] == pytest.approx(spread["quantum-embedding"], rel=1e-3)


def test_a_table_from_the_circuits_vectors_predicts_what_the_circuit_predicts() -> None:
    X = np.random.default_rng(1).integers(1, 20, (20, 6))
    circuit = fitted("as-published-10", "quantum-embedding", learning_rate=1e-12)
    table = fitted("as-published-10", "circuit-start", learning_rate=1e-12)
    assert np.allclose(circuit.predict_proba(X), table.predict_proba(X), atol=1e-9)


def test_published_attention_is_nearly_uniform_before_training() -> None:
    model = fitted("as-published-10", "quantum-both", learning_rate=1e-12)
    X = np.random.default_rng(1).integers(1, 20, (20, 6))
    assert model.diagnostics(X)["attention_entropy"] > 0.9999
