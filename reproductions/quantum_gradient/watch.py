"""How the updates of a training relate to its gradients, step by step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from qlmbench.optim.analysis import cosines, sign_agreement
from qlmbench.optim.blocks import to_blocks
from qlmbench.optim.optimizer import QuantumGradientOptimizer


class UpdateWatch:
    """Watches what a rule subtracts from the chosen weights, apart from the inner optimiser.

    The rule's update is what the weights have lost when the inner optimiser's step begins. Weights
    that the rule does not cover count for nothing.

    Parameters
    ----------
    optimizer : QuantumGradientOptimizer
        Before its first step; with an inner optimiser.
    drift : float
        Root mean square of the update that the rule makes on average where the gradient is zero.
    """

    def __init__(self, optimizer: QuantumGradientOptimizer, drift: float = 0.0) -> None:
        inner = optimizer.inner
        if inner is None:
            raise ValueError("got an optimiser without an inner one; expected weights for both")
        self._optimizer, self._drift = optimizer, drift
        groups = [group for group in optimizer.param_groups if "quantum_base_lr" in group]
        self._chosen: list[Tensor] = [p for group in groups for p in group["params"]]
        self._shared = any(own is group for own in inner.param_groups for group in groups)
        described = optimizer.provenance()
        self._blocks = described["n_qubits"], described["coverage"]
        self._before: list[Tensor] = []
        self._rows: list[dict[str, float]] = []
        self._total = torch.zeros(())
        optimizer.register_step_pre_hook(self._remember)
        inner.register_step_pre_hook(self._compare)

    def provenance(self) -> dict[str, Any]:
        """Say what the optimiser says of itself, and whether AdamW shares the chosen weights."""
        return {**self._optimizer.provenance(), "shared": self._shared}

    def averages(self) -> dict[str, float]:
        """Average over the steps that changed a weight.

        Returns
        -------
        dict
            Empty if no step did. Otherwise:

            - ``update_cosine``: of the update, which is subtracted, with the gradient: 1 is
              gradient descent, 0 no relation.
            - ``update_sign_agreement``: share of weights whose update has their gradient's sign.
            - ``update_drift_share``: mean square of the drift over that of the updates; above 1
              where gradients push against the drift.
            - ``update_constant_share``: the square of the mean update over the mean square of the
              updates: 1 is the same update in each step, whatever its cause; for updates without
              relation to each other it is one over the number of steps.
            - ``update_rms``: root mean square of the update of a weight.
            - ``gradient_scale``: largest gradient among the covered weights, over the largest of
              their tensor.
        """
        if not self._rows:
            return {}
        n = len(self._rows)
        mean = {name: sum(row[name] for row in self._rows) / n for name in self._rows[0]}
        square = mean.pop("square")
        constant = float((self._total / n).square().mean())
        return {
            **mean,
            "update_drift_share": self._drift**2 / square,
            "update_constant_share": constant / square,
            "update_rms": square**0.5,
        }

    def _remember(self, *_: object) -> None:
        self._before = [weights.detach().clone() for weights in self._chosen]

    def _compare(self, *_: object) -> None:
        pairs = list(zip(self._before, self._chosen, strict=True))
        update = torch.cat([self._covered(before - now.detach()) for before, now in pairs])
        if not bool(update.any()):
            return
        gradients = [w.grad for w in self._chosen if w.grad is not None]
        gradient = torch.cat([self._covered(g) for g in gradients])
        largest = torch.stack([g.abs().max() for g in gradients]).max()
        if not bool(gradient.any()):
            return
        self._total = self._total + update
        self._rows.append(
            {
                "update_cosine": float(cosines(update[None], gradient[None])[0]),
                "update_sign_agreement": float(sign_agreement(update[None], gradient[None])[0]),
                "gradient_scale": float(gradient.abs().max() / largest),
                "square": float(update.square().mean()),
            }
        )

    def _covered(self, values: Tensor) -> Tensor:
        """Flat values of the weights that the rule covers, in double precision."""
        flat = values.detach().reshape(-1).double()
        return to_blocks(flat, *self._blocks).reshape(-1)[: flat.numel()]
