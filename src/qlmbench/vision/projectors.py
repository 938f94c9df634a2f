"""Stacks of projections from image features to a token: the quantum ones and their controls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from qlmbench.models.layers import StackedLinear
from qlmbench.models.measurement import Measurement
from qlmbench.quantum.qubits import QubitCircuit
from qlmbench.ranges import check_choice, check_whole
from qlmbench.seeding import seed_for
from qlmbench.vision.circuits import Ansatz, projection_circuit

Projector = Literal[
    "published",
    "noncommuting",
    "frozen-circuit",
    "frozen",
    "linear",
    "tanh",
    "cosine",
    "full",
    "zero",
]

GATE_WIDTH = 512
"""Width between the two linear maps of the classical projector."""

CIRCUITS: dict[str, Ansatz] = {
    "published": "published",
    "noncommuting": "noncommuting",
    "frozen-circuit": "published",
    "frozen": "published",
}
"""Projectors with a circuit, and which one."""


class StackedProjector(nn.Module):
    """R projections of one kind side by side.

    Parameters
    ----------
    kind : str
        "published" and "noncommuting": linear map to n angles, circuit, linear map to the token;
        see `projection_circuit`. "frozen-circuit": the published one whose angles stay as drawn.
        "frozen": nothing of it is trained, as in the public code, which has no training. "linear",
        "tanh", "cosine": the same two linear maps with nothing, tanh, or the cosine of each value
        in the place of the circuit; the cosine's phases are uniform on [0, 2 pi) at first, as a
        circuit's angles are, and trained. "full": the classical projector, linear maps to 512 and
        to the token, without the narrow middle. "zero": a token of zeros; the image is not seen.
    n_features, width : int
        F, features of an image, and d, width of a token.
    n_qubits, n_layers : int
        n, width of the middle of all kinds but the last two; layers of the circuit.
    gate : bool
        Put the classical linear map to 512 in front, so that the kind replaces the second map of
        the classical projector alone.
    shots : int, optional
        Measurements of each circuit in training, with gradients by parameter shift.
    seeds : sequence of int
        One a copy.
    scales : sequence of float
        Factor on the usual scale of the initial values of the linear maps, one a copy. Angles are
        uniform on [0, 2 pi), as PennyLane draws them.
    dtype : torch.dtype
        Type of the parameters.

    Attributes
    ----------
    measurement : Measurement or None
        How the circuits are measured in evaluation; as they say themselves without.
    """

    def __init__(
        self,
        kind: Projector,
        n_features: int,
        width: int,
        *,
        n_qubits: int,
        n_layers: int,
        gate: bool,
        shots: int | None,
        seeds: Sequence[int],
        scales: Sequence[float],
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.kind, self.width = kind, width
        self.measurement: Measurement | None = None

        def linear(name: str, n_in: int, n_out: int) -> StackedLinear:
            return StackedLinear(n_in, n_out, seeds=seeds, name=name, scales=scales, dtype=dtype)

        self.circuit: QubitCircuit | None = None
        if kind == "zero":
            return
        gated = gate or kind == "full"
        self.gate = linear("gate", n_features, GATE_WIDTH) if gated else None
        inner = GATE_WIDTH if gated else n_features
        self.reduce = None if kind == "full" else linear("in", inner, n_qubits)
        self.expand = linear("out", inner if kind == "full" else n_qubits, width)
        if kind == "cosine":
            self.phases = nn.Parameter(torch.stack([_phases(s, n_qubits, dtype) for s in seeds]))
        if kind in CIRCUITS:
            self.circuit = QubitCircuit(
                projection_circuit(n_qubits, n_layers, CIRCUITS[kind]),
                repetitions=len(seeds),
                seeds=[seed_for("initialisation", seed=s, layer="circuit") for s in seeds],
                shots=shots,
                trainable=not kind.startswith("frozen"),
                dtype=dtype,
            )
        if kind == "frozen":
            self.requires_grad_(False)

    def forward(self, features: Tensor) -> Tensor:
        """Make tokens ``[R, B, d]`` of features ``[R, B, F]``."""
        if self.kind == "zero":
            return features.new_zeros(*features.shape[:2], self.width)
        x = features if self.gate is None else self.gate(features)
        if self.reduce is not None:
            x = self._middle(self.reduce(x), features)
        tokens: Tensor = self.expand(x)
        return tokens

    def _middle(self, x: Tensor, features: Tensor) -> Tensor:
        if self.circuit is not None:
            if self.measurement is None:
                z: Tensor = self.circuit(x)
                return z
            return self.measurement.z(self.circuit, x, features).to(x)
        if self.kind == "tanh":
            return x.tanh()
        return (x + self.phases[:, None]).cos() if self.kind == "cosine" else x


def _phases(seed: int, n: int, dtype: torch.dtype) -> Tensor:
    draw = torch.Generator().manual_seed(seed_for("initialisation", seed=seed, layer="phases"))
    return (2 * math.pi * torch.rand(n, generator=draw, dtype=torch.float64)).to(dtype)


def check_projector(kind: str, gate: bool, n_qubits: int, n_layers: int) -> None:
    """Raise ValueError if there is no such projector."""
    check_choice("projector", kind, get_args(Projector))
    if gate and kind in ("full", "zero"):
        raise ValueError(f"gate=True with projector={kind!r}; expected one with a narrow middle")
    check_whole("n_qubits", n_qubits)
    check_whole("n_layers", n_layers)


class ClassicalProjection(nn.Module):
    """One projection of a stack, for features ``[..., F]``, in any floating-point type.

    Parameters
    ----------
    kind : {"linear", "tanh", "cosine", "full", "zero"}
        See `StackedProjector`.
    in_features, hidden_size : int
        F and d.
    width : int
        n, of the narrow middle.
    gate : bool
        See `StackedProjector`.
    seed : int
        Of the initial values.

    Raises
    ------
    ValueError
        If there is no such kind, or it has a circuit: that is `QuantumProjection`.
    """

    def __init__(
        self,
        kind: Projector,
        in_features: int,
        hidden_size: int,
        width: int = 4,
        gate: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_projector(kind, gate, width, 1)
        if kind in CIRCUITS:
            raise ValueError(f"projector {kind!r} has a circuit; make it as a QuantumProjection")
        self.in_features, self.hidden_size = in_features, hidden_size
        self.projector = StackedProjector(
            kind,
            in_features,
            hidden_size,
            n_qubits=width,
            n_layers=1,
            gate=gate,
            shots=None,
            seeds=[seed],
            scales=[1.0],
            dtype=torch.get_default_dtype(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Make tokens ``[..., d]`` of features ``[..., F]``."""
        own = next(self.parameters(), features)
        rows = features.to(own.dtype).reshape(1, -1, self.in_features)
        tokens: Tensor = self.projector(rows)
        return tokens.reshape(*features.shape[:-1], self.hidden_size)


class ConstantToken(nn.Module):
    """The same token whatever the image: the mean of a language model's word vectors.

    A control for pretrained models. A token of zeros stays zero in every layer, where the
    normalisation's derivative is in the hundreds: the gradient through it overflows.

    Parameters
    ----------
    in_features : int
        F.
    words : Tensor, ``[V, d]``
        Vectors of the words.
    """

    token: Tensor

    def __init__(self, in_features: int, words: Tensor) -> None:
        super().__init__()
        self.in_features, self.hidden_size = in_features, int(words.shape[1])
        self.register_buffer("token", words.detach().mean(0))

    def forward(self, features: Tensor) -> Tensor:
        """Make tokens ``[..., d]`` of features ``[..., F]``."""
        return self.token.expand(*features.shape[:-1], self.hidden_size)
