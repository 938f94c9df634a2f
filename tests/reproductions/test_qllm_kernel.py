"""The photonic kernel is a kernel, agrees with peers, and learns from labels only when it says."""

import math
import sys

import numpy as np
import perceval
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from qlmbench.models.parameters import count_parameters
from qlmbench.quantum.photonic import PhotonicCircuit
from qlmbench.registry import model_class

Kernel = model_class("qllm", "kernel:PhotonicKernelClassifier")
kernel = sys.modules[Kernel.__module__]


def three_classes(seed: int = 0, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    return rng.normal(size=(n, 6)) + 3 * np.eye(6)[y], np.array(["x", "y", "z"])[y]


def hidden_classes(seed: int, n: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Two classes in a direction of small variance, which principal components leave out."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    X = rng.normal(size=(n, 20)) @ np.random.default_rng(7).normal(size=(20, 20))
    X[:, 0] = 0.3 * rng.normal(size=n) + y
    return X, y


def random_phases(seed: int, n: int, n_modes: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(n, n_modes, generator=g, dtype=torch.float64)


shapes = st.tuples(st.integers(2, 6), st.integers(1, 3), st.integers(1, 3)).map(
    lambda s: (s[0], min(s[0], s[1]), s[2])
)


@parametrize_with_checks([Kernel(n_modes=3), Kernel(n_modes=3, align=True, n_steps=3)])
def test_the_kernel_passes_the_checks_of_scikit_learn(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]


# ---- it is a kernel ------------------------------------------------------------------------------


@given(shape=shapes, seed=st.integers(0, 99))
@settings(max_examples=25)
def test_fidelities_are_a_positive_semidefinite_kernel(
    shape: tuple[int, int, int], seed: int
) -> None:
    psi = kernel.states(kernel.feature_circuit(*shape, seed), random_phases(seed, 20, shape[0]))
    gram = kernel.fidelities(psi, psi)
    torch.testing.assert_close(gram.diagonal(), torch.ones(20, dtype=torch.float64))
    torch.testing.assert_close(gram, gram.T)
    assert gram.min() >= 0
    assert gram.max() <= 1 + 1e-12
    assert torch.linalg.eigvalsh(gram).min() > -1e-10


def test_amplitudes_that_are_post_selected_do_not_make_fidelities_of_the_process() -> None:
    """Keeping only unbunched returns of U(y)^dagger U(x), as is often done, breaks the kernel."""
    circuit = kernel.feature_circuit(4, 2, 2, seed=0)
    phases = random_phases(0, 30, 4)
    unitaries = np.stack([unitary(circuit, row) for row in phases])
    products = torch.tensor(unitaries.conj().transpose(0, 2, 1)[None] @ unitaries[:, None])
    one, other = torch.tensor(circuit.input_state).nonzero().flatten().tolist()
    states = PhotonicCircuit(4, 2).state_space()
    probs = []
    for state in states:
        a, b = torch.tensor(state).nonzero().flatten().tolist()
        permanent = products[..., a, one] * products[..., b, other]
        permanent = permanent + products[..., a, other] * products[..., b, one]
        probs.append(permanent.abs().square())
    post_selected = probs[states.index(tuple(circuit.input_state))] / torch.stack(probs).sum(0)
    assert torch.linalg.eigvalsh((post_selected + post_selected.T) / 2).min() < -0.01


# ---- peers ---------------------------------------------------------------------------------------


def unitary(circuit: PhotonicCircuit, phases: torch.Tensor) -> np.ndarray:
    encoded = phases.repeat(circuit.n_blocks)
    return np.array(circuit.to_perceval(phases=encoded).compute_unitary())


@pytest.mark.parametrize("shape", [(3, 1, 1), (4, 2, 2), (5, 3, 2)])
def test_fidelities_are_those_of_percevals_slos_running_forth_and_back(
    shape: tuple[int, int, int],
) -> None:
    circuit = kernel.feature_circuit(*shape, seed=3)
    phases = random_phases(1, 4, shape[0])
    psi = kernel.states(circuit, phases)
    gram = kernel.fidelities(psi, psi)
    inside = perceval.BasicState(list(circuit.input_state))
    for i in range(4):
        for j in range(4):
            there, back = unitary(circuit, phases[i]), unitary(circuit, phases[j]).conj().T
            backend = perceval.SLOSBackend()
            backend.set_circuit(perceval.Unitary(perceval.Matrix(back @ there)))
            backend.set_input_state(inside)
            assert backend.probability(inside) == pytest.approx(float(gram[i, j]), abs=1e-10)


def test_fidelities_are_those_of_merlins_kernel() -> None:
    """merlin sends the photons through U(y)^dagger first: it gets our U in reverse."""
    from merlin import FidelityKernel
    from merlin.algorithms.kernels import FeatureMap

    circuit = kernel.feature_circuit(4, 2, 2, seed=5)
    phases = random_phases(2, 5, 4)
    meshes = circuit.unitaries()[0].numpy()
    reversed_ = perceval.Circuit(4)
    for number, mesh in enumerate(meshes[::-1]):
        if number > 0:
            for mode in range(4):
                name = f"px{(number - 1) * 4 + mode + 1}"
                reversed_.add(mode, perceval.PS(perceval.P(name)))
        reversed_.add(0, perceval.Unitary(perceval.Matrix(mesh.T)))
    theirs = FidelityKernel(
        FeatureMap(reversed_, input_size=8, input_parameters="px", dtype=torch.float64),
        input_state=list(circuit.input_state),
        computation_space="fock",
        force_psd=False,
        dtype=torch.float64,
    )
    psi = kernel.states(circuit, phases)
    expected = theirs(phases.repeat(1, 2))
    torch.testing.assert_close(
        kernel.fidelities(psi, psi), torch.as_tensor(expected), atol=1e-8, rtol=0
    )


# ---- what the feature map does -------------------------------------------------------------------


@pytest.mark.parametrize(("n_blocks", "depends_on_difference_alone"), [(1, True), (2, False)])
def test_one_encoding_sees_differences_alone_and_two_see_more(
    n_blocks: int, depends_on_difference_alone: bool
) -> None:
    circuit = kernel.feature_circuit(4, 2, n_blocks, seed=0)
    phases, shift = random_phases(0, 6, 4), random_phases(1, 1, 4)
    psi, shifted = kernel.states(circuit, phases), kernel.states(circuit, phases + shift)
    same = torch.allclose(kernel.fidelities(psi, psi), kernel.fidelities(shifted, shifted))
    assert same is depends_on_difference_alone


def test_the_last_interferometer_would_cancel() -> None:
    circuit, other = (kernel.feature_circuit(4, 2, 2, seed=0) for _ in range(2))
    phases = random_phases(0, 6, 4)
    other.angles[:, -1] = torch.randn(12, generator=torch.Generator().manual_seed(0))
    psi, turned = kernel.states(circuit, phases), kernel.states(other, phases)
    assert not torch.allclose(psi, turned)
    torch.testing.assert_close(kernel.fidelities(psi, psi), kernel.fidelities(turned, turned))
    torch.testing.assert_close(circuit.unitaries()[0, -1].abs(), torch.eye(4, dtype=torch.float64))


def test_without_alignment_phases_are_whitened_components_of_the_training_rows_alone() -> None:
    X, y = hidden_classes(0)
    fitted = Kernel(n_modes=3, bandwidth=0.4).fit(X, y)
    pipeline = make_pipeline(StandardScaler(), PCA(3, whiten=True)).fit(X)
    for rows in (X, hidden_classes(1)[0]):
        scaled = torch.from_numpy(pipeline[0].transform(rows))
        phases = (scaled @ fitted.projection_).abs().numpy()  # a component's sign is a convention
        np.testing.assert_allclose(phases, 0.4 * np.abs(pipeline.transform(rows)), atol=1e-8)


def test_modes_beyond_the_rank_of_the_rows_get_no_phase() -> None:
    X = np.random.default_rng(0).normal(size=(30, 2)) @ np.ones((2, 5)) * [1, 2, 3, 4, 0]
    fitted = Kernel(n_modes=4).fit(X, X[:, 0] > 0)
    assert (fitted.projection_ != 0).any(0).tolist() == [True, False, False, False]
    assert fitted.score(X, X[:, 0] > 0) > 0.8


# ---- alignment -----------------------------------------------------------------------------------


def test_alignment_is_one_for_the_ideal_kernel_and_that_of_its_definition_for_any() -> None:
    y = torch.tensor([0, 1, 2, 0, 1, 1])
    ideal = (y[:, None] == y).double()
    assert float(kernel.centred_alignment(3 * ideal + 1, y)) == pytest.approx(1)
    assert float(kernel.centred_alignment(torch.ones(6, 6).double(), y)) == pytest.approx(0)
    rng = np.random.default_rng(0)
    gram = rng.normal(size=(6, 6))
    gram = gram @ gram.T
    centring = np.eye(6) - 1 / 6
    one, other = centring @ gram @ centring, centring @ ideal.numpy() @ centring
    expected = (one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other)
    assert float(kernel.centred_alignment(torch.from_numpy(gram), y)) == pytest.approx(expected)


def test_alignment_finds_classes_that_principal_components_leave_out() -> None:
    X, y = hidden_classes(0)
    plain = Kernel(n_modes=4, bandwidth=0.3).fit(X, y)
    aligned = Kernel(n_modes=4, bandwidth=0.3, align=True, n_steps=80).fit(X, y)
    assert plain.alignment_ == []
    assert len(aligned.alignment_) == 81
    assert aligned.alignment_[-1] > aligned.alignment_[0] + 0.3
    test = hidden_classes(1, 200)
    assert aligned.score(*test) > plain.score(*test) + 0.1


def test_the_reported_alignment_is_that_of_the_kernel_in_use() -> None:
    X, y = three_classes()
    fitted = Kernel(align=True, n_steps=4).fit(X, y)
    indices = torch.from_numpy(np.unique(y, return_inverse=True)[1])
    used = kernel.centred_alignment(torch.from_numpy(fitted.kernel_matrix(X)), indices)
    assert float(used) == pytest.approx(fitted.alignment_[-1], abs=1e-12)


def test_an_alignment_of_no_steps_changes_nothing() -> None:
    X, y = three_classes()
    plain, aligned = Kernel().fit(X, y), Kernel(align=True, n_steps=0).fit(X, y)
    np.testing.assert_array_equal(plain.kernel_matrix(X), aligned.kernel_matrix(X))


def test_the_same_seed_gives_the_same_classifier_and_another_seed_another() -> None:
    X, y = three_classes()
    scores = [
        Kernel(align=True, n_steps=5, random_state=seed).fit(X, y).decision_function(X)
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert np.abs(scores[0] - scores[2]).max() > 1e-3


# ---- classifier ----------------------------------------------------------------------------------


@pytest.mark.parametrize("align", [False, True])
def test_three_classes_are_learnt(align: bool) -> None:
    X, y = three_classes()
    fitted = Kernel(n_modes=6, n_photons=2, bandwidth=0.5, align=align).fit(X, y)
    assert fitted.score(*three_classes(1)) > 0.85
    assert fitted.decision_function(X).shape == (60, 3)
    assert fitted.classes_.tolist() == ["x", "y", "z"]


def test_rows_are_scored_alike_in_one_block_and_in_many(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = three_classes()
    fitted = Kernel().fit(X, y)
    rows = three_classes(1, 30)[0]
    scores = fitted.decision_function(rows)
    monkeypatch.setattr(kernel, "BLOCK", 7)
    np.testing.assert_allclose(fitted.decision_function(rows), scores, atol=1e-12)
    assert fitted.predict(rows).shape == (30,)
    assert fitted.kernel_matrix(rows).shape == (30, 60)


def test_without_alignment_the_parameters_are_the_coefficients_of_the_svc() -> None:
    X, y = three_classes()
    fitted = Kernel().fit(X, y)
    counted = count_parameters(fitted)
    assert counted is not None
    assert counted.quantum == 0
    assert counted.classical == 2 * len(fitted.svc_.support_) + 3


@pytest.mark.parametrize(("n_modes", "n_photons", "n_blocks"), [(4, 2, 2), (3, 1, 1)])
def test_alignment_adds_the_projection_and_the_angles_before_the_last_encoding(
    n_modes: int, n_photons: int, n_blocks: int
) -> None:
    X, y = three_classes()
    fitted = Kernel(n_modes, n_photons, n_blocks, align=True, n_steps=2).fit(X, y)
    counted = count_parameters(fitted)
    assert counted is not None
    coefficients = 2 * len(fitted.svc_.support_) + 3
    assert counted.classical == coefficients + 6 * n_modes
    assert counted.quantum == n_blocks * n_modes * (n_modes - 1)
    assert counted.effective is not None
    assert counted.effective <= counted.classical + counted.quantum - counted.dead
    assert "projection" not in counted.dead_in


def test_one_photon_in_one_encoding_has_as_many_effective_angles_as_magnitudes() -> None:
    """The kernel is |sum_j p_j e^(i (x_j - y_j))|^2: m probabilities p of sum 1 are all it has."""
    X, y = three_classes()
    counted = count_parameters(Kernel(4, 1, 1, align=True, n_steps=1).fit(X, y))
    assert counted is not None
    assert counted.effective == counted.classical + 3


def test_the_cost_on_hardware_is_one_circuit_a_pair_and_more_for_alignment() -> None:
    X, y = three_classes()
    assert Kernel().fit(X, y).hardware_cost(60).circuits == 60 * 59 // 2
    aligned = Kernel(4, 2, 2, align=True, n_steps=3).fit(X, y)
    step = 1 + 4 * 2 * (2 * 12 + 2 * 4)
    assert aligned.hardware_cost(60).circuits == 60 * 59 // 2 * (1 + 3 * step)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"n_modes": 2, "n_photons": 3}, "n_photons=3"),
        ({"n_blocks": 0}, "n_blocks=0"),
        ({"n_steps": -1, "align": True}, "n_steps=-1; expected a whole number"),
    ],
)
def test_arguments_that_do_not_fit_are_named(params: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Kernel(**params).fit(*three_classes())


def test_the_kernel_of_two_rows_is_known_for_two_modes_and_one_photon() -> None:
    """After a balanced interferometer the fidelity is cos^2 of half the relative phase."""
    circuit = kernel.feature_circuit(2, 1, 1, seed=0)
    circuit.angles[:, 0] = torch.tensor([math.pi / 2, 0.0])
    x = torch.tensor([[0.0, 0.0], [1.3, 0.2]], dtype=torch.float64)
    psi = kernel.states(circuit, x)
    assert float(kernel.fidelities(psi, psi)[0, 1]) == pytest.approx(math.cos(1.1 / 2) ** 2)
