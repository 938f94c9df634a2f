"""How many parameters an adapted model trains, and how many of them do nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn

from qlmbench.adapters import QuantumLoRAAdapter, QuantumLoRAConfig
from qlmbench.adapters.as_published import MESHES, AsPublishedCircuit, AsPublishedQuantumLoRALayer
from qlmbench.adapters.bottlenecks import make_bottleneck
from qlmbench.models.parameters import CIRCUITS, dead_entries, jacobian_rank
from qlmbench.records import Parameters
from qlmbench.seeding import seed_for

N_POINTS = 32
"""Random inputs at which it is looked whether a parameter matters."""


def parameters_of(model: nn.Module) -> Parameters:
    """Count what is trained in a model, a head included, and what of the adapters does nothing.

    Dead are the rows of Down whose value no output of the circuit depends on, and such angles.
    ``effective`` counts what stands outside the circuits and is not dead, and the rank of the
    Jacobian of each circuit's outputs to its angles.

    Parameters
    ----------
    model : torch.nn.Module
        What `put_into` made.
    """
    angles = {id(p) for m in model.modules() if isinstance(m, CIRCUITS) for p in m.parameters()}
    trained = {id(p): p for p in model.parameters() if p.requires_grad}
    quantum = sum(p.numel() for key, p in trained.items() if key in angles)
    classical = sum(p.numel() for p in trained.values()) - quantum
    rank = dead_angles = dead_down = 0
    for module in model.modules():
        audit = _audit_of(module)
        if audit is not None:
            rank += audit.rank
            dead_angles += audit.dead_angles
            dead_down += audit.dead_values * _width(module)
    dead_in = {"angles": dead_angles, "down": dead_down}
    return Parameters(
        classical=classical,
        quantum=quantum,
        effective=classical - dead_down + rank,
        dead=dead_down + dead_angles,
        dead_classical=dead_down,
        dead_in={name: number for name, number in dead_in.items() if number},
    )


@dataclass(frozen=True)
class _Audit:
    """What of a circuit matters: angles, and values that it encodes."""

    rank: int
    dead_angles: int
    dead_values: int


def _width(adapter: nn.Module) -> int:
    down = adapter.down if isinstance(adapter, QuantumLoRAAdapter) else adapter.lora_down
    return cast(nn.Linear, down).in_features


def _audit_of(module: nn.Module) -> _Audit | None:
    if isinstance(module, QuantumLoRAAdapter) and module.config.bottleneck == "photonic":
        plain = replace(module.config, seed=0, alpha=1.0, dropout=0.0, target_modules=None)
        return _audit_adapter(plain)
    if isinstance(module, AsPublishedQuantumLoRALayer):
        circuit = module.circuit
        return _audit_published(circuit.n_modes, circuit.n_photons, _ansatz(circuit))
    return None


def _ansatz(circuit: AsPublishedCircuit) -> str:
    before = circuit.stages.index("encoding")
    meshes = (before, len(circuit.stages) - before - 1)
    return next(name for name, known in MESHES.items() if known == meshes)


@lru_cache
def _audit_adapter(config: QuantumLoRAConfig) -> _Audit:
    return _audit(make_bottleneck(config, 0, torch.float64, None), config.r)


@lru_cache
def _audit_published(r: int, n_photons: int, ansatz: str) -> _Audit:
    circuit = AsPublishedCircuit(r, n_photons, ansatz, dtype=torch.float64)
    return _audit(circuit, r, lambda values: circuit(values[None])[0])


def _audit(circuit: nn.Module, r: int, run: Callable[[Tensor], Tensor] | None = None) -> _Audit:
    """Look at a circuit at random angles, which no training has touched."""
    generator = torch.Generator().manual_seed(seed_for("sampling", purpose="adapter audit"))
    values = torch.randn(N_POINTS, r, generator=generator, dtype=torch.float64)
    # A factor on each value: dead where no output depends on that value.
    factors = torch.ones(r, dtype=torch.float64, requires_grad=True)
    outputs = (run or circuit)(values * factors)
    angles = {name: p for name, p in circuit.named_parameters() if p.requires_grad}
    dead = dead_entries(outputs, {**angles, "values": factors}, generator)
    rank = jacobian_rank(outputs, list(angles.values())) if angles else 0
    return _Audit(rank, sum(dead.get(name, 0) for name in angles), dead.get("values", 0))
