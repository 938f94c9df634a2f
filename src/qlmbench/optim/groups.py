"""What a user hands to the optimiser, checked: named weights, expressions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from torch import Tensor

from qlmbench.quantum.qubit_description import CircuitDescription

Groups = Iterable[tuple[str, Tensor]] | Iterable[dict[str, Any]]


def compiled(expression: str) -> re.Pattern[str]:
    """Compile a regular expression; a faulty one raises ValueError."""
    try:
        return re.compile(expression)
    except re.error as error:
        raise ValueError(
            f"got chosen={expression!r}; expected a regular expression: {error}"
        ) from None


def as_groups(params: Groups) -> list[dict[str, Any]]:
    """Parameter groups, one if the weights come without groups."""
    listed: list[Any] = list(params)
    if listed and all(isinstance(entry, dict) for entry in listed):
        return listed
    return [{"params": listed}]


def named(params: Iterable[Any]) -> list[tuple[str, Tensor]]:
    """Pairs of name and weight; a weight without a name raises ValueError."""
    pairs = list(params)
    for pair in pairs:
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)):
            raise ValueError(
                f"got a parameter without a name, a {type(pair).__name__}; expected pairs of name "
                "and tensor, as from model.named_parameters()"
            )
    return pairs


def gates_of(circuit: CircuitDescription) -> list[str]:
    """Write a circuit out, one string a gate, to tell circuits apart in a saved state."""
    gates = []
    for gate in circuit.gates:
        angle = "" if gate.angle is None else f" {gate.angle.scale!r} x[{gate.angle.index}]"
        gates.append(f"{gate.name} {','.join(map(str, gate.wires))}{angle}")
    return gates
