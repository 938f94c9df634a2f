"""How updates relate to gradients, and how often the global basin is reached."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qlmbench.optim.analysis import (
    against_gradient,
    block_scales,
    by_scale,
    cosines,
    drift,
    response_at_zero,
    sign_agreement,
    update_moments,
)
from qlmbench.optim.landscapes import LANDSCAPES, Landscape, hit_rates


def test_published_drift_is_a_quarter_for_every_circuit():
    for circuit in ("as-published", "no-cnot", "cnot-ring", "one-layer"):
        assert drift(3, circuit=circuit).tolist() == pytest.approx([0.25] * 3, abs=1e-12)


def test_first_order_response_is_three_times_as_large_for_qubit_zero():
    # Behind the CNOTs, Z of qubit i is the product of all Z up to it: only qubit 0 feels the
    # first rotation in first order, and all feel the second, of half the angle.
    slope = 0.75 * math.pi / 2
    expected = slope * torch.diag(torch.tensor([3.0, 1, 1, 1], dtype=torch.float64))
    corrected = response_at_zero(4, base="corrected")
    assert torch.allclose(corrected, expected, rtol=0, atol=1e-12)
    assert torch.allclose(response_at_zero(4), expected.flip(0), rtol=0, atol=1e-12)
    without = response_at_zero(4, base="corrected", circuit="no-cnot")
    assert torch.allclose(without, 3 * slope * torch.eye(4).double(), rtol=0, atol=1e-12)


@settings(max_examples=10)
@given(seed=st.integers(0, 100), factor=st.floats(0.01, 100))
def test_cosine_and_signs_of_multiples_are_perfect(seed, factor):
    gradients = torch.from_numpy(np.random.default_rng(seed).standard_normal((4, 5)))
    assert torch.allclose(cosines(factor * gradients, gradients), torch.ones(4).double())
    assert torch.equal(sign_agreement(factor * gradients, gradients), torch.ones(4))
    assert torch.allclose(cosines(-gradients, gradients), -torch.ones(4).double())
    assert not sign_agreement(-gradients, gradients).any()


def test_zeros_do_not_count_among_signs():
    gradients = torch.tensor([[0.0, 1, 1], [0, 0, 0]])
    updates = torch.tensor([[1.0, 1, 0], [1, 1, 1]])
    assert sign_agreement(updates, gradients)[0] == 0.5
    assert sign_agreement(updates, gradients)[1].isnan()
    assert cosines(updates, gradients)[1].isnan()


def test_small_gradients_leave_a_drift_as_published_and_noise_when_corrected():
    published = by_scale([1e-3], gradients=200).iloc[0]
    assert published["drift"] == pytest.approx(0.25)
    assert published["constant_share"] > 0.98
    assert abs(published["exact_cosine"]) < 0.1
    corrected = by_scale([1e-3], base="corrected", gradients=200).iloc[0]
    assert corrected["shot_share"] > 0.98
    assert corrected["exact_cosine"] > 0.8
    assert abs(corrected["cosine"]) < 0.1
    assert corrected["exact_sign_agreement"] == 1


def test_parts_of_the_mean_square_sum_to_one_and_shots_lower_the_noise():
    frame = by_scale([0.1, 1.0], gradients=50)
    parts = frame[["constant_share", "signal_share", "shot_share"]]
    assert np.allclose(parts.sum(axis=1), 1)
    more = by_scale([0.1, 1.0], gradients=50, shots=100_000)
    assert (more["shot_share"] < frame["shot_share"]).all()


def test_without_cnot_small_corrected_updates_point_along_the_gradient():
    frame = by_scale([0.01], base="corrected", circuit="no-cnot", gradients=50)
    assert frame["exact_cosine"][0] == pytest.approx(1, abs=1e-6)


def test_same_seed_gives_the_same_analysis():
    assert by_scale([0.3], gradients=20).equals(by_scale([0.3], gradients=20))
    assert not by_scale([0.3], gradients=20).equals(by_scale([0.3], gradients=20, seed=1))


def test_block_scales_compare_each_block_with_the_whole_tensor():
    gradient = torch.tensor([[0.1, -0.2, 0.0], [0.0, 0.4, -4.0], [1.0, 0.0, 0.0]])
    assert block_scales(gradient, 3).tolist() == pytest.approx([0.05, 1.0, 0.25])
    assert block_scales(gradient, 3, "first").tolist() == pytest.approx([0.05])


def test_real_gradient_is_compared_over_the_weights_that_are_updated():
    gradient = torch.from_numpy(np.random.default_rng(0).standard_normal((8, 9)))
    published = against_gradient(gradient)
    assert published["weights"] == 5
    assert published["scale"] == block_scales(gradient, 5, "first").item()
    corrected = against_gradient(gradient, base="corrected", circuit="no-cnot")
    assert corrected["weights"] == 72
    assert corrected["scale"] == 1
    # Without CNOT the mean is a sine of each entry.
    sines = torch.sin(1.5 * math.pi * gradient / gradient.abs().max()).view(1, -1)
    flat = gradient.view(1, -1)
    assert corrected["exact_cosine"] == pytest.approx(cosines(sines, flat).item(), abs=1e-12)
    assert corrected["exact_sign_agreement"] == sign_agreement(sines, flat).item()
    noisy = against_gradient(gradient, base="corrected", shots=1)
    assert noisy["shot_share"] > 100 * corrected["shot_share"]
    assert noisy == against_gradient(gradient, base="corrected", shots=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: by_scale([0.0]), "above 0"),
        (lambda: by_scale([0.5], gradients=0), "gradients=0"),
        (lambda: by_scale([0.5], shots=0), "shots=0"),
        (lambda: by_scale([0.5], base="other"), "base='other'"),
        (lambda: update_moments(torch.zeros(3)), "expected \\[B, n\\]"),
        (lambda: update_moments(torch.full((1, 3), 2.0)), "outside"),
        (lambda: update_moments(torch.full((1, 3), math.nan)), "outside"),
        (lambda: against_gradient(torch.zeros(9)), "above 0"),
        (lambda: block_scales(torch.zeros(9)), "above 0"),
        (lambda: block_scales(torch.full((9,), math.nan)), "finite"),
        (lambda: block_scales(torch.ones(3)), "3 weights for 5 qubits"),
        (lambda: hit_rates("alps", {}), "landscape='alps'"),
        (lambda: hit_rates("rastrigin", {}, starts=0), "starts=0"),
    ],
)
def test_mistakes_are_one_clear_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


# ---- landscapes ------------------------------------------------------------------------------


def slopes(function, x):
    x = torch.tensor([x], dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(function(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    return first.item(), second.item()


@pytest.mark.parametrize("name", sorted(LANDSCAPES))
def test_basins_end_at_maxima_and_hold_the_lowest_point(name):
    landscape = LANDSCAPES[name]
    for axis, function in enumerate((landscape.first, landscape.second)):
        for side in landscape.basin[axis]:
            if math.isfinite(side):
                first, second = slopes(function, side)
                assert abs(first) < 1e-8
                assert second < 0
        first, second = slopes(function, landscape.minimum[axis])
        assert abs(first) < 1e-8
        assert second > 0
    lowest = torch.tensor([landscape.minimum], dtype=torch.float64)
    assert landscape.in_basin(lowest).all()
    points = landscape.starts(20_000, np.random.default_rng(0))
    assert (landscape.value(points) >= landscape.value(lowest)).all()


@pytest.mark.parametrize("name", sorted(LANDSCAPES))
def test_gradient_descent_stays_in_the_basin_where_it_starts(name):
    arms = {
        "descent": {
            "rule": "none",
            "base": "as-published",
            "inner": torch.optim.SGD,
            "lr": 1e-3,
        }
    }
    row = hit_rates(name, arms, starts=50, steps=100).iloc[0]
    assert (row["entered"], row["left"]) == (0, 0)
    assert row["hits"] == row["at_start"]


def test_drift_crosses_a_barrier_one_way_and_not_in_the_mirror():
    arms = {"drift": {"rule": "drift", "lr": 1e-9, "quantum_lr": 0.1}}
    there, back = (
        hit_rates(name, arms, starts=40, steps=200).iloc[0]
        for name in ("tilted-well", "tilted-well-mirrored")
    )
    assert there["hits"] == there["starts"] > there["at_start"]
    assert back["hits"] == 0 < back["at_start"]


def test_mirror_image_has_the_same_values_and_basins():
    landscape, image = (LANDSCAPES[f"styblinski-tang{end}"] for end in ("", "-mirrored"))
    points = landscape.starts(100, np.random.default_rng(0))
    assert torch.allclose(image.value(-points), landscape.value(points), rtol=0, atol=1e-10)
    assert torch.equal(image.in_basin(-points), landscape.in_basin(points))


def test_the_published_update_drifts_over_a_low_barrier():
    # Weights fall by a quarter of the learning rate a step on average: a well to the left of a
    # flat barrier is reached by the drift alone.
    flat = Landscape(
        lambda x: 1e-3 * torch.cos(math.pi * x) + 1e-3 * x,
        lambda y: y.square() / 2,
        minimum=(-1.0, 0.0),
        basin=((-2.0, 0.0), (-math.inf, math.inf)),
        box=((0.05, 0.15), (-0.1, 0.1)),
    )
    arms = {name: {"rule": name, "base": "as-published", "lr": 1e-9} for name in ("none", "drift")}
    frame = hit_rates(flat, arms, starts=20, steps=100).set_index("arm")
    assert frame.loc["none", "hit_rate"] == 0
    assert frame.loc["drift", "hit_rate"] == 1
    assert (frame["at_start"] == 0).all()
    assert frame.loc["drift", "entered"] == 20


def test_every_start_is_a_run_of_its_own():
    arms = {"gaussian": {"rule": "sgld", "temperature": 0.0}, "none": {"rule": "none"}}
    many = hit_rates("tilted-well", arms, starts=30, steps=20)
    assert many["starts"].tolist() == [30, 30]
    assert many.equals(hit_rates("tilted-well", arms, starts=30, steps=20))
    assert many["value"][0] < many["value"][1]


def test_smaller_angles_descend_where_published_angles_climb():
    arms = {
        "pi": {"rule": "corrected", "quantum_lr": 0.03},
        "a third": {"rule": "corrected", "quantum_lr": 0.03, "angle_scale": math.pi / 3},
    }
    value = hit_rates("tilted-well", arms, starts=40, steps=200).set_index("arm")["value"]
    assert value["a third"] < -0.1 < value["pi"]
