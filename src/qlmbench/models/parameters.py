"""How many parameters a head has, how many of them can do anything, and which do nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from sklearn.base import clone
from torch import Tensor, nn

from qlmbench.models.stacked import StackedClassifier
from qlmbench.quantum.merlin_backend import MerlinCircuit
from qlmbench.quantum.photonic import PhotonicCircuit
from qlmbench.quantum.qubits import QubitCircuit
from qlmbench.records import Parameters
from qlmbench.seeding import seed_for

CIRCUITS = (PhotonicCircuit, MerlinCircuit, QubitCircuit)
N_POINTS = 256
"""Random inputs at which it is looked whether a parameter matters."""

_AUDITED: dict[tuple[type, str, int, int], Parameters] = {}


def count_parameters(estimator: Any) -> Parameters | None:
    """Count the parameters of a fitted classifier.

    Parameters
    ----------
    estimator : classifier
        One of our heads; an estimator that counts itself, by a method ``count_parameters()``; or a
        scikit-learn classifier. For a linear model these are its coefficients, for a kernel
        machine the dual coefficients of its support vectors.

    Returns
    -------
    Parameters or None
        None where the notion does not apply.
    """
    if hasattr(estimator, "count_parameters"):
        counted: Parameters = estimator.count_parameters()
        return counted
    if isinstance(estimator, StackedClassifier):
        n_classes = len(estimator.classes_)
        key = (type(estimator), estimator.structure(), estimator.n_features_in_, n_classes)
        if key not in _AUDITED:
            _AUDITED[key] = audit(_drawn_anew(estimator), estimator.n_features_in_)
        return _AUDITED[key]
    if getattr(estimator, "kernel", "linear") == "linear" and hasattr(estimator, "coef_"):
        count = estimator.coef_.size + estimator.intercept_.size
        return Parameters(classical=count, effective=count)
    if hasattr(estimator, "dual_coef_"):
        return Parameters(classical=estimator.dual_coef_.size + estimator.intercept_.size)
    return None


def _drawn_anew(head: StackedClassifier) -> nn.Module:
    """Make the head's network at a random point: what it can do, whatever training made of it."""
    fresh = clone(head).set_params(random_state=0, init_scale=1.0)
    n_classes = len(head.classes_)
    network: nn.Module = fresh.build([fresh], head.n_features_in_, n_classes, torch.float64)
    return network


def audit(network: nn.Module, n_features: int) -> Parameters:
    """Count the parameters of a network of one copy, and those that can do anything.

    Parameters
    ----------
    network : torch.nn.Module
        Maps (1, n, n_features) to logits.
    n_features : int
        Width of its input.

    Returns
    -------
    counts : Parameters
        ``dead`` counts parameters whose derivative is zero at every one of many random inputs.
        ``effective`` counts the classical parameters that are not dead, plus, for each circuit,
        the rank of the Jacobian of its outputs to its angles at random phases.
    """
    circuits = [m for m in network.modules() if isinstance(m, CIRCUITS)]
    angles = {id(p) for c in circuits for p in c.parameters() if p.requires_grad}
    trainable = [p for p in network.parameters() if p.requires_grad]
    quantum = sum(p.numel() for p in trainable if id(p) in angles)
    classical = sum(p.numel() for p in trainable) - quantum
    dead = _dead(network, n_features)
    of_circuits = {name for name, p in network.named_parameters() if id(p) in angles}
    dead_classical = sum(n for name, n in dead.items() if name not in of_circuits)
    return Parameters(
        classical=classical,
        quantum=quantum,
        effective=classical - dead_classical + sum(angle_rank(c) for c in circuits),
        dead=sum(dead.values()),
        dead_classical=dead_classical,
        dead_in=dead,
    )


def _dead(network: nn.Module, n_features: int) -> dict[str, int]:
    """Count, by name of the parameter tensor, the entries that no logit depends on."""
    network.eval()
    named = {name: p for name, p in network.named_parameters() if p.requires_grad}
    g = torch.Generator().manual_seed(seed_for("sampling", purpose="dead parameters"))
    dtype = next(iter(named.values())).dtype
    x = torch.randn(1, N_POINTS, n_features, generator=g, dtype=dtype)
    return dead_entries(network(x), named, g)


def dead_entries(
    outputs: Tensor, named: Mapping[str, Tensor], generator: torch.Generator | None = None
) -> dict[str, int]:
    """Count the entries of tensors that outputs do not depend on.

    Parameters
    ----------
    outputs : Tensor
        Real, of any shape, at many random inputs.
    named : mapping of str to Tensor
        Tensors, by name, that they were computed from.
    generator : torch.Generator, optional
        Of the random weightings of the outputs.

    Returns
    -------
    dict of str to int
        Names with such entries, and how many.
    """
    g = generator or torch.Generator().manual_seed(seed_for("sampling", purpose="dead entries"))
    alive = [torch.zeros_like(p, dtype=torch.bool) for p in named.values()]
    for _ in range(3):  # a derivative may vanish by accident for one weighting, not for three
        weights = torch.randn(outputs.shape, generator=g, dtype=outputs.dtype)
        grads = torch.autograd.grad(
            (outputs * weights).sum(), list(named.values()), retain_graph=True, allow_unused=True
        )
        # Beside the largest of all derivatives: a tensor may be dead as a whole, but for rounding.
        largest = max(float(grad.abs().max()) for grad in grads if grad is not None)
        for known, grad in zip(alive, grads, strict=True):
            if grad is not None:
                known |= grad.abs() > 1e-9 * largest
    counts = {name: int((~known).sum()) for name, known in zip(named, alive, strict=True)}
    return {name: count for name, count in counts.items() if count}


def angle_rank(circuit: Any) -> int:
    """Rank of the Jacobian of a circuit's outputs to its angles, at random inputs.

    It is the number of angles that matter: more of them only describe the same functions again.
    """
    angles = [p for p in circuit.parameters() if p.requires_grad]
    return jacobian_rank(_outputs_at_random(circuit), angles) if angles else 0


def jacobian_rank(outputs: Tensor, angles: Sequence[Tensor]) -> int:
    """Rank of the Jacobian of outputs to angles.

    Random weightings of the outputs stand for the outputs; they keep the rank, and there are few.

    Parameters
    ----------
    outputs : Tensor
        Real, of any shape, at many random inputs.
    angles : sequence of Tensor
        What they were computed from.

    Returns
    -------
    int
        At most the number of angles.
    """
    n_angles = sum(p.numel() for p in angles)
    g = torch.Generator().manual_seed(seed_for("sampling", purpose="angle rank"))
    rows = []
    for _ in range(n_angles + 8):
        weights = torch.randn(outputs.shape, generator=g, dtype=outputs.dtype)
        grads = torch.autograd.grad((outputs * weights).sum(), angles, retain_graph=True)
        rows.append(torch.cat([grad.flatten() for grad in grads]))
    jacobian = torch.stack(rows).double()
    tolerance = 1e-8 if outputs.dtype == torch.float64 else 1e-4
    return int(torch.linalg.matrix_rank(jacobian, rtol=tolerance))


def _outputs_at_random(circuit: Any) -> Tensor:
    g = torch.Generator().manual_seed(seed_for("sampling", purpose="circuit inputs"))
    dtype = next(circuit.parameters()).dtype
    if isinstance(circuit, QubitCircuit):
        n_inputs = circuit.description.n_inputs
    else:
        n_inputs = circuit.n_blocks * circuit.n_modes
    inputs = 2 * math.pi * torch.rand(1, 32, n_inputs, generator=g, dtype=dtype)
    outputs: Tensor = circuit(inputs)
    return outputs
