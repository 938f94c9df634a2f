"""How many parameters of a small transformer can do anything."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from qlmbench.models.parameters import jacobian_rank
from qlmbench.models.token_tables import StackedQuantum
from qlmbench.quantum.qubit_description import CircuitDescription
from qlmbench.quantum.qubits import QubitCircuit
from qlmbench.records import Parameters
from qlmbench.seeding import seed_for

# A derivative this small beside the largest of its network is rounding.
_ROUNDING = 1e-12

# Predictions at which it is looked whether a parameter does anything, at least.
_N_POINTS = 256


def count(
    stack: nn.Module, vocab_size: int, length: int, n_used: int, predictions: int = 1
) -> Parameters:
    """Count the parameters of one copy of a stack.

    Parameters
    ----------
    stack : torch.nn.Module
        R copies at different random points: a rectified unit may be off for all tokens by accident
        of one point, not of all. Maps ids ``[R, B, T]`` to logits, by an ``embedding``.
    vocab_size, length : int
        Number of tokens, and of positions in a row.
    n_used : int
        Tokens whose vectors matter.
    predictions : int
        Number of predictions of a row.

    Returns
    -------
    counts : Parameters
        ``effective`` counts the classical parameters that are not dead, and for each token in use
        the rank of its circuit: at most the number of qubits, however many layers there are.
    """
    named = {name: p for name, p in stack.named_parameters() if p.requires_grad}
    copies = len(next(iter(named.values())))
    rows = _all_tokens(vocab_size, length, math.ceil(_N_POINTS / predictions))
    logits = stack(rows.expand(copies, -1, -1))
    dead = _dead(logits, named)
    circuit = stack.embedding.circuit if isinstance(stack.embedding, StackedQuantum) else None
    angles = named.get("embedding.angles")
    quantum = 0 if angles is None else angles[0].numel()
    dead_classical = sum(n for name, n in dead.items() if name != "embedding.angles")
    classical = sum(p[0].numel() for p in named.values()) - quantum
    rank = n_used * _rank_of_a_token(circuit.description) if quantum and circuit is not None else 0
    return Parameters(
        classical=classical,
        quantum=quantum,
        effective=classical - dead_classical + rank,
        dead=sum(dead.values()),
        dead_classical=dead_classical,
        dead_in=dead,
    )


def _dead(logits: Tensor, named: Mapping[str, Tensor]) -> dict[str, int]:
    """Count, by name, the entries on which the logits of no copy depend."""
    g = torch.Generator().manual_seed(seed_for("sampling", purpose="dead parameters"))
    weights = torch.randn(logits.shape, generator=g, dtype=logits.dtype)
    grads = torch.autograd.grad(
        (logits * weights).sum(), list(named.values()), materialize_grads=True
    )
    smallest = _ROUNDING * torch.stack([grad.abs().max() for grad in grads]).max()
    counts = {
        name: int((grad.abs() <= smallest).all(0).sum())
        for name, grad in zip(named, grads, strict=True)
    }
    return {name: number for name, number in counts.items() if number}


def _all_tokens(vocab_size: int, length: int, at_least: int) -> Tensor:
    """Rows in which every token stands, ``[1, n, T]``, in random order."""
    n_rows = max(at_least, 2 * math.ceil(vocab_size / length))
    ids = torch.arange(n_rows * length) % vocab_size
    g = torch.Generator().manual_seed(seed_for("sampling", purpose="all tokens"))
    return ids[torch.randperm(len(ids), generator=g)].view(1, n_rows, length)


def _rank_of_a_token(description: CircuitDescription) -> int:
    """Rank of the Jacobian of a token's expectations to its angles, at random angles."""
    circuit = QubitCircuit(description, trainable=False, dtype=torch.float64)
    g = torch.Generator().manual_seed(seed_for("sampling", purpose="angle rank"))
    tokens = 2  # they share no angle: the rank of both is the sum of theirs
    angles = torch.rand(1, tokens, circuit.n_inputs, generator=g, dtype=torch.float64)
    angles = (2 * math.pi * angles).requires_grad_()
    return jacobian_rank(circuit(angles), [angles]) // tokens
