"""The torch optimiser: what it updates, how it resumes, and what it says of itself."""

import copy
import io
import json
import pickle

import pytest
import torch
from qiskit.primitives import StatevectorSampler
from qiskit.providers.basic_provider import BasicSimulator
from qiskit_aer import AerSimulator
from torch import nn

from qlmbench.optim.optimizer import QuantumGradientOptimizer
from qlmbench.optim.rules import RULES

CHOSEN = r"^0\.weight$"


def model():
    torch_state = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(generator=torch_state)
    return net


def backward(net, seed=0):
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed))
    net.zero_grad()
    loss = net(x).square().sum()
    loss.backward()
    return loss


def optimizer(net, chosen=CHOSEN, **options):
    return QuantumGradientOptimizer(net.named_parameters(), chosen, **{"lr": 1e-2, **options})


def train(net, opt, steps, first=0):
    for step in range(first, first + steps):
        backward(net, step)
        opt.step()


def changes(net, opt):
    before = [p.detach().clone() for p in net.parameters()]
    backward(net)
    opt.step()
    return [p.detach() - b for p, b in zip(net.parameters(), before, strict=True)]


def only_inner(**options):
    net = model()
    return changes(net, torch.optim.AdamW(net.parameters(), lr=1e-2, **options))


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# ---- which weights ----------------------------------------------------------------------


def test_other_weights_move_as_the_inner_optimiser_moves_them():
    for rule in RULES:
        net = model()
        found = changes(net, optimizer(net, rule=rule))
        assert same(found[1:], only_inner()[1:]), rule


def test_corrected_leaves_chosen_weights_out_of_the_inner_optimiser_and_moves_all():
    net = model()
    opt = optimizer(net, rule="corrected", quantum_lr=1.0, shots=7)
    moved = changes(net, opt)[0]
    # Factors of 7 shots: 0.75 (2 k - 7) / 7.
    steps = (moved / 0.75 * 7 + 7) / 2
    assert torch.allclose(steps, steps.round(), rtol=0, atol=1e-4)
    assert not opt.state[net[0].weight]
    assert opt.state[net[0].bias]


def test_as_published_shares_chosen_weights_and_moves_the_first_five_further():
    net = model()
    found = changes(net, optimizer(net, rule="as-published", quantum_lr=0.1))[0].flatten()
    inner = only_inner()[0].flatten()
    assert (found[:5] != inner[:5]).all()
    assert torch.equal(found[5:], inner[5:])


def test_published_drift_is_known_to_the_digit():
    net = model()
    found = changes(net, optimizer(net, rule="drift", inner_options={"weight_decay": 0}))[0]
    further = (found - only_inner(weight_decay=0)[0]).flatten()
    assert further[:5].tolist() == pytest.approx([-0.0025] * 5, abs=1e-7)


def test_none_is_the_inner_optimiser_alone_or_frozen_weights():
    net = model()
    assert same(changes(net, optimizer(net, rule="none")), only_inner())
    net = model()
    assert not changes(net, optimizer(net, rule="none", base="corrected"))[0].any()


def test_noisy_inner_optimiser_keeps_the_chosen_weights_in_either_base():
    for base in ("as-published", "corrected"):
        net = model()
        options = {"rule": "noisy-adamw", "base": base, "temperature": 0.0}
        assert same(changes(net, optimizer(net, **options)), only_inner()), base


def test_coverage_can_be_set_apart_from_the_base():
    net = model()
    found = changes(net, optimizer(net, rule="drift", coverage="all"))[0]
    assert torch.allclose(found - only_inner()[0], torch.full((4, 3), -0.0025), atol=1e-6)
    net = model()
    first = changes(net, optimizer(net, rule="corrected", coverage="first"))[0].flatten()
    assert first[:5].any()
    assert not first[5:].any()


def test_groups_keep_their_options_and_split_at_the_chosen_weights():
    net = model()
    groups = [
        {"params": [(n, p) for n, p in net.named_parameters() if "weight" in n], "weight_decay": 0},
        {"params": [(n, p) for n, p in net.named_parameters() if "bias" in n], "lr": 0.5},
    ]
    opt = QuantumGradientOptimizer(groups, CHOSEN, rule="corrected", quantum_lr=0.2)
    kept = [(g["param_names"], g["lr"], g["weight_decay"]) for g in opt.inner.param_groups]
    assert kept == [(["2.weight"], 5e-5, 0), (["0.bias", "2.bias"], 0.5, 0.01)]
    assert [(g["param_names"], g["lr"]) for g in opt.param_groups][1] == (["0.weight"], 0.2)


def test_weights_added_later_are_chosen_by_the_same_expression():
    net, more = model(), nn.Linear(3, 3)
    opt = QuantumGradientOptimizer(net.named_parameters(), "weight$", lr=1e-2)
    opt.add_param_group({"params": [(f"more.{n}", p) for n, p in more.named_parameters()]})
    (net[0].weight.sum() + more(torch.ones(1, 3)).sum()).backward()
    before = [p.detach().clone() for p in more.parameters()]
    opt.step()
    assert all((p != b).any() for p, b in zip(more.parameters(), before, strict=True))
    assert opt.state[more.bias]
    assert not opt.state[more.weight]


def test_weights_can_all_be_chosen():
    net = nn.Linear(3, 2, bias=False)
    opt = QuantumGradientOptimizer(net.named_parameters(), "weight")
    net(torch.ones(1, 3)).sum().backward()
    opt.step()
    assert opt.inner is None
    opt.load_state_dict(opt.state_dict())


def test_any_inner_optimiser_can_be_taken():
    net = model()
    opt = optimizer(net, inner=torch.optim.SGD, inner_options={"momentum": 0.9})
    before, _ = net[2].bias.detach().clone(), backward(net)
    opt.step()
    assert torch.allclose(net[2].bias, before - 1e-2 * net[2].bias.grad)


def test_weights_without_gradient_are_left_alone():
    net = model()
    before = net[0].weight.detach().clone()
    optimizer(net).step()
    assert torch.equal(net[0].weight, before)


# ---- as torch's other optimisers -------------------------------------------------------------


def test_closure_computes_the_loss_with_gradients():
    net, other = model(), model()
    opt = optimizer(net)
    loss = opt.step(lambda: backward(net))
    other_opt = optimizer(other)
    assert loss == backward(other)
    other_opt.step()
    assert same(net.parameters(), other.parameters())


def test_scheduler_scales_the_corrected_update_and_not_the_published_one():
    rates = {}
    for rule in ("corrected", "as-published"):
        net = model()
        opt = optimizer(net, rule=rule, quantum_lr=0.1)
        scheduler = torch.optim.lr_scheduler.LambdaLR(opt, lambda step: 1 - step / 4)
        for _ in range(2):
            opt.step()
            scheduler.step()
        chosen = next(g for g in opt.param_groups if g["param_names"] == ["0.weight"])
        rates[rule] = opt._rate(chosen)
        assert opt.inner.param_groups[0]["lr"] == pytest.approx(5e-3)
    assert rates == {"corrected": pytest.approx(0.05), "as-published": 0.1}


def test_warmup_from_zero_starts_with_no_update():
    net = model()
    opt = optimizer(net)
    torch.optim.lr_scheduler.LambdaLR(opt, lambda step: step / 4)
    assert not any(change.any() for change in changes(net, opt))


def test_clipping_the_norm_leaves_the_measured_update_as_it_is():
    found = []
    for clip in (False, True):
        net = model()
        opt = optimizer(net)
        backward(net)
        if clip:
            # A power of two, for the same digits.
            for parameter in net.parameters():
                parameter.grad.mul_(2.0**-6)
        opt.step()
        found.append(net[0].weight.detach().clone())
    assert torch.equal(*found)
    net = model()
    backward(net)
    nn.utils.clip_grad_norm_(net.parameters(), 0.1)
    optimizer(net).step()


@pytest.mark.parametrize("rule", ["as-published", "corrected", "gaussian", "shuffled", "sgld"])
def test_resumed_run_goes_on_bit_for_bit(rule):
    straight, stopped = model(), model()
    opt = optimizer(straight, rule=rule)
    train(straight, opt, 6)
    first = optimizer(stopped, rule=rule)
    train(stopped, first, 3)
    saved = io.BytesIO()
    torch.save(first.state_dict(), saved)
    saved.seek(0)
    resumed = optimizer(stopped, rule=rule, seed=99)
    resumed.load_state_dict(torch.load(saved, weights_only=True))
    train(stopped, resumed, 3, first=3)
    assert same(straight.parameters(), stopped.parameters())
    assert resumed.provenance() == opt.provenance()


def test_same_seed_gives_the_same_run_and_another_seed_another():
    runs = []
    for seed in (4, 4, 5):
        net = model()
        train(net, optimizer(net, seed=seed), 2)
        runs.append([p.detach() for p in net.parameters()])
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_pseudo_random_bits_are_others_than_the_measured_ones():
    runs = []
    for rule in ("as-published", "pseudo-random"):
        net = model()
        runs.append(changes(net, optimizer(net, rule=rule))[0])
    assert (runs[0] != runs[1]).any()


def test_state_of_other_options_is_refused():
    state = optimizer(model()).state_dict()
    with pytest.raises(ValueError, match="rule='corrected'"):
        optimizer(model(), rule="as-published").load_state_dict(state)
    with pytest.raises(ValueError, match="shots=1000"):
        optimizer(model(), shots=10).load_state_dict(state)
    with pytest.raises(ValueError, match=r"0\.weight were chosen"):
        optimizer(model(), r"^2\.weight$").load_state_dict(state)
    with pytest.raises(ValueError, match="another optimiser"):
        optimizer(model()).load_state_dict(torch.optim.AdamW(model().parameters()).state_dict())


# ---- what ran -------------------------------------------------------------------------------


def test_provenance_counts_what_each_sampler_ran():
    net = model()
    opt = optimizer(net)
    assert opt.provenance()["circuits"] == {}
    train(net, opt, 2)
    assert opt.provenance()["circuits"] == {"local simulator": 6}
    assert json.loads(json.dumps(opt.provenance())) == opt.provenance()
    elsewhere = optimizer(net, backend=BasicSimulator(), shots=1000)
    elsewhere.load_state_dict(opt.state_dict())
    train(net, elsewhere, 1)
    assert elsewhere.provenance()["circuits"] == {
        "local simulator": 6,
        "Qiskit backend qiskit.BasicSimulator (basic_simulator)": 3,
    }


def test_rules_that_measure_nothing_count_no_circuits():
    for rule in ("none", "drift", "gaussian", "pseudo-random", "sgld", "noisy-adamw"):
        net = model()
        opt = optimizer(net, rule=rule)
        train(net, opt, 1)
        assert opt.provenance()["circuits"] == {}, rule


def test_primitive_that_is_given_runs_the_circuits():
    net = model()
    opt = optimizer(net, backend=StatevectorSampler(seed=0))
    train(net, opt, 1)
    label = "Qiskit primitive qiskit.StatevectorSampler"
    assert opt.provenance()["circuits"] == {label: 3}


def test_simulator_with_seeds_repeats_a_run():
    runs = []
    for seed in (1, 1, 2):
        net = model()
        train(net, optimizer(net, backend=AerSimulator(), seed=seed), 2)
        runs.append([p.detach() for p in net.parameters()])
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_backend_moves_the_weights_as_the_local_simulator_does():
    moved = []
    for backend in (None, AerSimulator()):
        net = model()
        moved.append(changes(net, optimizer(net, backend=backend, shots=20_000))[0])
    assert torch.allclose(*moved, rtol=0, atol=0.01 * 5 * 0.75 * 2**0.5 / 20_000**0.5)


class Secretive(AerSimulator):
    """A backend that was set up with a token."""

    token = "s3cret-t0ken"

    def __repr__(self):
        return f"Secretive({self.token})"


def test_no_credentials_leave_the_optimiser():
    net = model()
    opt = optimizer(net, backend=Secretive())
    train(net, opt, 1)
    saved = io.BytesIO()
    torch.save(opt.state_dict(), saved)
    texts = [repr(opt), str(opt.provenance()), str(opt.state_dict()), str(saved.getvalue())]
    assert not any(Secretive.token in text for text in texts)
    for store in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="state_dict"):
            store(opt)


# ---- mistakes -------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_gradient_that_is_not_finite_is_refused_and_moves_nothing(value):
    net = model()
    opt = optimizer(net)
    backward(net)
    before = [p.detach().clone() for p in net.parameters()]
    net[0].weight.grad[1, 1] = value
    with pytest.raises(ValueError, match=r"gradient of 0\.weight with NaN or infinity"):
        opt.step()
    assert same(before, net.parameters())


def test_zero_gradient_moves_nothing_when_corrected_and_drifts_as_published():
    for rule, moved in (("corrected", False), ("as-published", True)):
        net = model()
        opt = optimizer(net, rule=rule, inner_options={"weight_decay": 0})
        for parameter in net.parameters():
            parameter.grad = torch.zeros_like(parameter)
        before = net[0].weight.detach().clone()
        opt.step()
        assert (net[0].weight != before).any() == moved


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chosen": "nothing"}, "matches no trainable weight of 4"),
        ({"chosen": "("}, "expected a regular expression"),
        ({"chosen": r"2\.bias"}, r"2\.bias with 2 weights for 5 qubits"),
        ({"shots": 0}, "shots=0"),
        ({"n_qubits": 0}, "n_qubits=0"),
        ({"rule": "quantum"}, "rule='quantum'"),
        ({"coverage": "some"}, "coverage='some'"),
        ({"normalise": "row"}, "normalise='row'"),
        ({"quantum_lr": 0.0}, "quantum_lr=0.0"),
        ({"lr": float("nan")}, "lr=nan"),
        ({"circuit": "ring"}, "circuit='ring'"),
    ],
)
def test_mistakes_are_one_clear_line(options, message):
    with pytest.raises(ValueError, match=message) as error:
        optimizer(model(), **options)
    assert "\n" not in str(error.value)


def test_frozen_weights_are_not_chosen():
    net = model()
    net[0].weight.requires_grad_(False)
    with pytest.raises(ValueError, match="matches no trainable weight"):
        optimizer(net)


def test_weights_without_names_are_refused():
    with pytest.raises(ValueError, match="named_parameters"):
        QuantumGradientOptimizer(model().parameters(), CHOSEN)


def test_sparse_gradient_is_refused():
    table = nn.Embedding(4, 3, sparse=True)
    opt = QuantumGradientOptimizer(table.named_parameters(), "weight")
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(ValueError, match="sparse"):
        opt.step()
