"""A torch optimiser in which a circuit rewrites the update of chosen weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_args, overload

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from qlmbench.optim.blocks import from_blocks, largest_magnitudes, shuffled, to_blocks
from qlmbench.optim.groups import Groups, as_groups, compiled, gates_of, named
from qlmbench.optim.rules import Coverage, Normalise
from qlmbench.optim.update import BlockUpdate
from qlmbench.quantum.qubit_description import CircuitDescription
from qlmbench.ranges import check_choice, check_positive
from qlmbench.seeding import seed_for

if TYPE_CHECKING:
    from qlmbench.optim.qiskit_sampling import QiskitSource

# What a parameter group's weights get; kept in the group under _ROLE.
_ROLE = "quantum_role"
_REST, _SHARED, _OWN = "inner optimiser", "inner optimiser and circuit", "circuit"
_SAVED = "quantum"


class QuantumGradientOptimizer(Optimizer):
    r"""Updates chosen weights by measured circuits and all others by an inner optimiser.

    Parameters
    ----------
    params : iterable of (name, Tensor), or of dict
        ``model.named_parameters()``, or groups whose ``"params"`` are such pairs, with options of
        the inner optimiser (as ``weight_decay``) beside them.
    chosen : str
        Regular expression that is searched in the names: the weights that the circuit updates.
    rule : str
        How they are updated, a name in :data:`qlmbench.optim.rules.RULES`: ``"corrected"``,
        ``"as-published"`` or a control.
    base : {"as-published", "corrected"}, optional
        What a control stands on (see :mod:`qlmbench.optim.rules`); as-published if left out.
    circuit : str or CircuitDescription
        A name in :data:`qlmbench.optim.circuits.CIRCUITS`, or a circuit of one's own.
    quantum_lr : float
        Learning rate of the circuit's update. In the corrected base it follows the scheduler; in
        the as-published base it is constant, as published.
    n_qubits : int
        Qubits of a circuit, and weights in a block.
    shots : int
        Measurements of each circuit.
    coverage : {"first", "all"}, optional
        Whether the first n weights of a chosen tensor are updated or all; the base's if left out.
    normalise : {"tensor", "block"}
        Whether gradients are divided by the largest magnitude of their tensor, as published, or of
        their block of n.
    angle_scale : float
        Angle that stands for the largest magnitude, in radians; pi as published, see
        :class:`qlmbench.optim.update.BlockUpdate`.
    temperature : float, optional
        Of Langevin noise, see :class:`qlmbench.optim.update.BlockUpdate`.
    inner : callable
        Makes the inner optimiser from parameter groups and ``lr``.
    lr : float
        Learning rate of the inner optimiser.
    inner_options : dict, optional
        Further arguments of the inner optimiser.
    backend : BackendV2 or BaseSamplerV2, optional
        Qiskit backend or primitive that measures the circuits; the local simulator if left out.
    seed : int
        Of shots and noise.

    Attributes
    ----------
    inner : Optimizer or None
        The inner optimiser, None if it has no weights. It shares state and parameter groups.

    Raises
    ------
    ValueError
        If weights have no names, the expression matches no trainable weight, a chosen tensor has
        fewer weights than qubits, or an option is unknown or out of its range; in a step, if the
        gradient of a chosen weight is sparse or not finite.

    Notes
    -----
    In a step, chosen weights are updated by the circuit first, from their unchanged gradient, then
    by the inner optimiser if it shares them. A weight without a gradient is left alone, as
    everywhere in torch. The update depends on the direction of a gradient and not on its size:
    clipping by the norm changes nothing but the inner optimiser's part.

    ``state_dict`` holds the state of the random generator, so that a run goes on bit for bit where
    it was left, if its circuits run on the local simulator. The optimiser refuses to be pickled or
    copied: a backend may hold credentials.

    Examples
    --------
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    >>> optimizer = QuantumGradientOptimizer(model.named_parameters(), r"^0\.weight$", lr=1e-3)
    >>> model(torch.ones(1, 4)).sum().backward()
    >>> optimizer.step()
    >>> optimizer.provenance()["circuits"]
    {'local simulator': 4}
    """

    inner: Optimizer | None = None

    def __init__(
        self,
        params: Groups,
        chosen: str,
        *,
        rule: str = "corrected",
        base: str | None = None,
        circuit: str | CircuitDescription = "as-published",
        quantum_lr: float = 0.01,
        n_qubits: int = 5,
        shots: int = 1000,
        coverage: Coverage | None = None,
        normalise: Normalise = "tensor",
        angle_scale: float = math.pi,
        temperature: float | None = None,
        inner: Callable[..., Optimizer] = torch.optim.AdamW,
        lr: float = 5e-5,
        inner_options: dict[str, Any] | None = None,
        backend: QiskitSource | None = None,
        seed: int = 0,
    ) -> None:
        self._update = BlockUpdate(
            rule,
            base=base,
            circuit=circuit,
            n_qubits=n_qubits,
            shots=shots,
            angle_scale=angle_scale,
            temperature=temperature,
            backend=backend,
        )
        self._coverage = coverage or self._update.scheme.coverage
        self._normalise = normalise
        self._check_options(lr)
        self._pattern = compiled(chosen)
        self._make_inner, self._inner_options = inner, dict(inner_options or {})
        # "measured" and "pseudo-random" draw from one distribution: their draws must differ.
        stream = self._update.rule.source
        self._rng = np.random.default_rng(seed_for("sampling", optimizer=stream, seed=seed))
        groups = [part for group in as_groups(params) for part in self._split(group, quantum_lr)]
        self._check_choice(chosen, groups)
        super().__init__(groups, {"lr": lr, "quantum_lr": quantum_lr})
        self._attach()

    def _check_options(self, lr: float) -> None:
        check_choice("coverage", self._coverage, get_args(Coverage))
        check_choice("normalise", self._normalise, get_args(Normalise))
        check_positive("lr", lr)

    def _split(self, group: dict[str, Any], quantum_lr: float) -> list[dict[str, Any]]:
        """Divide a group into the weights that the expression chooses and the rest."""
        options = {key: value for key, value in group.items() if key != "params"}
        chosen: list[tuple[str, Tensor]] = []
        rest: list[tuple[str, Tensor]] = []
        for name, parameter in named(group["params"]):
            is_chosen = parameter.requires_grad and self._pattern.search(name)
            (chosen if is_chosen else rest).append((name, parameter))
        parts: list[dict[str, Any]] = []
        if rest:
            parts.append({"params": rest, **options, _ROLE: _REST})
        if chosen:
            role = _SHARED if self._update.shared else _OWN
            parts.append({"params": chosen, "quantum_lr": quantum_lr, **options, _ROLE: role})
            check_positive("quantum_lr", parts[-1]["quantum_lr"])
            if role == _OWN:
                # Schedulers act on "lr": it is the circuit's where nothing else uses it.
                parts[-1]["lr"] = parts[-1]["quantum_lr"]
        return parts

    def _check_choice(self, chosen: str, groups: list[dict[str, Any]]) -> None:
        found = [pair for g in groups if g[_ROLE] != _REST for pair in g["params"]]
        if not found:
            raise ValueError(
                f"got chosen={chosen!r}, which matches no trainable weight of "
                f"{sum(len(g['params']) for g in groups)}; expected a regular expression that is "
                "found in the name of at least one"
            )
        for name, parameter in found:
            if parameter.numel() < self._update.n_qubits:
                raise ValueError(
                    f"got {name} with {parameter.numel()} weights for {self._update.n_qubits} "
                    "qubits; expected at least as many weights as qubits in every chosen tensor"
                )

    def _attach(self) -> None:
        """Let the inner optimiser work on this one's own groups and state."""
        for group in self.param_groups:
            if group[_ROLE] != _REST and "quantum_base_lr" not in group:
                check_positive("lr", group["lr"])
                group["quantum_base_lr"] = float(group["lr"])
        groups = [group for group in self.param_groups if group[_ROLE] != _OWN]
        if not groups:
            return
        if self.inner is None:
            lr = self.defaults["lr"]
            bare = [{k: v for k, v in g.items() if k not in ("param_names", _ROLE)} for g in groups]
            self.inner = self._make_inner(bare, lr=lr, **self._inner_options)
            for group, made in zip(groups, self.inner.param_groups, strict=True):
                for key, value in made.items():
                    group.setdefault(key, value)
        self.inner.param_groups = groups
        self.inner.state = self.state

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add weights, chosen by the same expression; pairs of name and tensor as at the start."""
        if _ROLE in param_group:
            super().add_param_group(param_group)
            return
        parts = self._split(param_group, self.defaults["quantum_lr"])
        for part in parts:
            if part[_ROLE] != _OWN and self.inner is not None:
                part.update({k: v for k, v in self.inner.defaults.items() if k not in part})
            super().add_param_group(part)
        self._attach()

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update all weights once.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss and its gradients anew, and returns the loss.

        Raises
        ------
        ValueError
            If the gradient of a chosen weight is sparse, or has NaN or infinity.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        updates = [
            (parameter, self._draw(name, parameter.grad, self._rate(group)))
            for group in self.param_groups
            if group[_ROLE] != _REST
            for name, parameter in zip(group["param_names"], group["params"], strict=True)
            if parameter.grad is not None
        ]
        for parameter, update in updates:
            parameter.sub_(update.view_as(parameter).to(parameter))
        if self.inner is not None:
            self.inner.step()
        return loss

    def _rate(self, group: dict[str, Any]) -> float:
        """Learning rate of the circuit's update, now."""
        rate = float(group["quantum_lr"])
        if self._update.scheme.scheduled:
            rate *= float(group["lr"]) / group["quantum_base_lr"]
        return rate

    def _draw(self, name: str, gradient: Tensor, rate: float) -> Tensor:
        if gradient.is_sparse:
            raise ValueError(f"got a sparse gradient of {name}; expected a dense one")
        flat = gradient.detach().reshape(-1).cpu()
        if not bool(flat.isfinite().all()):
            raise ValueError(f"got a gradient of {name} with NaN or infinity; expected numbers")
        n_qubits = self._update.n_qubits
        if self._update.rule.shuffled:
            flat = shuffled(flat, n_qubits, self._normalise, self._rng)
        blocks = to_blocks(flat, n_qubits, self._coverage)
        largest = largest_magnitudes(flat, blocks, self._normalise)
        return from_blocks(self._update(blocks, largest, rate, self._rng), flat.numel())

    def provenance(self) -> dict[str, Any]:
        """Say what ran: the rule, its circuit, and how many circuits each sampler has measured.

        Returns
        -------
        dict
            Plain values. ``"circuits"`` maps a simulator's or backend's class and name to the
            number of circuits that it measured, through all resumptions; it is empty for rules
            that measure none, and before the first step.
        """
        return {**self._configuration(), "circuits": dict(self._update.circuits)}

    def _configuration(self) -> dict[str, Any]:
        update = self._update
        return {
            "rule": update.name,
            "base": update.base,
            "source": update.rule.source,
            "gates": gates_of(update.circuit),
            "n_qubits": update.n_qubits,
            "shots": update.shots,
            "coverage": self._coverage,
            "normalise": self._normalise,
            "angle_scale": update.angle_scale,
            "temperature": update.temperature,
        }

    def state_dict(self) -> dict[str, Any]:
        """State of the inner optimiser, in torch's form, and of the random generator."""
        saved = {**self.provenance(), "generator": self._rng.bit_generator.state}
        return {**super().state_dict(), _SAVED: saved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a run was left.

        Parameters
        ----------
        state_dict : dict
            What :meth:`state_dict` gave, of an optimiser of the same weights and options.

        Raises
        ------
        ValueError
            If the state is of another kind of optimiser or of other options.
        """
        if _SAVED not in state_dict:
            raise ValueError(
                "got the state of another optimiser; expected one of QuantumGradientOptimizer"
            )
        saved = state_dict[_SAVED]
        for key, here in self._configuration().items():
            if saved[key] != here:
                raise ValueError(
                    f"got a state with {key}={saved[key]!r}; expected {here!r}, as here"
                )
        self._check_names(state_dict["param_groups"])
        super().load_state_dict({k: v for k, v in state_dict.items() if k != _SAVED})
        self._attach()
        self._rng.bit_generator.state = saved["generator"]
        self._update.circuits = dict(saved["circuits"])

    def _check_names(self, groups: list[dict[str, Any]]) -> None:
        saved = [name for g in groups if g[_ROLE] != _REST for name in g["param_names"]]
        here = [name for g in self.param_groups if g[_ROLE] != _REST for name in g["param_names"]]
        if saved != here:
            raise ValueError(
                f"got a state in which {', '.join(saved)} were chosen; expected {', '.join(here)}"
            )

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError(
            "a QuantumGradientOptimizer is not pickled or copied, for its backend may hold "
            "credentials; save its state_dict()"
        )
