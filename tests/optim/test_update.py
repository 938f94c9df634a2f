"""Update rules on blocks of weights: the two bases, and controls that differ in one thing."""

import math

import numpy as np
import pytest
import torch
from qiskit_aer import AerSimulator

from qlmbench.optim.analysis import update_moments
from qlmbench.optim.blocks import from_blocks, largest_magnitudes, shuffled, to_blocks
from qlmbench.optim.rules import RULES
from qlmbench.optim.update import BlockUpdate

FRACTIONS = torch.tensor([[0.2, -0.1, 0.3]], dtype=torch.float64)
ONE = torch.ones(1, 1, dtype=torch.float64)
COPIES = 3000


def rng(seed=0):
    return np.random.default_rng(seed)


def drawn(update, fractions=FRACTIONS, rate=1.0, copies=COPIES):
    return update(fractions.expand(copies, -1), ONE.expand(copies, 1), rate, rng())


@pytest.mark.parametrize("base", ["as-published", "corrected"])
@pytest.mark.parametrize("rule", ["measured", "pseudo-random", "gaussian", "no-cnot"])
def test_mean_and_covariance_are_the_exact_ones(rule, base):
    update = BlockUpdate(base if rule == "measured" else rule, base=base, n_qubits=3, shots=20)
    circuit = "no-cnot" if rule == "no-cnot" else "as-published"
    exact = update_moments(FRACTIONS, base=base, circuit=circuit, shots=20)
    found = drawn(update)
    sigma = exact.covariance[0].diagonal().sqrt()
    assert ((found.mean(0) - exact.mean[0]).abs() < 5 * sigma / math.sqrt(COPIES)).all()
    tolerance = 0.1 * float(exact.covariance.abs().max())
    assert torch.allclose(torch.cov(found.T), exact.covariance[0], rtol=0, atol=tolerance)


def test_corrected_update_has_no_mean_where_the_published_one_drifts():
    zero, exact = torch.zeros(1, 3).double(), update_moments
    assert exact(zero).mean[0].tolist() == pytest.approx([0.25] * 3, abs=1e-12)
    assert exact(zero, base="corrected").mean[0].tolist() == pytest.approx([0] * 3, abs=1e-12)


def test_zero_gradient_is_guarded_as_published_and_no_update_when_corrected():
    zero = torch.zeros(2, 3).double()
    nothing = zero[:, :1]
    published = BlockUpdate("as-published", n_qubits=3, shots=10)(zero, nothing, 1.0, rng())
    assert (published != 0).any()
    corrected = BlockUpdate("corrected", n_qubits=3, shots=10)
    assert not corrected(zero, nothing, 1.0, rng()).any()
    assert corrected.circuits == {}


def test_zero_blocks_among_others_stay_where_they_are():
    gradients = torch.tensor([[0.0, 0, 0], [0.3, 0.1, 0]]).double()
    update = BlockUpdate("corrected", n_qubits=3)
    found = update(gradients, gradients.abs().amax(1, keepdim=True), 1.0, rng())
    assert not found[0].any()
    assert found[1].any()
    assert update.circuits == {"local simulator": 1}


def test_update_depends_on_the_direction_of_the_gradient_alone():
    update = BlockUpdate("corrected", n_qubits=3)
    assert torch.equal(
        update(FRACTIONS, ONE, 1.0, rng()), update(8 * FRACTIONS, 8 * ONE, 1.0, rng())
    )


def test_update_is_proportional_to_the_rate():
    for rule in ("as-published", "corrected", "gaussian", "drift"):
        update = BlockUpdate(rule, n_qubits=3)
        whole = update(FRACTIONS, ONE, 1.0, rng())
        assert torch.allclose(update(FRACTIONS, ONE, 0.25, rng()), whole / 4, rtol=0, atol=1e-15)


def test_drift_is_the_mean_at_zero_whatever_the_gradient():
    found = BlockUpdate("drift", n_qubits=3)(FRACTIONS, ONE, 0.01, rng())
    assert found[0].tolist() == pytest.approx([0.0025] * 3, abs=1e-12)


def test_none_changes_nothing():
    assert not BlockUpdate("none", n_qubits=3)(FRACTIONS, ONE, 1.0, rng()).any()


def test_langevin_noise_is_as_large_as_the_shot_noise_at_zero():
    shot = update_moments(torch.zeros(1, 3).double(), shots=50).covariance[0, 0, 0].sqrt()
    found = drawn(BlockUpdate("noisy-adamw", n_qubits=3, shots=50))
    assert found.std() == pytest.approx(float(shot), rel=0.05)
    assert found.mean() == pytest.approx(0, abs=5 * float(shot) / math.sqrt(found.numel()))


def test_langevin_temperature_sets_the_variance():
    found = drawn(BlockUpdate("sgld", n_qubits=3, temperature=0.5), rate=0.1)
    assert found.std(0).tolist() == pytest.approx([math.sqrt(0.1)] * 3, rel=0.06)
    cold = BlockUpdate("sgld", n_qubits=3, temperature=0)(FRACTIONS, ONE, 0.1, rng())
    assert torch.allclose(cold, 0.1 * FRACTIONS)


def test_smaller_angles_keep_the_update_rising_with_the_gradient():
    fractions = torch.linspace(-1, 1, 41).double().view(-1, 1)
    largest = torch.ones_like(fractions)
    kept, published = (
        BlockUpdate("no-cnot", n_qubits=1, shots=10**8, angle_scale=scale)(
            fractions, largest, 1.0, rng()
        )
        for scale in (math.pi / 3, math.pi)
    )
    assert (kept.diff(dim=0) > -1e-3).all()
    assert published[-1] < published[20]


@pytest.mark.parametrize("rule", sorted(RULES))
def test_same_seed_gives_the_same_update(rule):
    update = BlockUpdate(rule, n_qubits=3)
    assert torch.equal(update(FRACTIONS, ONE, 1.0, rng(5)), update(FRACTIONS, ONE, 1.0, rng(5)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "corected"}, "did you mean 'corrected'"),
        ({"rule": "none", "base": "published"}, "base='published'"),
        ({"rule": "as-published", "base": "corrected"}, "the only one it has"),
        ({"rule": "drift", "base": "corrected"}, "the only one it has"),
        ({"rule": "no-cnot", "circuit": "cnot-ring"}, "names its circuit"),
        ({"rule": "none", "shots": 0}, "shots=0"),
        ({"rule": "none", "temperature": -1.0}, "temperature=-1.0"),
        ({"rule": "none", "angle_scale": 0.0}, "angle_scale=0.0"),
        ({"rule": "gaussian", "backend": AerSimulator()}, "measures no circuit"),
        ({"rule": "corrected", "backend": object()}, "BackendV2 or SamplerV2"),
    ],
)
def test_mistakes_are_one_clear_line(options, message):
    with pytest.raises(ValueError, match=message) as error:
        BlockUpdate(**options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("gradients", "largest", "message"),
    [
        ([[0.1, 0.2]], [[1.0]], "expected \\[B, 3\\]"),
        ([[0.1, 0.2, 0.3]], [1.0], "expected \\[B, 3\\]"),
        ([[0.1, float("nan"), 0.3]], [[1.0]], "NaN"),
        ([[0.1, 0.2, 2.0]], [[1.0]], "bound the row"),
    ],
)
def test_wrong_gradients_are_refused(gradients, largest, message):
    update = BlockUpdate("corrected", n_qubits=3)
    with pytest.raises(ValueError, match=message):
        update(torch.tensor(gradients), torch.tensor(largest), 1.0, rng())


def test_blocks_cover_every_weight_once_and_come_back():
    flat = torch.arange(1.0, 12)
    blocks = to_blocks(flat, 4, "all")
    assert blocks.shape == (3, 4)
    assert torch.equal(from_blocks(blocks, 11), flat)
    assert from_blocks(to_blocks(flat, 4, "first"), 11).tolist() == [1, 2, 3, 4] + [0] * 7
    assert largest_magnitudes(-flat, -blocks, "tensor").flatten().tolist() == [11, 11, 11]
    assert largest_magnitudes(-flat, -blocks, "block").flatten().tolist() == [4, 8, 11]
    with pytest.raises(ValueError, match="3 weights for 4 qubits"):
        to_blocks(flat[:3], 4, "all")


def test_shuffle_keeps_the_entries_and_block_shuffle_keeps_the_blocks():
    flat = torch.arange(11.0)
    whole = shuffled(flat, 4, "tensor", rng())
    assert whole.tolist() != flat.tolist()
    assert torch.equal(whole.sort().values, flat)
    within = shuffled(flat, 4, "block", rng())
    assert within.tolist() != flat.tolist()
    for first in (0, 4, 8):
        assert torch.equal(within[first : first + 4].sort().values, flat[first : first + 4])


def test_a_scaled_gradient_has_the_direction_of_the_gradient_and_the_size_of_the_circuits_update():
    gradients = torch.from_numpy(rng(3).standard_normal((200, 5)))
    largest = gradients.abs().max().expand(200, 1)
    sides = [BlockUpdate(rule, base="corrected") for rule in ("corrected", "scaled-gradient")]
    measured, scaled = (update(gradients, largest, 0.01, rng()) for update in sides)
    ratio = scaled / gradients
    assert torch.allclose(ratio, ratio[:1, :1].expand_as(ratio))
    assert float(ratio[0, 0]) > 0
    sizes = [float(values.square().mean().sqrt()) for values in (measured, scaled)]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.02)
