"""From features of an image to one token of a language model, through a quantum circuit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import torch
from torch import Tensor, nn

from qlmbench.models.layers import seeded_linear
from qlmbench.models.measurement import Measurement, check_noise, check_shots
from qlmbench.quantum.qubits import QubitCircuit
from qlmbench.ranges import check_choice, check_share, check_whole
from qlmbench.seeding import seed_for
from qlmbench.vision.backends import Backend, pennylane_z, qiskit_z
from qlmbench.vision.circuits import Ansatz, projection_circuit

_EXACT = (torch.float32, torch.float64)


class QuantumProjection(nn.Module):
    """Linear map to one angle a qubit, circuit, Z of every qubit, linear map to the hidden size.

    As in the public hybrid vision-language model, whose hidden size was fixed; here it is an
    argument. The two linear maps take any floating-point type that the module is moved to; the
    circuit is simulated in single precision at least. The result has the type of the linear maps.

    Parameters
    ----------
    in_features : int
        F, features of an image.
    hidden_size : int
        d, width of a token of the language model.
    n_qubits : int, default=4
        n, from 1.
    n_layers : int, default=3
        Trained layers of the circuit.
    ansatz : {"published", "noncommuting"}
        See `projection_circuit`.
    backend : {"statevector", "pennylane", "qiskit"}
        What runs the circuit: our simulator; or the references, which give equal values, slower.
    shots : int, optional
        Measurements of each circuit, all qubits in each of them; exact without. In training,
        gradients then come by parameter shift; in evaluation a row's shots depend on the seed and
        the row alone, and are drawn on the processor. Of the statevector alone.
    depolarizing : float
        Probability of a Pauli error on each qubit after each gate that touches it. Of the
        evaluation and of the statevector alone.
    n_trajectories : int, optional
        Error patterns averaged over; without, exact noise for few qubits and a hundred for more.
    train_circuit : bool
        Whether the weights of the circuit are trained, or stay as drawn.
    seed : int
        Of the initial values: linear maps as in torch, angles uniform on [0, 2 pi) as in
        PennyLane. No global random state is touched.

    Raises
    ------
    ValueError
        If a number is out of its range, a name is not known, or shots or noise are asked of a
        reference.

    Examples
    --------
    >>> projection = QuantumProjection(1280, 576, n_qubits=4)
    >>> projection(torch.zeros(2, 1280)).shape
    torch.Size([2, 576])
    """

    def __init__(
        self,
        in_features: int,
        hidden_size: int,
        n_qubits: int = 4,
        n_layers: int = 3,
        ansatz: Ansatz = "published",
        backend: Backend = "statevector",
        shots: int | None = None,
        depolarizing: float = 0.0,
        n_trajectories: int | None = None,
        train_circuit: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        _check(in_features, hidden_size, backend, shots, depolarizing)
        check_shots(shots)
        check_noise(depolarizing, n_trajectories)
        self.in_features, self.hidden_size, self.backend = in_features, hidden_size, backend
        description = projection_circuit(n_qubits, n_layers, ansatz)
        self.measurement = Measurement(seed, shots, depolarizing, n_trajectories)
        dtype = torch.get_default_dtype()
        self.reduce = seeded_linear(in_features, n_qubits, seed=seed, name="in", dtype=dtype)
        self.circuit = QubitCircuit(
            description,
            shots=shots,
            seeds=[seed_for("initialisation", seed=seed, layer="circuit")],
            trainable=train_circuit,
        )
        self.expand = seeded_linear(n_qubits, hidden_size, seed=seed, name="out", dtype=dtype)

    def forward(self, features: Tensor) -> Tensor:
        """Make tokens of features.

        Parameters
        ----------
        features : Tensor, ``[..., in_features]``
            In any floating-point type.

        Returns
        -------
        Tensor, ``[..., hidden_size]``

        Raises
        ------
        ValueError
            If the last axis has another length, or a noisy circuit is to be trained.
        """
        if features.shape[-1] != self.in_features:
            raise ValueError(
                f"got features of shape {list(features.shape)}; expected {self.in_features} along "
                "the last axis"
            )
        rows = features.reshape(-1, self.in_features).to(self.reduce.weight.dtype)
        z = self._z(self.reduce(rows), rows)
        tokens: Tensor = self.expand(z.to(self.expand.weight.dtype))
        return tokens.reshape(*features.shape[:-1], self.hidden_size)

    def expectations(self, angles: Tensor) -> Tensor:
        """Return Z of every qubit, ``[B, n_qubits]``, for inputs ``[B, n_qubits]`` in radians.

        Shots then depend on these angles, not on features.
        """
        return self._z(angles, angles)

    def _z(self, angles: Tensor, rows: Tensor) -> Tensor:
        weights = self.circuit.weights[0]
        inputs = angles.to(weights.dtype)
        if self.backend == "pennylane":
            return pennylane_z(self.circuit.description, weights, inputs)
        if self.backend == "qiskit":
            return qiskit_z(self.circuit.description, weights, inputs)
        return self._measured(inputs[None], rows[None])[0]

    def _measured(self, inputs: Tensor, rows: Tensor) -> Tensor:
        how = self.measurement
        if how.depolarizing > 0 and self.training:
            raise ValueError(
                f"training with depolarizing={how.depolarizing}; expected 0, for training is "
                "without noise: call eval() first"
            )
        if how.depolarizing > 0 or (how.shots is not None and not self.training):
            if inputs.device.type != "cpu":
                raise ValueError(
                    f"got a projection on {inputs.device.type!r} with shots={how.shots}, "
                    f"depolarizing={how.depolarizing}; expected 'cpu', where these are drawn: call "
                    "cpu() first"
                )
            return how.z(self.circuit, inputs, rows).to(inputs)
        z: Tensor = self.circuit(inputs)
        return z

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> QuantumProjection:
        """Move the module; a circuit is never made less exact than single precision."""
        circuit = self.circuit
        probe = fn(torch.zeros(1, dtype=circuit.weights.dtype, device=circuit.weights.device))
        if probe.dtype in _EXACT:
            super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
            return self
        for linear in (self.reduce, self.expand):
            linear._apply(fn)  # type: ignore[no-untyped-call]
        circuit.to(probe.device)
        return self

    def extra_repr(self) -> str:
        """Say how the circuit is run."""
        how = self.measurement
        return f"backend={self.backend!r}, shots={how.shots}, depolarizing={how.depolarizing}"


def _check(
    in_features: int, hidden_size: int, backend: str, shots: int | None, depolarizing: float
) -> None:
    check_whole("in_features", in_features)
    check_whole("hidden_size", hidden_size)
    check_choice("backend", backend, get_args(Backend))
    if backend != "statevector" and (shots is not None or depolarizing):
        raise ValueError(
            f"got backend={backend!r} with shots={shots}, depolarizing={depolarizing}; expected "
            "'statevector', the only one that samples: the references are exact"
        )
    check_share("depolarizing", depolarizing)
