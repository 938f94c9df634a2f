"""What stands between Down and Up: a circuit, a control, or a module of the user's own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from qlmbench.adapters.circuits import PhotonicBottleneck, keep_precision, make_circuit
from qlmbench.adapters.config import QuantumLoRAConfig
from qlmbench.quantum.photonic import PhotonicCircuit

CircuitFactory = Callable[[int, int], nn.Module]
"""Makes a circuit from ``r`` and a seed."""
OwnCircuit = nn.Module | CircuitFactory

CONTROLS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda values: values,
    "tanh": torch.tanh,
    "cosine": torch.cos,
    "sine": torch.sin,
    "relu": torch.relu,
}
"""Functions of one value, without parameters."""


class BottleneckModule(Protocol):
    """Maps (N, r) to (N, n_out)."""

    n_out: int

    def __call__(self, values: Tensor) -> Tensor:
        """Map the values of Down."""
        ...


class ElementwiseBottleneck(nn.Module):
    """A control: the same function of every value.

    Parameters
    ----------
    kind : str
        A key of `CONTROLS`.
    width : int
        Number of values.
    """

    def __init__(self, kind: str, width: int) -> None:
        super().__init__()
        self.kind = kind
        self.n_out = width

    def forward(self, values: Tensor) -> Tensor:
        """Apply the function."""
        return CONTROLS[self.kind](values)

    def extra_repr(self) -> str:
        """Name the function."""
        return self.kind


class OwnBottleneck(nn.Module):
    """A module of the user's own, which computes in its own precision, never in half.

    Parameters
    ----------
    module : torch.nn.Module
        Maps (N, r) to (N, any number).
    width : int
        Number r of values.
    """

    def __init__(self, module: nn.Module, width: int) -> None:
        super().__init__()
        self.module = module
        floating = [p for p in module.parameters() if p.is_floating_point()]
        self.precision = floating[0].dtype if floating else torch.float32
        device = floating[0].device if floating else torch.device("cpu")
        self.n_out = self._probe(width, device)

    def forward(self, values: Tensor) -> Tensor:
        """Run the module."""
        with torch.autocast(values.device.type, enabled=False):
            return cast(Tensor, self.module(values.to(self.precision)))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> OwnBottleneck:
        super()._apply(keep_precision(fn), recurse)  # type: ignore[no-untyped-call]
        floating = [p for p in self.module.parameters() if p.is_floating_point()]
        self.precision = floating[0].dtype if floating else self.precision
        return self

    def _probe(self, width: int, device: torch.device) -> int:
        name = type(self.module).__name__
        try:
            with torch.no_grad():
                out = self.module(torch.zeros(2, width, dtype=self.precision, device=device))
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(
                f"the circuit {name} does not take values of shape (2, {width}), one a mode: "
                f"{reason}"
            ) from error
        if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != 2 or out.is_complex():
            got = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise ValueError(
                f"the circuit {name} makes {got} of values (2, {width}); expected real numbers "
                "(2, outputs)"
            )
        return out.shape[1]


def make_bottleneck(
    config: QuantumLoRAConfig, seed: int, dtype: torch.dtype, own: OwnCircuit | None
) -> nn.Module:
    """Make what the settings describe.

    Parameters
    ----------
    config : QuantumLoRAConfig
        The settings.
    seed : int
        Of the initial values.
    dtype : torch.dtype
        float32 or float64, of a circuit's angles.
    own : torch.nn.Module or callable or None
        The circuit where ``config.ansatz`` is "custom": a module, which is copied, or a function
        of ``r`` and a seed that makes one.

    Raises
    ------
    ValueError
        If the circuit and the settings do not go together.
    """
    if (config.ansatz == "custom") != (own is not None):
        raise ValueError(
            "ansatz 'custom' needs a circuit: give it as circuit="
            if own is None
            else f"a circuit is given and ansatz={config.ansatz!r}; take ansatz='custom'"
        )
    if config.bottleneck != "photonic":
        return ElementwiseBottleneck(config.bottleneck, config.r)
    groups = config.r if config.readout == "grouped" else None
    if own is None:
        return PhotonicBottleneck(make_circuit(config, seed, dtype), groups)
    module = copy.deepcopy(own) if isinstance(own, nn.Module) else own(config.r, seed)
    if not isinstance(module, nn.Module):
        raise ValueError(f"the circuit is a {type(module).__name__}; expected a torch.nn.Module")
    if not config.train_circuit:
        module.requires_grad_(False)
    if not isinstance(module, PhotonicCircuit):
        return OwnBottleneck(module, config.r)
    _check_own_circuit(module, config.r)
    return PhotonicBottleneck(module)


def _check_own_circuit(circuit: PhotonicCircuit, r: int) -> None:
    if circuit.n_modes != r:
        raise ValueError(f"the circuit has {circuit.n_modes} modes, r={r}; expected r modes")
    if circuit.repetitions != 1:
        raise ValueError(
            f"the circuit has {circuit.repetitions} repetitions; expected 1, an adapter is one"
        )
    if circuit.readout == "amplitudes":
        raise ValueError("the circuit reads out amplitudes; take a readout of real numbers")
