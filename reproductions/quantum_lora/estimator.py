"""Estimators whose parameters say what is put into a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch

from qlmbench.adapters.config import Ansatz, Bottleneck, Readout
from qlmbench.models.stacked_model import StackedModel
from qlmbench.models.training import Problem
from qlmbench.quantum.fock import Space
from qlmbench.seeding import seed_for

from .update import Method, Update


class UpdateMixin(StackedModel):
    """A trained model that takes the fields of `Update` as its own arguments.

    It stands before the model's other base. A subclass has an ``__init__`` with its own arguments
    and ``**options``, whose names scikit-learn then knows.

    Parameters
    ----------
    method : {"quantum", "as-published", "lora", "none", "full"}, default="quantum"
        What is put into the model; see `Update`, also for the other arguments.
    r : int, default=4
        Width of the bottleneck: modes of the circuit, rank of LoRA.
    n_photons : int, default=1
        Photons in the circuit.
    alpha : float, default=1.0
        Factor of the update, divided by r.
    ansatz : {"simple", "universal", "hardware_efficient"}, default="simple"
        The circuit.
    readout : {"mode_expectations", "grouped", "probabilities"}, default="mode_expectations"
        What Up sees.
    space : {"unbunched", "fock"}, default="unbunched"
        Outcomes that count.
    bottleneck : {"photonic", "linear", "tanh", "cosine", "sine", "relu"}, default="photonic"
        The circuit, or a control in its place.
    train_circuit : bool, default=True
        False leaves the circuit as drawn.
    indistinguishability : float, default=1.0
        1 for identical photons, 0 for distinguishable ones.
    dropout : float, default=0.0
        Share of the adapter's inputs set to zero in training.
    **options
        Arguments of the model's other bases.
    """

    def __init__(
        self,
        *,
        method: Method = "quantum",
        r: int = 4,
        n_photons: int = 1,
        alpha: float = 1.0,
        ansatz: Ansatz = "simple",
        readout: Readout = "mode_expectations",
        space: Space = "unbunched",
        bottleneck: Bottleneck = "photonic",
        train_circuit: bool = True,
        indistinguishability: float = 1.0,
        dropout: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.method: Method = method
        self.r = r
        self.n_photons = n_photons
        self.alpha = alpha
        self.ansatz: Ansatz = ansatz
        self.readout: Readout = readout
        self.space: Space = space
        self.bottleneck: Bottleneck = bottleneck
        self.train_circuit = train_circuit
        self.indistinguishability = indistinguishability
        self.dropout = dropout

    @property
    def update(self) -> Update:
        """What is put into the model; its seed is the random state.

        Raises
        ------
        ValueError
            If an argument is unknown, out of its range, or without effect.
        """
        return Update(
            method=self.method,
            r=self.r,
            n_photons=self.n_photons,
            alpha=self.alpha,
            ansatz=self.ansatz,
            readout=self.readout,
            space=self.space,
            bottleneck=self.bottleneck,
            train_circuit=self.train_circuit,
            indistinguishability=self.indistinguishability,
            dropout=self.dropout,
            seed=int(self.random_state),
        )

    def _check_options(self) -> None:
        super()._check_options()
        self.update  # noqa: B018 - it is checked where it is made

    @classmethod
    def _fit_stack(
        cls, heads: Sequence[Self], problems: Sequence[Problem]
    ) -> list[Exception | None]:
        # Dropout of adapters, ours and peft's, draws from torch's own generator.
        seed = int(heads[0].random_state)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for("sampling", dropout="adapter", seed=seed))
            return super()._fit_stack(heads, problems)
