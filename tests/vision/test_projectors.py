"""Stacks of projections, and the controls of the quantum one."""

import pytest
import torch

from qlmbench.vision.projection import QuantumProjection
from qlmbench.vision.projectors import ClassicalProjection, StackedProjector


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def stack(kind, seeds, gate=False, width=7, shots=None):
    return StackedProjector(
        kind,
        9,
        width,
        n_qubits=3,
        n_layers=2,
        gate=gate,
        shots=shots,
        seeds=seeds,
        scales=[1.0] * len(seeds),
        dtype=torch.float64,
    )


@pytest.mark.parametrize("ansatz", ["published", "noncommuting"])
def test_a_stack_holds_the_projections_of_its_seeds(ansatz):
    features = normal(2, 4, 9)
    tokens = stack(ansatz, [5, 6])(features)
    for r, seed in enumerate((5, 6)):
        alone = QuantumProjection(9, 7, 3, 2, ansatz, seed=seed).double()
        torch.testing.assert_close(tokens[r], alone(features[r]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["linear", "tanh", "cosine", "full", "zero"])
def test_a_classical_control_is_the_copy_of_its_stack(kind):
    features = normal(4, 9)
    alone = ClassicalProjection(kind, 9, 7, width=3, seed=5).double()
    tokens = stack(kind, [5])(features[None])[0]
    torch.testing.assert_close(alone(features), tokens, rtol=0, atol=1e-6)
    assert alone(features.half()).shape == (4, 7)


@pytest.mark.parametrize(
    ("kind", "function"),
    [("linear", lambda x: x), ("tanh", torch.tanh), ("cosine", None)],
)
def test_controls_put_a_function_in_the_place_of_the_circuit(kind, function):
    features = normal(1, 4, 9)
    quantum, control = stack("published", [5]), stack(kind, [5])
    if kind == "cosine":
        middle = (quantum.reduce(features) + control.phases).cos()
        assert ((control.phases >= 0) & (control.phases < 2 * torch.pi)).all()
    else:
        middle = function(quantum.reduce(features))
    expected = control.expand(middle)
    torch.testing.assert_close(control(features), expected, rtol=0, atol=0)


def trained(projector):
    return sum(p.numel() for p in projector.parameters() if p.requires_grad)


def test_what_is_frozen_is_not_trained():
    ends = 9 * 3 + 3 + 3 * 7 + 7
    assert trained(stack("published", [0])) == ends + 6
    assert trained(stack("frozen-circuit", [0])) == trained(stack("linear", [0])) == ends
    assert trained(stack("frozen", [0])) == trained(stack("zero", [0])) == 0
    assert trained(stack("full", [0])) == 10 * 512 + 513 * 7
    assert trained(stack("published", [0], gate=True)) == 10 * 512 + 513 * 3 + 6 + 4 * 7


def test_a_zero_token_sees_no_image():
    assert not stack("zero", [0])(normal(1, 4, 9)).any()


def test_a_quantum_kind_is_no_classical_projection():
    with pytest.raises(ValueError, match="QuantumProjection"):
        ClassicalProjection("published", 9, 7)
    with pytest.raises(ValueError, match="narrow middle"):
        ClassicalProjection("full", 9, 7, gate=True)
    with pytest.raises(ValueError, match="expected one of"):
        ClassicalProjection("other", 9, 7)
