"""Qubit circuits as torch modules that run many repetitions and samples at once.

A circuit is described by :class:`CircuitDescription` (see :mod:`qlmbench.quantum.qubit_patterns`
for ready ones) and run by :class:`QubitCircuit`, an exact statevector simulator with a leading
repetition axis: twenty seeds cost little more than one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor, nn

from qlmbench.quantum.qubit_description import CircuitDescription
from qlmbench.quantum.qubit_exports import draw_text, pennylane_qnode, qiskit_circuit
from qlmbench.quantum.qubit_gradients import parameter_shift
from qlmbench.quantum.qubit_kernels import split
from qlmbench.quantum.qubit_memory import require_memory
from qlmbench.quantum.qubit_sampling import draw_counts, shot_generators
from qlmbench.quantum.qubit_simulator import Readout, Simulator, run_circuit
from qlmbench.ranges import check_choice, check_whole

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

DiffMethod = Literal["backprop", "adjoint", "parameter-shift"]

# Bytes that the shifted copies of one parameter-shift run may take.
_SHIFT_BYTES = 2**27
# Bytes a basis state for the tables of a plan, before those of its steps.
_PLAN_BYTES = 256


class QubitCircuit(nn.Module):
    """A stack of circuits of one description, each with weights of its own.

    Parameters
    ----------
    description : CircuitDescription
        The circuit.
    repetitions : int
        R, how many circuits of this description run side by side.
    readout : {"z", "probabilities", "state"}
        Z expectations of the measured wires; their joint probabilities (first measured wire
        leading); or all amplitudes, wire 0 leading.
    measured : sequence of int, optional
        Wires that are read out, in this order; all by default.
    shots : int, optional
        Measurements of each circuit, in training as in evaluation; exact if left out.
    diff_method : {"backprop", "adjoint", "parameter-shift"}, optional
        How gradients come: through all states in between; backwards from the last state, with
        memory independent of the depth; or from shifted runs, the only way with shots. The
        default is parameter-shift with shots and backprop without.
    seeds : sequence of int, optional
        One seed a repetition, for its weights and shots; ``0 .. R - 1`` by default.
    init_scale : float, optional
        Standard deviation of the normal initial weights, in radians; uniform on [0, 2 pi) if left
        out.
    trainable : bool
        Whether the weights get gradients.
    dtype : torch.dtype
        ``torch.float32`` or ``torch.float64``; amplitudes are complex of that precision, or real
        if no gate of the circuit is complex.

    Attributes
    ----------
    weights : Parameter, ``[R, n_weights]``
        Angles in radians.
    n_inputs : int
        Input features a sample.

    Raises
    ------
    ValueError
        If an option is unknown, options contradict each other, wires do not exist, or the state
        does not fit into memory.

    Examples
    --------
    >>> from qlmbench.quantum.qubit_patterns import angle_encoding, basic_entangler_layers
    >>> description = angle_encoding(4).then(basic_entangler_layers(4, n_layers=2))
    >>> circuit = QubitCircuit(description, repetitions=3)
    >>> circuit(torch.zeros(3, 16, 4)).shape
    torch.Size([3, 16, 4])
    """

    weights: nn.Parameter

    def __init__(
        self,
        description: CircuitDescription,
        *,
        repetitions: int = 1,
        readout: Readout = "z",
        measured: Sequence[int] | None = None,
        shots: int | None = None,
        diff_method: DiffMethod | None = None,
        seeds: Sequence[int] | None = None,
        init_scale: float | None = None,
        trainable: bool = True,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if diff_method is None:
            diff_method = "backprop" if shots is None else "parameter-shift"
        self.description, self.repetitions, self.shots = description, repetitions, shots
        self.readout, self.diff_method = readout, diff_method
        self.n_inputs, n_qubits = description.n_inputs, description.n_qubits
        self.measured = tuple(range(n_qubits)) if measured is None else tuple(measured)
        self.seeds = tuple(range(repetitions)) if seeds is None else tuple(seeds)
        self._check_options(dtype)
        require_memory(n_qubits, 1, _PLAN_BYTES, "to compile the circuit")
        self._simulator = Simulator(description, self.measured).to(dtype)
        self._generators = shot_generators(self.seeds)
        weights = initial_weights(description.n_weights, self.seeds, init_scale).to(dtype)
        self.weights = nn.Parameter(weights, requires_grad=trainable)

    def _check_options(self, dtype: torch.dtype) -> None:
        for name, value, known in (
            ("readout", self.readout, get_args(Readout)),
            ("diff_method", self.diff_method, get_args(DiffMethod)),
            ("dtype", dtype, (torch.float32, torch.float64)),
        ):
            check_choice(name, value, known)
        if self.repetitions < 1 or len(self.seeds) != self.repetitions:
            raise ValueError(
                f"got {len(self.seeds)} seeds for repetitions={self.repetitions}; expected at "
                "least one repetition and one seed for each"
            )
        wires, n_qubits = self.measured, self.description.n_qubits
        if not wires or len(set(wires)) != len(wires) or not set(wires) <= set(range(n_qubits)):
            raise ValueError(
                f"got measured={wires}; expected different wires from 0 to {n_qubits - 1}"
            )
        if self.readout == "state" and wires != tuple(range(n_qubits)):
            raise ValueError(
                f"got measured={wires} with readout='state'; expected all {n_qubits} wires in "
                "order, for a part of an entangled circuit has no state"
            )
        check_whole("shots", self.shots, or_none=True)
        if self.shots is not None and self.diff_method != "parameter-shift":
            raise ValueError(
                f"got shots={self.shots} with diff_method={self.diff_method!r}; expected "
                "'parameter-shift', the only method that works from measurements"
            )
        if self.readout == "state" and (self.diff_method == "parameter-shift"):
            raise ValueError(
                "got readout='state' with shots or diff_method='parameter-shift'; expected 'z' or "
                "'probabilities', for amplitudes cannot be measured"
            )

    @property
    def n_outputs(self) -> int:
        """Width of the output."""
        return len(self.measured) if self.readout == "z" else 2 ** len(self.measured)

    def forward(self, inputs: Tensor) -> Tensor:
        """Run every repetition on its own samples.

        Parameters
        ----------
        inputs : Tensor, ``[R, B, n_inputs]``
            Features: angles in radians before their scale, or amplitudes before normalisation.
            Without inputs in the description, ``[R, B, 0]``.

        Returns
        -------
        Tensor, ``[R, B, n_outputs]``
            In the dtype of the weights; complex for amplitudes.

        Raises
        ------
        ValueError
            If the shape does not fit, a vector to encode is zero, or memory does not suffice.
        """
        inputs = self._checked(inputs)
        if self.diff_method != "parameter-shift":
            keep = self.diff_method == "backprop"
            out = run_circuit(self._simulator, self.readout, keep, self.weights, inputs)
            return out.expand(-1, inputs.shape[1], -1)
        halves = self._simulator.half_angles(self.weights, inputs)
        vectors = self._simulator.vectors(inputs)
        if any(vector.requires_grad for vector in vectors):
            raise ValueError(
                "got amplitude-encoded inputs that require a gradient; expected none, for the "
                "parameter-shift rule knows rotations only: detach them, or use another "
                "diff_method"
            )
        return self._shifted(halves, vectors, inputs)

    def _checked(self, inputs: Tensor) -> Tensor:
        expected = (self.repetitions, self.n_inputs)
        if inputs.dim() != 3 or (inputs.shape[0], inputs.shape[2]) != expected:
            raise ValueError(
                f"got inputs of shape {list(inputs.shape)}; expected [repetitions, samples, "
                f"inputs] = [{expected[0]}, any, {expected[1]}]"
            )
        if inputs.shape[1] == 0:
            raise ValueError(
                f"got inputs of shape {list(inputs.shape)}; expected at least one sample"
            )
        if self.weights.device.type == "cpu":
            columns = self.repetitions * inputs.shape[1]
            require_memory(
                self.description.n_qubits,
                columns,
                self._bytes_an_amplitude(),
                f"for {columns} circuits ({self.diff_method}); use diff_method='adjoint' or fewer "
                "samples a call",
            )
        return inputs.to(self.weights.dtype)

    def _bytes_an_amplitude(self) -> int:
        real = 4 if self.weights.dtype == torch.float32 else 8
        number = real if self._simulator.real else 2 * real
        kept = 6
        if self.diff_method == "backprop" and torch.is_grad_enabled():
            kept += 2 * len(self._simulator.steps)
        return number * kept

    def _read(self, rows: Tensor, copies: int, samples: int = 1) -> Tensor:
        """Read outputs off final rows; with shots, drawn anew for each of the ``samples``."""
        simulator = self._simulator
        if self.shots is None:
            return simulator.read(rows, self.readout)
        exact = simulator.read(rows, "probabilities").expand(-1, samples, -1)
        counts = self._draw(exact, self.shots, copies)
        frequencies = counts.to(self.weights.dtype) / self.shots
        return frequencies @ simulator.outcome_signs.T if self.readout == "z" else frequencies

    def _draw(self, probabilities: Tensor, shots: int, copies: int) -> Tensor:
        by_repetition = split(probabilities, 0, (self.repetitions, copies))
        return draw_counts(by_repetition, shots, self._generators).flatten(0, 1)

    def _shifted(self, halves: list[Tensor], vectors: list[Tensor], inputs: Tensor) -> Tensor:
        samples = inputs.shape[1]

        def run(halves: list[Tensor], vectors: list[Tensor], copies: int) -> Tensor:
            with torch.no_grad():
                rows = self._simulator.run(halves, vectors)
                return self._read(rows, copies, samples).expand(-1, samples, -1)

        columns = self._simulator.shift_columns(inputs.requires_grad)
        state_bytes = self.repetitions * samples * 2**self.description.n_qubits * 64
        limit = max(1, _SHIFT_BYTES // (2 * state_bytes))
        return parameter_shift(run, columns, limit, vectors, halves)

    @torch.no_grad()
    def counts(self, inputs: Tensor, shots: int | None = None) -> Tensor:
        """Measure: how often each outcome of the measured wires comes.

        Parameters
        ----------
        inputs : Tensor, ``[R, B, n_inputs]``
            As for :meth:`forward`.
        shots : int, optional
            Measurements a circuit; the module's own by default.

        Returns
        -------
        Tensor, ``[R, B, 2 ** m]``
            Integer counts; the first measured wire is the most significant bit.

        Raises
        ------
        ValueError
            As in :meth:`forward`, or if no number of shots is given.
        """
        shots = self.shots if shots is None else shots
        if shots is None or shots < 1:
            raise ValueError(f"got shots={shots}; expected at least 1, here or in the module")
        inputs = self._checked(inputs)
        halves = self._simulator.half_angles(self.weights, inputs)
        rows = self._simulator.run(halves, self._simulator.vectors(inputs))
        exact = self._simulator.read(rows, "probabilities").expand(-1, inputs.shape[1], -1)
        return self._draw(exact, shots, 1)

    def to_pennylane(self, repetition: int = 0) -> Any:
        """QNode of one trained circuit on ``default.qubit``, a function of its inputs.

        It takes a tensor ``[n_inputs]`` or ``[B, n_inputs]`` and returns what this module reads
        out, exactly (one value a measured wire for Z expectations). Wires and basis states are
        numbered as here.

        Raises
        ------
        ValueError
            If the repetition does not exist.
        """
        weights = self._trained(repetition)
        return pennylane_qnode(self.description, weights, self.readout, self.measured)

    def to_qiskit(
        self, repetition: int = 0, inputs: Sequence[float] | None = None
    ) -> QuantumCircuit:
        """Qiskit circuit of one trained circuit, without measurements.

        Parameters
        ----------
        repetition : int
            Which circuit of the stack.
        inputs : sequence of float, optional
            Values of one sample; left out, rotations by features stay parameters ``x[j]``.

        Notes
        -----
        Wire q is qubit q. Qiskit takes qubit 0 as the least significant bit of a basis state, this
        module as the most significant: reorder its vectors with
        :func:`qlmbench.quantum.qubit_exports.from_qiskit_order`.

        Raises
        ------
        ValueError
            If the repetition does not exist, the number of inputs is wrong, or amplitudes would
            stay open.
        """
        return qiskit_circuit(self.description, self._trained(repetition), inputs)

    def draw(self, repetition: int | None = None) -> str:
        """Draw the circuit as text, with the trained values of one repetition if asked."""
        return draw_text(
            self.description, None if repetition is None else self._trained(repetition)
        )

    def _trained(self, repetition: int) -> list[float]:
        if not 0 <= repetition < self.repetitions:
            raise ValueError(f"got repetition {repetition}; expected 0 to {self.repetitions - 1}")
        values: list[float] = self.weights[repetition].detach().cpu().double().tolist()
        return values

    def extra_repr(self) -> str:
        """Say what the circuit is, in one line."""
        d = self.description
        return (
            f"{d.n_qubits} qubits, {d.n_weights} weights, {d.n_inputs} inputs, "
            f"repetitions={self.repetitions}, readout={self.readout!r}, shots={self.shots}, "
            f"diff_method={self.diff_method!r}"
        )


def initial_weights(n_weights: int, seeds: Sequence[int], scale: float | None) -> Tensor:
    """Random angles ``[R, n_weights]`` in float64; row r depends on ``seeds[r]`` alone.

    Normal with standard deviation ``scale``, or uniform on [0, 2 pi) for ``None``.
    """
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        if scale is None:
            row = 2 * math.pi * torch.rand(n_weights, generator=generator, dtype=torch.float64)
        else:
            row = scale * torch.randn(n_weights, generator=generator, dtype=torch.float64)
        rows.append(row)
    return torch.stack(rows)
