"""Every rule starts from one state and changes what it says, and the watch sees what it does."""

import math
import sys
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from tests.data.tiny_models import write_model

from qlmbench.models.distilbert import make_classifier, tiny_config
from qlmbench.models.parameters import count_parameters
from qlmbench.optim.optimizer import QuantumGradientOptimizer
from qlmbench.optim.rules import RULES
from qlmbench.registry import get_study, model_class
from qlmbench.seeding import seed_for

Classifier = model_class("quantum_gradient", "classifier:QuantumGradientClassifier")
UpdateWatch = sys.modules[Classifier.__module__].UpdateWatch
TARGET = "distilbert.transformer.layer.0.attention.out_lin.weight"
SMALL: dict[str, Any] = {"weights": "tiny", "epochs": 2}
ONE_STEP: dict[str, Any] = {"weights": "tiny", "epochs": 1, "batch_size": None}


def rows(seed: int = 0, n: int = 24) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    return (rng.integers(1, 20, (n, 6)) + 20 * y[:, None]).astype(float), y


def fitted(**params: Any) -> Any:
    return Classifier(**params).fit(*rows())


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach() for name, p in model.network_.named_parameters()}


def differing(one: Any, other: Any) -> set[str]:
    first, second = weights(one), weights(other)
    return {name for name in first if not torch.equal(first[name], second[name])}


def test_the_defaults_are_those_of_the_published_code() -> None:
    params = Classifier().get_params()
    assert params["weights"] == "distilbert-base-uncased"
    assert (params["batch_size"], params["learning_rate"], params["epochs"]) == (8, 5e-5, 3)
    assert params["quantum_learning_rate"] == 0.01
    assert (params["n_qubits"], params["shots"], params["rule"]) == (5, 1000, "as-published")
    network = make_classifier(tiny_config(), None, 2)
    optimizer = QuantumGradientOptimizer(network.named_parameters(), params["target"])
    chosen = [g["param_names"] for g in optimizer.param_groups if "quantum_base_lr" in g]
    assert chosen == [[TARGET]]


@pytest.mark.parametrize("rule", [*RULES, "adamw"])
def test_every_rule_meets_the_same_start_batches_and_dropout(rule: str) -> None:
    plain, ruled = fitted(rule="adamw", **ONE_STEP), fitted(rule=rule, **ONE_STEP)
    # The loss of a first step knows nothing of the rule.
    assert ruled.history_.train_loss == plain.history_.train_loss
    assert differing(ruled, plain) <= {TARGET}


def test_no_rule_on_the_published_base_is_plain_adamw() -> None:
    plain, none = (
        fitted(rule=rule, base=base, **SMALL)
        for rule, base in (("adamw", None), ("none", "as-published"))
    )
    assert differing(plain, none) == set()
    assert none.diagnostics(rows()[0]) == plain.diagnostics(rows()[0]) == {}


def test_the_published_rule_changes_five_weights_beside_adamw() -> None:
    plain, circuit = fitted(rule="adamw", **ONE_STEP), fitted(**ONE_STEP)
    change = (weights(plain)[TARGET] - weights(circuit)[TARGET]).flatten()
    assert torch.nonzero(change).flatten().tolist() == [0, 1, 2, 3, 4]
    assert bool((change[:5].abs() <= 0.01).all())


def test_corrected_rules_take_the_chosen_weights_from_adamw() -> None:
    start = make_classifier(tiny_config(), None, 2, seed=seed_for("initialisation", seed=0))
    first = dict(start.named_parameters())[TARGET]
    still = fitted(rule="none", base="corrected", **SMALL)
    assert torch.equal(weights(still)[TARGET], first)
    moved = weights(fitted(rule="corrected", **SMALL))[TARGET] - first
    assert float((moved != 0).double().mean()) > 0.99
    plain = fitted(rule="adamw", **SMALL)
    assert count_parameters(plain).total - count_parameters(still).total == 32 * 32
    assert count_parameters(fitted(**SMALL)).total == count_parameters(plain).total


@pytest.mark.parametrize("rule", ["corrected", "gaussian", "sgld"])
def test_a_seed_decides_shots_and_noise_too(rule: str) -> None:
    one, same, other = (fitted(rule=rule, random_state=s, **SMALL) for s in (0, 0, 1))
    assert differing(one, same) == set()
    assert TARGET in differing(one, other)


def test_the_circuit_and_its_imitations_draw_apart() -> None:
    models = [
        fitted(rule=rule, base="corrected", **SMALL)
        for rule in ("corrected", "gaussian", "pseudo-random", "shuffled", "no-cnot")
    ]
    values = [weights(model)[TARGET] for model in models]
    for i, one in enumerate(values):
        assert not any(torch.equal(one, other) for other in values[i + 1 :])


# ---- what is told of the updates --------------------------------------------------------


def test_a_drift_is_the_same_in_each_step_and_has_no_direction() -> None:
    told = fitted(rule="drift", **SMALL).diagnostics(rows()[0])
    assert told["update_constant_share"] == pytest.approx(1, abs=1e-6)
    assert told["update_rms"] == pytest.approx(0.0025, rel=1e-4)
    assert told["update_drift_share"] == pytest.approx(1, rel=1e-4)
    assert abs(told["update_cosine"]) < 1
    assert 0 < told["gradient_scale"] <= 1


def test_a_gradient_step_has_the_direction_of_the_gradient() -> None:
    told = fitted(
        rule="sgld", base="corrected", temperature=0.0, quantum_learning_rate=1.0, **SMALL
    ).diagnostics(rows()[0])
    assert told["update_cosine"] == pytest.approx(1, abs=1e-4)
    assert told["update_sign_agreement"] > 0.99
    assert told["gradient_scale"] == 1
    assert told["update_drift_share"] == 0


@pytest.mark.parametrize("rule", ["as-published", "gaussian", "no-cnot", "shuffled"])
def test_the_published_base_has_a_drift_and_the_corrected_one_none(rule: str) -> None:
    # Angles near zero: nothing is left of the update but its drift and the noise of the shots.
    told = fitted(rule=rule, angle_scale=1e-3, **SMALL).diagnostics(None)
    assert told["update_drift_share"] == pytest.approx(1, abs=0.05)
    base = None if rule == "as-published" else "corrected"
    rule = "corrected" if rule == "as-published" else rule
    assert fitted(rule=rule, base=base, **SMALL).diagnostics(None)["update_drift_share"] == 0


def test_the_corrected_circuit_follows_the_gradient_and_a_shuffled_one_does_not() -> None:
    params: dict[str, Any] = {"base": "corrected", "circuit": "no-cnot", **SMALL}
    circuit = fitted(rule="corrected", angle_scale=math.pi / 3, **params)
    shuffled = fitted(rule="shuffled", angle_scale=math.pi / 3, **params)
    assert circuit.diagnostics(None)["update_cosine"] > 0.8
    assert abs(shuffled.diagnostics(None)["update_cosine"]) < 0.2
    assert circuit.diagnostics(None)["update_sign_agreement"] > 0.7


def test_the_watch_tells_the_rules_update_from_that_of_adamw() -> None:
    weight, rest = torch.nn.Parameter(torch.zeros(5)), torch.nn.Parameter(torch.zeros(1))
    optimizer = QuantumGradientOptimizer(
        [("weight", weight), ("rest", rest)], "weight", rule="drift", lr=1.0
    )
    watch = UpdateWatch(optimizer)
    for gradient in ([1.0, 1, 1, 1, 1], [1.0, 1, 1, 1, -1]):
        weight.grad, rest.grad = torch.tensor(gradient), torch.ones(1)
        optimizer.step()
    told = watch.averages()
    assert told["update_cosine"] == pytest.approx((1 + 3 / 5) / 2)
    assert told["update_sign_agreement"] == pytest.approx(0.9)
    assert told["update_rms"] == pytest.approx(0.0025, rel=1e-4)
    assert watch.provenance()["shared"] is True


def test_circuits_are_counted_where_they_are_measured() -> None:
    n_blocks = -(-32 * 32 // 5)
    published, corrected = fitted(**SMALL), fitted(rule="corrected", shots=50, **SMALL)
    for model, circuits, shots in ((published, 1, 1000), (corrected, n_blocks, 50)):
        cost = model.hardware_cost(24)
        assert (cost.circuits, cost.shots) == (6 * circuits, 6 * circuits * shots)
    assert fitted(rule="gaussian", **SMALL).hardware_cost(24) is None
    assert fitted(rule="adamw", **SMALL).hardware_cost(24) is None
    assert corrected.optimizer_["base"] == "corrected"


def test_attention_is_shown_of_the_layer_that_is_rewritten() -> None:
    X, _ = rows()
    target = r"layer\.1\.attention\.out_lin\.weight$"
    first, second = fitted(**ONE_STEP), fitted(target=target, **ONE_STEP)
    assert (first.attention_layer, second.attention_layer) == (0, 1)
    assert first.attention_weights(X).shape == (24, 4, 6, 6)
    assert not np.allclose(first.attention_weights(X), second.attention_weights(X))


# ---- what it is made with ---------------------------------------------------------------


def test_it_trains_on_from_the_weights_of_a_folder(tmp_path: Any) -> None:
    folder = str(write_model(tmp_path / "tiny"))
    X, y = rows()
    X = np.where(X > 20, 7, 9) + np.arange(6) % 2
    model = Classifier(weights=folder, n_qubits=4, epochs=1, learning_rate=1e-12).fit(X, y)
    name = "distilbert.transformer.layer.2.ffn.lin1.weight"
    start = model.pretrained()[1]["encoder.layer.2.intermediate.dense.weight"]
    assert torch.allclose(weights(model)[name], start, rtol=0, atol=1e-9)


def test_a_wrong_rule_or_target_is_told() -> None:
    with pytest.raises(ValueError, match="did you mean 'gaussian'"):
        fitted(rule="gausian", **SMALL)
    with pytest.raises(ValueError, match="matches no trainable weight"):
        fitted(target="layer.9", **SMALL)


def test_parameters_survive_cloning() -> None:
    model = Classifier(rule="sgld", temperature=0.1, pooling="mean")
    assert clone(model).get_params() == model.get_params()


def test_arms_that_a_claim_compares_differ_in_the_rule_alone() -> None:
    study = get_study("quantum_gradient")
    about = {"rule", "base", "circuit", "angle_scale"}
    for claim in study.claims:
        if claim.versus is not None:
            pair = (study.arm(claim.arm), study.arm(claim.versus))
            one, other = ({k: v for k, v in a.params.items() if k not in about} for a in pair)
            assert one == other
