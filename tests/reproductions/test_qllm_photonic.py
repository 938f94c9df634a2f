"""The photonic heads of two stages merge circuits without losing a feature on the way."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.estimator_checks import parametrize_with_checks

from qlmbench.models.parameters import count_parameters
from qlmbench.quantum.photonic import PhotonicCircuit
from qlmbench.registry import model_class

Parallel = model_class("qllm", "two_stage:ParallelPhotonicClassifier")
Expectation = model_class("qllm", "two_stage:ExpectationPhotonicClassifier")
ClickCircuit = model_class("qllm", "two_stage:ClickCircuit")
FAST = {"epochs": 80, "batch_size": None, "learning_rate": 0.05}
HEADS = [
    (Parallel, {"n_modes": 4, "n_photons": 2, "n_circuits": 1}),
    (Parallel, {"n_modes": 4, "n_photons": 2, "n_circuits": 2}),
    (Parallel, {"n_modes": 3, "n_circuits": 2, "own_features": True, "space": "fock"}),
    (Expectation, {"n_modes": 4, "n_photons": 2}),
    (Expectation, {"n_modes": 4, "n_photons": 2, "space": "unbunched", "n_blocks": 1}),
]


def three_classes(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(60) % 3
    return rng.normal(size=(60, 4)) + 3 * np.eye(4)[y], np.array(["x", "y", "z"])[y]


def rows(seed: int, n: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(2 * n, 5)), np.arange(2 * n) % 2
    X[:, 0] += y
    return X[:n], y[:n], X[n:], y[n:]


@parametrize_with_checks(
    [
        Parallel(n_modes=4, n_photons=2, n_circuits=2, **FAST),
        Expectation(n_modes=4, n_photons=2, **FAST),
    ]
)
def test_heads_pass_the_checks_of_scikit_learn(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]


@pytest.mark.parametrize(("cls", "params"), HEADS)
def test_a_stack_equals_each_head_alone(cls: type, params: dict[str, object]) -> None:
    def head(r: int) -> object:
        return cls(
            **params,
            random_state=r,
            epochs=5,
            batch_size=7,
            learning_rate=[1e-2, 3e-3, 1e-3][r],
            init_scale=1 / (r + 1),
            weight_decay=r * 1e-3,
        )

    data = [rows(r) for r in range(3)]
    together = cls.fit_many([head(r) for r in range(3)], data)
    for r in (2, 0, 1):
        alone = head(r).fit(*data[r])
        X = rows(99)[0]
        np.testing.assert_allclose(together[r].logits(X), alone.logits(X), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("cls", "params"), HEADS)
def test_heads_learn_three_classes(cls: type, params: dict[str, object]) -> None:
    X, y = three_classes()
    head = cls(**params, epochs=150, learning_rate=0.05).fit(X, y)
    assert head.score(*three_classes(1)) > 0.8
    np.testing.assert_allclose(head.predict_proba(X).sum(1), 1)


@pytest.mark.parametrize(("cls", "params"), HEADS)
def test_no_parameter_outside_a_circuit_is_without_effect(
    cls: type, params: dict[str, object]
) -> None:
    X, y = three_classes()
    counted = count_parameters(cls(**params, epochs=1).fit(X, y))
    assert counted is not None
    assert all(name.startswith("circuit") for name in counted.dead_in)


@pytest.mark.parametrize(
    ("own_features", "n_circuits", "phases"), [(False, 2, 4), (True, 2, 8), (True, 1, 4)]
)
def test_parallel_parameters_are_the_three_maps_and_the_circuits(
    own_features: bool, n_circuits: int, phases: int
) -> None:
    X, y = three_classes()
    head = Parallel(4, 2, n_circuits, own_features, epochs=1).fit(X, y)
    counted = count_parameters(head)
    assert counted is not None
    encoder, merge, readout = 5 * phases, (6 * n_circuits + 1) * 4, 7 * 3
    assert counted.classical == encoder + merge + readout
    assert counted.quantum == (n_circuits + 1) * 2 * 4 * 3


def test_expectation_parameters_are_one_feature_a_phase_and_the_circuits() -> None:
    X, y = three_classes()
    counted = count_parameters(Expectation(4, 2, n_blocks=3, epochs=1).fit(X, y))
    assert counted is not None
    outcomes = math.comb(5, 2)
    assert counted.classical == 5 * 3 * 4 + 3 * (outcomes + 1)
    assert counted.quantum == (4 + 2) * 4 * 3


@pytest.mark.parametrize(("cls", "params"), HEADS)
def test_every_learned_feature_has_a_phase_of_its_own(cls: type, params: dict[str, object]) -> None:
    network = cls(**params, epochs=1).fit(*rows(0)[:2]).network_
    learned = torch.linspace(-1, 1, network.encoder[0].bias.shape[1], dtype=torch.float64)
    network.encoder[0] = torch.nn.Identity()

    def phases_of(features: torch.Tensor) -> torch.Tensor:
        runs = network.runs(features[None, None])
        return torch.cat([phases.flatten() for _, phases in runs[:-1]])

    moved = torch.autograd.functional.jacobian(phases_of, learned) != 0
    assert (moved.sum(1) == 1).all(), "a phase is that of one feature"
    assert moved.any(0).all(), "every feature is a phase"


def test_circuits_that_share_features_encode_the_same_and_others_their_own() -> None:
    x = torch.randn(1, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for own in (False, True):
        head = Parallel(n_circuits=2, own_features=own, epochs=1).fit(*rows(0)[:2])
        (one, phases), (other, others), _ = head.network_.runs(x)
        assert torch.equal(phases, others) is not own
        assert not torch.equal(one.angles, other.angles)


@given(
    seed=st.integers(0, 99),
    n_modes=st.integers(2, 6),
    data=st.data(),
    indistinguishability=st.sampled_from([0.0, 1.0]),
)
@settings(max_examples=10)
def test_clicks_are_sums_over_the_outcomes_with_a_photon_in_the_mode(
    seed: int, n_modes: int, data: st.DataObject, indistinguishability: float
) -> None:
    n_photons = data.draw(st.integers(1, min(n_modes, 3)))
    options = {
        "seeds": [seed],
        "dtype": torch.float64,
        "indistinguishability": indistinguishability,
    }
    g = torch.Generator().manual_seed(seed)
    phases = torch.randn(1, 4, n_modes, generator=g, dtype=torch.float64)
    clicks = ClickCircuit(n_modes, n_photons, space="fock", **options)
    outcomes = PhotonicCircuit(n_modes, n_photons, space="fock", **options)
    probs = outcomes(phases)[0]
    for mode in range(n_modes):
        hit = [i for i, state in enumerate(outcomes.state_space()) if state[mode] > 0]
        torch.testing.assert_close(clicks(phases)[0, :, mode], probs[:, hit].sum(1))
    unbunched = ClickCircuit(n_modes, n_photons, space="unbunched", **options)
    means = PhotonicCircuit(
        n_modes, n_photons, space="unbunched", readout="mode_expectations", **options
    )
    torch.testing.assert_close(unbunched(phases), means(phases))


def test_two_photons_on_a_beam_splitter_click_together_less_often_than_particles() -> None:
    """Hong-Ou-Mandel: photons leave as a pair, so each mode clicks with 1/2, not with 3/4."""
    phases = torch.zeros(1, 1, 2, dtype=torch.float64)
    clicks = []
    for indistinguishability in (1.0, 0.0):
        circuit = ClickCircuit(
            2, 2, space="fock", indistinguishability=indistinguishability, dtype=torch.float64
        )
        with torch.no_grad():
            # the first interferometer is balanced, the second lets the photons pass
            circuit.angles[:] = torch.tensor([[math.pi / 2, 0.0], [math.pi, math.pi]])
        clicks.append(circuit(phases).flatten().tolist())
    np.testing.assert_allclose(clicks[0], 0.5)
    np.testing.assert_allclose(clicks[1], 0.75)


@pytest.mark.parametrize(("cls", "params"), HEADS)
def test_photons_that_do_not_interfere_make_another_head(
    cls: type, params: dict[str, object]
) -> None:
    if params.get("n_photons", 1) == 1:
        pytest.skip("one photon has none to interfere with")
    X, y, _, _ = rows(0)
    heads = [cls(**params, indistinguishability=i, epochs=1).fit(X, y) for i in (1.0, 0.0)]
    assert np.abs(heads[0].logits(X) - heads[1].logits(X)).max() > 1e-3


@pytest.mark.parametrize(("cls", "params"), HEADS)
def test_frozen_circuits_stay_as_drawn(cls: type, params: dict[str, object]) -> None:
    X, y, _, _ = rows(0)
    head = cls(**params, train_circuit=False, epochs=3).fit(X, y)
    drawn = cls.build([head], 5, 2, torch.float64)
    for circuit, fresh in zip(head.network_.circuits(), drawn.circuits(), strict=True):
        assert torch.equal(circuit.angles, fresh.angles)
    counted = count_parameters(head)
    assert counted is not None
    assert counted.quantum == 0


def test_the_surviving_mass_is_told_where_outcomes_are_discarded() -> None:
    X, y, _, _ = rows(0)
    kept = Parallel(4, 2, epochs=1).fit(X, y).diagnostics(X)["surviving_mass"]
    assert 0 < kept < 1
    assert Expectation(4, 2, space="fock", epochs=1).fit(X, y).diagnostics(X) == {}


def test_the_cost_on_hardware_counts_every_circuit_and_every_shifted_angle() -> None:
    X, y, _, _ = rows(0)
    head = Expectation(4, 2, n_blocks=3, epochs=5).fit(X, y)
    first, last = 1 + 4 * (12 + 48), 1 + 4 * (4 + 24)
    assert head.hardware_cost(20).circuits == 5 * 20 * (first + last)
    frozen = Parallel(4, 1, n_circuits=2, train_circuit=False, epochs=5).fit(X, y)
    assert frozen.hardware_cost(20).circuits == 5 * 20 * 3 * (1 + 2 * 4)


@pytest.mark.parametrize(("cls", "params"), HEADS)
def test_with_shots_the_trained_head_scatters_around_its_exact_self(
    cls: type, params: dict[str, object]
) -> None:
    X, y, X_val, _ = rows(0)
    head = cls(**params, epochs=20, learning_rate=0.05).fit(X, y)
    exact = head.logits(X_val)
    error = [np.abs(head.under(shots=n).logits(X_val) - exact).mean() for n in (100, 10**6)]
    assert 0 < error[1] < error[0] / 10
    drawn = head.under(shots=100)
    np.testing.assert_array_equal(drawn.logits(X_val), head.under(shots=100).logits(X_val))
    np.testing.assert_allclose(drawn.logits(X_val)[3:5], drawn.logits(X_val[3:5]), atol=1e-12)


def test_circuits_that_encode_the_same_draw_shots_of_their_own() -> None:
    X, y, _, _ = rows(0)
    drawn = Parallel(4, 2, epochs=1, shots=100).fit(X, y)
    one, other, last = drawn.network_.measurements
    assert len({one.random_state, other.random_state, last.random_state}) == 3


def test_lost_photons_change_the_surviving_mass_and_nothing_else_where_discarded() -> None:
    X, y, _, _ = rows(0)
    head = Parallel(4, 2, epochs=2).fit(X, y)
    lossy = head.under(transmittance=0.5)
    np.testing.assert_allclose(lossy.logits(X), head.logits(X), atol=1e-12)
    kept, ideal = (h.diagnostics(X)["surviving_mass"] for h in (lossy, head))
    assert kept == pytest.approx(ideal / 4)


@pytest.mark.parametrize(
    ("cls", "params", "said"),
    [
        (Parallel, {"n_circuits": 0}, "n_circuits=0; expected a whole number, at least 1"),
        (Parallel, {"n_modes": 2, "n_photons": 3}, "n_photons=3"),
        (Parallel, {"shots": 0}, "shots=0; expected a whole number, at least 1"),
        (Expectation, {"n_blocks": 0}, "n_blocks=0"),
        (Expectation, {"space": "bunched"}, "bunched"),
    ],
)
def test_arguments_that_do_not_fit_are_named(
    cls: type, params: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        cls(epochs=1, **params).fit(*rows(0)[:2])
