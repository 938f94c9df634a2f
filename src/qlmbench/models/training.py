"""The one training loop: many repetitions of one network trained together, each as if alone.

A *stack* is R copies of a network whose every parameter has a leading axis of length R. Copies
share no parameter and no random number, the loss is the sum of their losses, and Adam works element
by element, so the gradient and the path of each copy are those of training it alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from qlmbench.seeding import seed_for

FloatArray = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
IntArray = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


N_LOOKS = 40
"""Times that a training looks at validation (every epoch, if it has fewer)."""


@dataclass(frozen=True)
class Problem:
    """Data of one repetition.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
    y : ndarray of shape (n,)
    X_val, y_val : ndarray, optional
        Validation rows, for the best state and for early stopping.
    """

    X: FloatArray
    y: IntArray
    X_val: FloatArray | None = None
    y_val: IntArray | None = None


@dataclass(frozen=True)
class Schedule:
    """How a stack is trained; equal for all its copies.

    Parameters
    ----------
    epochs : int
        Passes over the training rows.
    batch_size : int or None
        Rows a step; None for all rows at once.
    restore_best : bool
        Whether to end with the state of the best validation accuracy (ties: lowest loss) among
        those that are compared.
    patience : int or None
        Epochs without improvement on validation after which a copy stops.
    gradient_clip : float or None
        Largest norm of the gradient of a copy; see `clip_gradients`.
    n_looks : int
        Number of states that are compared on validation; about, for looks are epochs apart.
    """

    epochs: int
    batch_size: int | None
    restore_best: bool
    patience: int | None
    gradient_clip: float | None = None
    n_looks: int = N_LOOKS


@dataclass
class History:
    """What happened to one copy, epoch by epoch."""

    epochs: list[int] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    best_epoch: int | None = None
    diverged_at: int | None = None
    stopped_at: int = 0
    steps: int = 0


class StackedAdam:
    """Adam with one learning rate and one weight decay for each copy of a stack.

    For a stack of one copy it equals `torch.optim.Adam` (Kingma & Ba 2015, arXiv 1412.6980;
    weight decay as an L2 term of the gradient). It is not a `torch.optim.Optimizer`, whose
    constructor loads torch's compiler, for seconds, in every process.

    Parameters
    ----------
    params : sequence of Tensor
        Parameters with a leading axis of length R.
    lr : sequence of float
        R learning rates.
    weight_decay : sequence of float
        R factors of the L2 term.
    betas : tuple of float
        Decay rates of the two moments.
    eps : float
        Added to the root of the second moment.
    """

    def __init__(
        self,
        params: Sequence[nn.Parameter],
        lr: Sequence[float],
        weight_decay: Sequence[float],
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        self.params = list(params)
        self.lr = list(lr)
        self.weight_decay = list(weight_decay)
        self.betas = betas
        self.eps = eps
        self._n_steps = 0
        self._first = [torch.zeros_like(p) for p in self.params]
        self._second = [torch.zeros_like(p) for p in self.params]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for p in self.params:
            p.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Take one step."""
        self._n_steps += 1
        t, (beta1, beta2) = self._n_steps, self.betas
        params: list[Tensor] = list(self.params)
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.params]
        if any(self.weight_decay):
            decays = [self._spread(self.weight_decay, p) for p in params]
            grads = [g + d * p for g, d, p in zip(grads, decays, params, strict=True)]
        torch._foreach_lerp_(self._first, grads, 1 - beta1)
        torch._foreach_mul_(self._second, beta2)
        torch._foreach_addcmul_(self._second, grads, grads, 1 - beta2)
        denominators = torch._foreach_sqrt(self._second)
        torch._foreach_div_(denominators, math.sqrt(1 - beta2**t))
        torch._foreach_add_(denominators, self.eps)
        steps = torch._foreach_div(self._first, denominators)
        rates = [self._spread([lr / (1 - beta1**t) for lr in self.lr], p) for p in params]
        torch._foreach_mul_(steps, rates)
        torch._foreach_sub_(params, steps)

    @staticmethod
    def _spread(values: list[float], like: Tensor) -> Tensor:
        """Give a value a copy the shape that broadcasts against a parameter."""
        return torch.tensor(values, dtype=like.dtype).view(-1, *[1] * (like.ndim - 1))


@torch.no_grad()
def clip_gradients(params: Sequence[nn.Parameter], limit: float) -> None:
    """Scale the gradient of each copy of a stack down to a norm, if it is larger.

    The norm of a copy is over all its parameters; for a stack of one copy this equals
    `torch.nn.utils.clip_grad_norm_`.

    Parameters
    ----------
    params : sequence of Parameter
        With a leading axis of length R.
    limit : float
        Largest norm.
    """
    grads = [p.grad for p in params if p.grad is not None]
    norms = torch.stack([g.flatten(1).square().sum(1) for g in grads]).sum(0).sqrt()
    # The small number is torch's: the same factor, to the last digit.
    factors = (limit / (norms + 1e-6)).clamp(max=1.0)
    for g in grads:
        g.mul_(factors.view(-1, *[1] * (g.ndim - 1)))


@dataclass(frozen=True)
class _Stack:
    """Rows of all copies: X (R, n, n_features), y (R, n), weights (R, n)."""

    X: Tensor
    y: Tensor
    weights: Tensor

    @classmethod
    def of(
        cls,
        rows: Sequence[tuple[FloatArray, IntArray]],
        class_weights: Sequence[FloatArray] | None,
        dtype: torch.dtype,
    ) -> _Stack:
        X = torch.stack([torch.tensor(X, dtype=dtype) for X, _ in rows])
        y = torch.stack([torch.tensor(y, dtype=torch.long) for _, y in rows])
        if class_weights is None:
            return cls(X, y, torch.ones(y.shape, dtype=dtype))
        table = torch.stack([torch.tensor(w, dtype=dtype) for w in class_weights])
        return cls(X, y, table.gather(1, y))

    def batches(self, size: int | None, orders: list[torch.Generator]) -> Iterator[_Stack]:
        """Yield the rows in batches, each copy in an order of its own."""
        n = self.y.shape[1]
        if size is None or size >= n:
            yield self
            return
        order = torch.stack([torch.randperm(n, generator=g) for g in orders])
        copies = torch.arange(len(order))[:, None]
        for start in range(0, n, size):
            rows = order[:, start : start + size]
            yield _Stack(self.X[copies, rows], self.y[copies, rows], self.weights[copies, rows])

    def losses(self, logits: Tensor) -> Tensor:
        """Weighted mean cross-entropy of each copy, shape (R,)."""
        each = nn.functional.cross_entropy(
            logits.flatten(0, 1), self.y.flatten(), reduction="none"
        ).view_as(self.y)
        return (each * self.weights).sum(1) / self.weights.sum(1)

    def accuracies(self, logits: Tensor) -> Tensor:
        """Share of rows that are right, shape (R,)."""
        return (logits.argmax(-1) == self.y).double().mean(1)


class _BestStates:
    """The best state of each copy so far, and how long ago it was."""

    def __init__(self, network: nn.Module, n_copies: int) -> None:
        self.network = network
        self.states = [p.detach().clone() for p in network.parameters()]
        self.accuracy = torch.full((n_copies,), -1.0, dtype=torch.float64)
        self.loss = torch.full((n_copies,), math.inf, dtype=torch.float64)
        self.epoch = torch.zeros(n_copies, dtype=torch.long)

    def offer(self, epoch: int, accuracy: Tensor, loss: Tensor, running: Tensor) -> None:
        better = (accuracy > self.accuracy) | ((accuracy == self.accuracy) & (loss < self.loss))
        better &= running
        if not better.any():
            return
        self.accuracy[better], self.loss[better] = accuracy[better], loss[better].double()
        self.epoch[better] = epoch
        for state, parameter in zip(self.states, self.network.parameters(), strict=True):
            if better.all():
                state.copy_(parameter.detach())
            else:
                state[better] = parameter.detach()[better]

    @torch.no_grad()
    def restore(self) -> None:
        for state, parameter in zip(self.states, self.network.parameters(), strict=True):
            parameter.copy_(state)


def train_stack(
    network: nn.Module,
    problems: Sequence[Problem],
    schedule: Schedule,
    *,
    learning_rates: Sequence[float],
    weight_decays: Sequence[float],
    seeds: Sequence[int],
    class_weights: Sequence[FloatArray] | None = None,
) -> list[History]:
    """Train R copies of a network together.

    Parameters
    ----------
    network : torch.nn.Module
        Maps (R, n, n_features) to logits (R, n, n_classes); parameters have a leading axis R.
    problems : sequence of Problem
        R sets of rows with class indices as labels; all of one size.
    schedule : Schedule
        Epochs, batches, and what validation decides.
    learning_rates, weight_decays : sequence of float
        One value a copy.
    seeds : sequence of int
        One a copy; decides the order of the batches of that copy alone.
    class_weights : sequence of ndarray, optional
        Weight of each class, for each copy.

    Returns
    -------
    list of History
        One a copy. A copy whose loss stops being a number has ``diverged_at`` set; the others
        go on.
    """
    dtype = next(network.parameters()).dtype
    train = _Stack.of([(p.X, p.y) for p in problems], class_weights, dtype)
    validation = _validation_stack(problems, dtype)
    if validation is None and (schedule.patience is not None):
        raise ValueError("patience needs validation rows: give X_val and y_val to fit")
    histories = [History() for _ in problems]
    orders = [torch.Generator().manual_seed(seed_for("batches", seed=s)) for s in seeds]
    trainable = [p for p in network.parameters() if p.requires_grad]
    optimiser = StackedAdam(trainable, learning_rates, weight_decays)
    best = _BestStates(network, len(problems))
    running = torch.ones(len(problems), dtype=torch.bool)
    look_every = max(
        1, min(schedule.epochs // schedule.n_looks, schedule.patience or schedule.epochs)
    )
    for epoch in range(1, schedule.epochs + 1):
        losses = _epoch(network, train, schedule, orders, optimiser, histories)
        _note_divergence(histories, running, losses, epoch)
        if epoch % look_every == 0 or epoch == schedule.epochs:
            _look(network, validation, histories, losses, epoch, best, running)
        for r in torch.nonzero(running).flatten().tolist():
            histories[r].stopped_at = epoch
        if schedule.patience is not None:
            running &= epoch - best.epoch < schedule.patience
        if not running.any():
            break
    if validation is not None and schedule.restore_best:
        best.restore()
        for history, epoch_ in zip(histories, best.epoch.tolist(), strict=True):
            history.best_epoch = epoch_
    return histories


def _validation_stack(problems: Sequence[Problem], dtype: torch.dtype) -> _Stack | None:
    rows = [(p.X_val, p.y_val) for p in problems]
    given = [(X, y) for X, y in rows if X is not None and y is not None]
    if given and len(given) < len(rows):
        raise ValueError(f"{len(given)} of {len(rows)} problems have validation rows; give all")
    return _Stack.of(given, None, dtype) if given else None


def _epoch(
    network: nn.Module,
    train: _Stack,
    schedule: Schedule,
    orders: list[torch.Generator],
    optimiser: StackedAdam,
    histories: list[History],
) -> Tensor:
    """One pass over the rows; return the mean loss of each copy, shape (R,)."""
    network.train()
    total, weight = torch.zeros(len(orders)), torch.zeros(len(orders))
    for batch in train.batches(schedule.batch_size, orders):
        losses = batch.losses(network(batch.X))
        optimiser.zero_grad()
        torch.autograd.backward(losses.sum())
        if schedule.gradient_clip is not None:
            clip_gradients(optimiser.params, schedule.gradient_clip)
        optimiser.step()
        share = batch.weights.sum(1)
        total = total + losses.detach() * share
        weight = weight + share
        for history in histories:
            history.steps += 1
    return total / weight


def _note_divergence(histories: list[History], running: Tensor, losses: Tensor, epoch: int) -> None:
    for r in torch.nonzero(~torch.isfinite(losses)).flatten().tolist():
        running[r] = False
        if histories[r].diverged_at is None:
            histories[r].diverged_at = epoch


@torch.no_grad()
def _look(
    network: nn.Module,
    validation: _Stack | None,
    histories: list[History],
    losses: Tensor,
    epoch: int,
    best: _BestStates,
    running: Tensor,
) -> None:
    """Write down where every copy stands, and keep the states that are best on validation."""
    for history, loss in zip(histories, losses.tolist(), strict=True):
        history.epochs.append(epoch)
        history.train_loss.append(loss)
    if validation is None:
        return
    network.eval()
    logits = network(validation.X)
    accuracy, loss = validation.accuracies(logits), validation.losses(logits)
    best.offer(epoch, accuracy, loss, running)
    for r, history in enumerate(histories):
        history.validation_accuracy.append(float(accuracy[r]))
        history.validation_loss.append(float(loss[r]))
