"""The projection's circuit, one that does not commute, and what the first one computes.

The published circuit turns every qubit about X, by its input and then layer by layer by a weight,
with rings of CNOTs between. A CNOT maps products of X to products of X, so every rotation of the
circuit is one about a product of X when it is moved in front of all CNOTs, and those commute. Z of
an output wire, moved there too, is a product of Z. What is left is a mean of cosines; see
`CommutingForm`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlmbench.quantum.qubit_description import CircuitDescription
from qlmbench.quantum.qubit_patterns import (
    angle_encoding,
    basic_entangler_layers,
    cnot_chain,
    cnot_ring,
    rotation_layer,
)
from qlmbench.ranges import check_choice, check_whole

Ansatz = Literal["published", "noncommuting"]

Bits = NDArray[np.bool_]


def projection_circuit(n_qubits: int, n_layers: int, ansatz: Ansatz) -> CircuitDescription:
    """Describe the circuit of a quantum projection.

    Parameters
    ----------
    n_qubits, n_layers : int
        Size, at least 1 each.
    ansatz : {"published", "noncommuting"}
        Both turn qubit q about X by input q. Published: layers of one rotation about X a qubit and
        a ring of CNOTs (PennyLane's ``BasicEntanglerLayers``); all rotations commute. Noncommuting:
        layers of a rotation about Y and one about Z a qubit, and the same ring; they do not
        commute. Rotations about Y close it, for one about Z right before a ring and a measurement
        of Z would do nothing.

    Raises
    ------
    ValueError
        If a number is below 1 or there is no such ansatz.
    """
    check_whole("n_qubits", n_qubits)
    return angle_encoding(n_qubits, "RX").then(trained_layers(n_qubits, n_layers, ansatz))


def trained_layers(n_qubits: int, n_layers: int, ansatz: Ansatz) -> CircuitDescription:
    """Describe what follows the encoding; see `projection_circuit`."""
    check_whole("n_qubits", n_qubits)
    check_whole("n_layers", n_layers)
    check_choice("ansatz", ansatz, get_args(Ansatz))
    if ansatz == "published":
        return basic_entangler_layers(n_qubits, n_layers)
    circuit = CircuitDescription(n_qubits, ())
    for _ in range(n_layers):
        circuit = circuit.then(rotation_layer(n_qubits, "RY")).then(rotation_layer(n_qubits, "RZ"))
        if n_qubits > 1:
            circuit = circuit.then(cnot_chain(2) if n_qubits == 2 else cnot_ring(n_qubits))
    return circuit.then(rotation_layer(n_qubits, "RY"))


@dataclass(frozen=True)
class CommutingForm:
    """The published circuit without a circuit.

    Output q is the mean, over all choices of a sign for each qubit, of the cosine of a sum of
    angles. Angle k stands with the product of the signs of the qubits in ``products[k]``, and
    counts for output q where ``reads[q, k]``. Where these products are independent, the mean is the
    product of the cosines of the angles.

    Parameters
    ----------
    n_qubits, n_layers : int
        Size of the circuit.
    products : ndarray of bool, shape (K, n_qubits)
        The different products of X; the first n are the single qubits, each with its input.
    weights : ndarray of bool, shape (K, n_layers * n_qubits)
        Which weights turn about which product. Those of the first layer turn about single qubits:
        each is added to an input, as a bias is.
    reads : ndarray of bool, shape (n_qubits, K)
        Which of them output q reads.
    """

    n_qubits: int
    n_layers: int
    products: Bits
    weights: Bits
    reads: Bits

    def inputs_of(self, output: int) -> tuple[int, ...]:
        """Return which inputs an output depends on."""
        return tuple(np.flatnonzero(self.reads[output, : self.n_qubits]).tolist())

    def weights_of(self, output: int) -> tuple[int, ...]:
        """Return which weights an output depends on."""
        return tuple(np.flatnonzero(self.reads[output] @ self.weights).tolist())

    def factors(self, output: int) -> bool:
        """Whether an output is a product of cosines, one for each angle that it reads."""
        read = self.products[self.reads[output]]
        return _rank(read) == len(read)

    def __call__(self, inputs: Tensor, weights: Tensor) -> Tensor:
        """Compute all outputs.

        Parameters
        ----------
        inputs : Tensor, ``[B, n_qubits]``
            In radians.
        weights : Tensor, ``[n_layers * n_qubits]``
            In radians.

        Returns
        -------
        Tensor, ``[B, n_qubits]``
        """
        by_weight = weights @ torch.from_numpy(self.weights.T).to(weights)
        padded = torch.nn.functional.pad(inputs, (0, len(self.products) - self.n_qubits))
        angles = padded + by_weight
        choices = np.array(list(itertools.product([0, 1], repeat=self.n_qubits)))
        signs = torch.from_numpy(1.0 - 2.0 * (choices @ self.products.T % 2)).to(angles)
        reads = torch.from_numpy(self.reads).to(angles)
        return torch.cos(torch.einsum("bk,sk,qk->bqs", angles, signs, reads)).mean(2)


@lru_cache
def commuting_form(n_qubits: int, n_layers: int) -> CommutingForm:
    """Work out what the published circuit computes.

    Parameters
    ----------
    n_qubits, n_layers : int
        Size, at least 1 each.
    """
    circuit = projection_circuit(n_qubits, n_layers, "published")
    # What X of a qubit is when it is moved in front of the CNOTs so far, a row a qubit; Z likewise.
    x, z = np.eye(n_qubits, dtype=bool), np.eye(n_qubits, dtype=bool)
    places: dict[bytes, int] = {}
    products: list[Bits] = []
    turned: list[tuple[int, int]] = []
    for gate in circuit.gates:
        if gate.angle is None:
            control, target = gate.wires
            x[control] ^= x[target]
            z[target] ^= z[control]
            continue
        product = x[gate.wires[0]].copy()
        k = places.setdefault(product.tobytes(), len(products))
        if k == len(products):
            products.append(product)
        if gate.angle.source == "weight":
            turned.append((k, gate.angle.index))
    weights = np.zeros((len(products), n_layers * n_qubits), dtype=bool)
    weights[tuple(zip(*turned, strict=True))] = True
    table = np.array(products)
    reads = (z.astype(int) @ table.T.astype(int)) % 2 == 1
    return CommutingForm(n_qubits, n_layers, table, weights, reads)


def _rank(rows: Bits) -> int:
    """Rank over the field of two elements."""
    rank, left = 0, rows.copy()
    for column in range(rows.shape[1]):
        pivots = np.flatnonzero(left[rank:, column])
        if len(pivots) == 0:
            continue
        pivot = rank + int(pivots[0])
        left[[rank, pivot]] = left[[pivot, rank]]
        others = left[:, column].copy()
        others[rank] = False
        left[others] ^= left[rank]
        rank += 1
    return rank
