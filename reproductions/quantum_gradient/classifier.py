"""DistilBERT whose fine-tuning rewrites the update of chosen weights, as the project has it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from qlmbench.data.pretrained import read_pretrained
from qlmbench.models.distilbert import Pooling
from qlmbench.models.fine_tuning import TINY, FineTunedClassifier
from qlmbench.models.training import FloatArray, Problem
from qlmbench.optim.analysis import drift
from qlmbench.optim.optimizer import QuantumGradientOptimizer
from qlmbench.optim.rules import BASES, RULES, Coverage, Normalise
from qlmbench.records import Cost, Parameters

from .watch import UpdateWatch

ADAMW = "adamw"
"""Rule of the plain optimiser: nothing is rewritten."""


class QuantumGradientClassifier(FineTunedClassifier):
    """DistilBERT, fine-tuned while a rule rewrites the update of chosen weights.

    The defaults are those of the published code, whose keys stand in brackets. Its MAX_LENGTH of
    128, TRAIN_SIZE of 100 and EVAL_SIZE of 50 belong to the data: the encoder's name and the split.

    Parameters
    ----------
    weights : str, default="distilbert-base-uncased"
        A pretrained model: a name or a folder that `qlmbench.data.pretrained` knows, or "tiny"
        [MODEL_NAME].
    rule : str, default="as-published"
        "adamw", or a name in :data:`qlmbench.optim.rules.RULES`.
    base : {"as-published", "corrected"} or None, default=None
        What a control stands on; None for the rule's own, or as-published.
    target : str
        Regular expression that is searched in the names of the weights.
    quantum_learning_rate : float, default=0.01
        Of the circuit's update [QUANTUM_LEARNING_RATE].
    n_qubits : int, default=5
        Qubits, and weights in a block [NUM_QUBITS].
    shots : int, default=1000
        Measurements of a circuit [SHOTS].
    circuit : str, default="as-published"
        A name in :data:`qlmbench.optim.circuits.CIRCUITS`.
    coverage : {"first", "all"} or None, default=None
        Which weights of a chosen tensor are updated; None for what the base does.
    normalise : {"tensor", "block"}, default="tensor"
        What gradients are divided by the largest magnitude of.
    angle_scale : float, default=pi
        Angle of the largest gradient, in radians.
    temperature : float or None, default=None
        Of Langevin noise.
    epochs : int, default=3
        Passes over the training rows [NUM_EPOCHS].
    batch_size : int or None, default=8
        Rows a step [BATCH_SIZE].
    learning_rate : float, default=5e-5
        Of AdamW [LEARNING_RATE].
    weight_decay, eps, pooling, head_dropout, gradient_clip, frozen_encoder, random_state
        See :class:`qlmbench.models.fine_tuning.FineTunedClassifier`.

    Attributes
    ----------
    optimizer_ : dict
        What the optimiser says of itself, see
        :meth:`qlmbench.optim.optimizer.QuantumGradientOptimizer.provenance`; empty for plain AdamW.
    """

    def __init__(
        self,
        *,
        weights: str = "distilbert-base-uncased",
        rule: str = "as-published",
        base: str | None = None,
        target: str = r"layer\.0\.attention\.out_lin\.weight$",
        quantum_learning_rate: float = 0.01,
        n_qubits: int = 5,
        shots: int = 1000,
        circuit: str = "as-published",
        coverage: Coverage | None = None,
        normalise: Normalise = "tensor",
        angle_scale: float = math.pi,
        temperature: float | None = None,
        epochs: int = 3,
        batch_size: int | None = 8,
        learning_rate: float = 5e-5,
        weight_decay: float = 0.0,
        eps: float = 1e-6,
        pooling: Pooling = "first",
        head_dropout: float = 0.2,
        gradient_clip: float | None = None,
        frozen_encoder: bool = False,
        random_state: int = 0,
    ) -> None:
        super().__init__(
            weights=weights,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            eps=eps,
            pooling=pooling,
            head_dropout=head_dropout,
            gradient_clip=gradient_clip,
            frozen_encoder=frozen_encoder,
            random_state=random_state,
        )
        self.rule = rule
        self.base = base
        self.target = target
        self.quantum_learning_rate = quantum_learning_rate
        self.n_qubits = n_qubits
        self.shots = shots
        self.circuit = circuit
        self.coverage = coverage
        self.normalise = normalise
        self.angle_scale = angle_scale
        self.temperature = temperature

    def pretrained(self) -> tuple[Mapping[str, Any], Mapping[str, Tensor] | None]:
        """Return the configuration and the weights of the model; None for random weights."""
        if self.weights == TINY:
            return super().pretrained()
        found = read_pretrained(self.weights)
        return found.config, found.tensors

    def make_optimizer(self, named: Sequence[tuple[str, Tensor]]) -> torch.optim.Optimizer:
        """Make plain AdamW, or the optimiser that rewrites the update of the chosen weights."""
        self._watch: UpdateWatch | None = None
        if self.rule == ADAMW:
            return super().make_optimizer(named)
        optimizer = QuantumGradientOptimizer(
            named,
            self.target,
            rule=self.rule,
            base=self.base,
            circuit=self.circuit,
            quantum_lr=self.quantum_learning_rate,
            n_qubits=self.n_qubits,
            shots=self.shots,
            coverage=self.coverage,
            normalise=self.normalise,
            angle_scale=self.angle_scale,
            temperature=self.temperature,
            lr=self.learning_rate,
            inner_options=self.adamw_options,
            seed=self.random_state,
        )
        self._watch = UpdateWatch(optimizer, self._drift(optimizer))
        return optimizer

    def _drift(self, optimizer: QuantumGradientOptimizer) -> float:
        """Root mean square of the mean update at a zero gradient."""
        described = optimizer.provenance()
        scheme = BASES[described["base"]]
        if scheme.centred or described["source"] in ("langevin", "nothing"):
            return 0.0
        circuit = RULES[self.rule].circuit or self.circuit
        factors = drift(self.n_qubits, circuit=circuit, reversed_bits=scheme.reversed_bits)
        return self.quantum_learning_rate * float(factors.square().mean().sqrt())

    @property
    def attention_layer(self) -> int:
        """Layer of the first chosen weights."""
        names = [name for name, _ in self.network_.named_parameters()]
        chosen = [name for name in names if re.search(self.target, name)]
        found = re.search(r"\.layer\.(\d+)\.", chosen[0]) if chosen else None
        return int(found[1]) if found else 0

    def diagnostics(self, X: FloatArray) -> dict[str, float]:
        """Say how the rule's updates related to the gradients, averaged over the training.

        Returns
        -------
        dict
            See `UpdateWatch.averages`; empty for rules without an update of their own.
        """
        return dict(self.updates_)

    def count_parameters(self) -> Parameters:
        """Count the weights that are trained; chosen weights without any update are not."""
        counted = super().count_parameters()
        chosen = [
            p.numel() for n, p in self.network_.named_parameters() if re.search(self.target, n)
        ]
        still = self.optimizer_.get("source") == "nothing" and not self.optimizer_["shared"]
        return Parameters(classical=counted.classical - (sum(chosen) if still else 0))

    def hardware_cost(self, n_train: int) -> Cost | None:
        """Circuits that the training measured; None for rules that measure none."""
        circuits = sum(self.optimizer_.get("circuits", {}).values())
        return Cost(circuits=circuits, shots=circuits * self.shots) if circuits else None

    def _fit_alone(self, problem: Problem) -> Exception | None:
        error = super()._fit_alone(problem)
        watch = self._watch
        self.optimizer_: dict[str, Any] = {} if watch is None else watch.provenance()
        self.updates_: dict[str, float] = {} if watch is None else watch.averages()
        self._watch = None  # it holds the optimiser's state, three times as large as the weights
        return error
