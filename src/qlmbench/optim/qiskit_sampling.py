"""The same circuit on a Qiskit backend or primitive that the user gives.

Nothing that a backend was set up with is kept as text: its label is its class and its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlmbench.quantum.qubit_description import CircuitDescription
from qlmbench.quantum.qubit_exports import from_qiskit_order, qiskit_circuit

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.primitives import BaseSamplerV2
    from qiskit.providers import BackendV2

    QiskitSource: TypeAlias = BackendV2 | BaseSamplerV2


class QiskitSampler:
    """Measures one circuit on a Qiskit backend or primitive.

    It is transpiled once, and all gradients are bound in one call. A simulator that takes seeds
    (``seed_simulator``) gets one a call from the generator, so that a run can be repeated. A
    primitive with a fixed seed would repeat its shots at every step: the seed of Qiskit's
    ``StatevectorSampler`` becomes that of a generator which goes on from step to step.

    Parameters
    ----------
    circuit : CircuitDescription
        The circuit, which reads one input a qubit.
    source : BackendV2 or BaseSamplerV2
        A backend, or a primitive set up by the user.

    Raises
    ------
    ValueError
        If the source is neither, or another primitive with a fixed seed.
    """

    label: str
    """Class and name of what runs the circuits."""

    def __init__(self, circuit: CircuitDescription, source: QiskitSource) -> None:
        primitive, backend = primitive_of(source)
        kind = "primitive" if primitive is source else "backend"
        self._seeded = kind == "backend" and hasattr(backend.options, "seed_simulator")
        self._sampler = primitive if kind == "backend" else _going_on(primitive, backend)
        self.label = f"Qiskit {kind} {_class_of(source)}{_name_of(backend)}"
        self._circuit = transpiled(measured_circuit(circuit), backend)

    def counts(self, fractions: Tensor, shots: int, rng: np.random.Generator) -> Tensor:
        """How often each outcome comes, ``[B, n]`` to ``[B, 2 ** n]``, qubit 0 leading."""
        if self._seeded:
            self._sampler.options.seed_simulator = int(rng.integers(2**31))
        values = fractions.detach().cpu().double().numpy()
        result = self._sampler.run([(self._circuit, values)], shots=shots).result()[0]
        outcomes = _as_numbers(result.data.meas.array)
        rows = [np.bincount(row, minlength=2 ** values.shape[1]) for row in outcomes]
        return torch.from_numpy(from_qiskit_order(np.stack(rows)))


def primitive_of(source: QiskitSource) -> tuple[Any, Any]:
    """Primitive that runs circuits, and the backend to transpile them for (None if unknown).

    Raises
    ------
    ValueError
        If the source is neither a backend nor a primitive.
    """
    from qiskit.primitives import BackendSamplerV2, BaseSamplerV2
    from qiskit.providers import BackendV2

    if isinstance(source, BackendV2):
        return BackendSamplerV2(backend=source), source
    if isinstance(source, BaseSamplerV2):
        # A property in Qiskit and a method in its runtime; a statevector sampler has none.
        backend = getattr(source, "backend", None)
        return source, backend() if callable(backend) else backend
    raise ValueError(
        f"got a {type(source).__name__} as backend; expected a Qiskit BackendV2 or SamplerV2"
    )


def measured_circuit(
    circuit: CircuitDescription, fractions: list[float] | None = None
) -> QuantumCircuit:
    """Qiskit circuit with every qubit measured; fractions bound if given, open if not."""
    exported = qiskit_circuit(circuit, [], fractions)
    exported.measure_all()
    return exported


def transpiled(circuit: QuantumCircuit, backend: Any) -> QuantumCircuit:
    """Rewrite a circuit in a backend's gates; unchanged if no backend is known."""
    if backend is None:
        return circuit
    from qiskit import transpile

    # A layout found by chance must not differ between two equal runs.
    return transpile(circuit, backend, seed_transpiler=0)


def _going_on(primitive: Any, backend: Any) -> Any:
    """Let a primitive draw new shots at every call; refuse one that would not."""
    from qiskit.primitives import StatevectorSampler

    settings = [getattr(thing, "options", None) for thing in (primitive, backend)]
    seeds = [getattr(primitive, "seed", None)]
    seeds += [getattr(options, "seed_simulator", None) for options in settings]
    fixed = next((seed for seed in seeds if isinstance(seed, int)), None)
    if fixed is None:
        return primitive
    if isinstance(primitive, StatevectorSampler):
        generator = np.random.default_rng(fixed)
        return StatevectorSampler(default_shots=primitive.default_shots, seed=generator)
    raise ValueError(
        f"got a {_class_of(primitive)} with the fixed seed {fixed}, which repeats its shots at "
        "every step; expected one without a seed, or its backend itself, which gets a seed a step"
    )


def _class_of(thing: object) -> str:
    return f"{type(thing).__module__.split('.')[0]}.{type(thing).__name__}"


def _name_of(backend: Any) -> str:
    name = getattr(backend, "name", None)
    return f" ({name})" if isinstance(name, str) and name else ""


def _as_numbers(packed: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Measured bits in bytes, most significant first, ``[B, shots, bytes]``, as whole numbers."""
    places: NDArray[np.int64] = 256 ** np.arange(packed.shape[-1], dtype=np.int64)[::-1]
    return packed.astype(np.int64) @ places
