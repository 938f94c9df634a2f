"""The training loop of a stack: many copies of one network trained together, each as if alone.

A *stack* is R copies of a network whose every parameter has a leading axis of length R. Copies
share no parameter and no random number, the loss is the sum of their losses, and Adam works element
by element, so the gradient and the path of each copy are those of training it alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from qlmbench.metrics import FloatArray as FloatArray
from qlmbench.metrics import IntArray as IntArray
from qlmbench.models.stacked_rows import StackedRows
from qlmbench.seeding import seed_for

N_LOOKS = 40
"""Times that a training looks at validation (every epoch, if it has fewer)."""


@dataclass(frozen=True)
class Problem:
    """Data of one repetition.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
    y : ndarray of shape (n,) or (n, T)
        Class index of each row, or of each of its T positions; -1 counts for nothing.
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
        Whether to end with the state that was best on validation among those that are compared.
    patience : int or None
        Epochs without improvement on validation after which a copy stops.
    gradient_clip : float or None
        Largest norm of the gradient of a copy; see `clip_gradients`.
    n_looks : int
        Number of states that are compared on validation; about, for looks are epochs apart.
    best : {"accuracy", "loss"}
        What makes a state the best: highest validation accuracy (ties: lowest loss), or lowest
        validation loss.
    look_size : int or None
        Validation rows looked at together; None for all, whose logits must then fit into memory.
    """

    epochs: int
    batch_size: int | None
    restore_best: bool
    patience: int | None
    gradient_clip: float | None = None
    n_looks: int = N_LOOKS
    best: Literal["accuracy", "loss"] = "accuracy"
    look_size: int | None = None


@dataclass
class History:
    """What happened to one copy, epoch by epoch.

    Attributes
    ----------
    epochs : list of int
        Those after which was looked; the lists below have one value each.
    train_loss, train_accuracy : list of float
        Of the training rows during the epoch, from the logits of each batch before its step:
        every batch meets another state, and dropout and shots take part.
    validation_loss, validation_accuracy : list of float
        Of the validation rows after the epoch.
    best_epoch : int or None
        Epoch whose state was restored.
    diverged_at : int or None
        Epoch in which the loss stopped being a number.
    stopped_at : int
        Last epoch trained.
    steps : int
        Steps of the optimiser, of the whole stack.
    seconds : float
        Wall-clock time in the epochs up to ``stopped_at``, looks at validation left out; that of
        the whole stack.
    n_copies : int
        Copies in the stack.
    """

    epochs: list[int] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    best_epoch: int | None = None
    diverged_at: int | None = None
    stopped_at: int = 0
    steps: int = 0
    seconds: float = field(default=0.0, compare=False)
    n_copies: int = 1


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
    # Parameters last: a sum along them has one order, whatever the number of copies beside it.
    squares = torch.stack([g.flatten(1).square().sum(1) for g in grads], dim=1)
    norms = squares.sum(1).sqrt()
    # The small number is torch's: the same factor, to the last digit.
    factors = (limit / (norms + 1e-6)).clamp(max=1.0)
    for g in grads:
        g.mul_(factors.view(-1, *[1] * (g.ndim - 1)))


class _BestStates:
    """The best state of each copy so far, and how long ago it was."""

    def __init__(self, network: nn.Module, n_copies: int, by: str) -> None:
        self.network = network
        self.by = by
        self.states = [p.detach().clone() for p in network.parameters()]
        self.accuracy = torch.full((n_copies,), -1.0, dtype=torch.float64)
        self.loss = torch.full((n_copies,), math.inf, dtype=torch.float64)
        self.epoch = torch.zeros(n_copies, dtype=torch.long)

    def offer(self, epoch: int, accuracy: Tensor, loss: Tensor, running: Tensor) -> None:
        better = loss < self.loss
        if self.by == "accuracy":
            better = (accuracy > self.accuracy) | ((accuracy == self.accuracy) & better)
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
        Maps (R, n, n_features) to logits (R, n, n_classes), or (R, n, T, n_classes) where rows
        have T targets; parameters have a leading axis R.
    problems : sequence of Problem
        R sets of rows with class indices as labels; all of one size. Losses and accuracies are
        means over the targets that count.
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
    train = StackedRows.of([(p.X, p.y) for p in problems], class_weights, dtype)
    validation = _validation_stack(problems, dtype)
    if validation is None and (schedule.patience is not None):
        raise ValueError("patience needs validation rows: give X_val and y_val to fit")
    histories = [History(n_copies=len(problems)) for _ in problems]
    orders = [torch.Generator().manual_seed(seed_for("batches", seed=s)) for s in seeds]
    trainable = [p for p in network.parameters() if p.requires_grad]
    optimiser = StackedAdam(trainable, learning_rates, weight_decays)
    best = _BestStates(network, len(problems), schedule.best)
    running = torch.ones(len(problems), dtype=torch.bool)
    look_every = max(
        1, min(schedule.epochs // schedule.n_looks, schedule.patience or schedule.epochs)
    )
    seconds = 0.0
    for epoch in range(1, schedule.epochs + 1):
        started = time.perf_counter()
        result = _epoch(network, train, schedule, orders, optimiser, histories)
        seconds += time.perf_counter() - started
        _note_divergence(histories, running, result.losses, epoch)
        if epoch % look_every == 0 or epoch == schedule.epochs:
            _note_epoch(histories, epoch, result)
            if validation is not None:
                _look(network, validation, schedule.look_size, histories, epoch, best, running)
        for r in torch.nonzero(running).flatten().tolist():
            histories[r].stopped_at, histories[r].seconds = epoch, seconds
        if schedule.patience is not None:
            running &= epoch - best.epoch < schedule.patience
        if not running.any():
            break
    if validation is not None and schedule.restore_best:
        best.restore()
        for history, epoch_ in zip(histories, best.epoch.tolist(), strict=True):
            history.best_epoch = epoch_
    return histories


def _validation_stack(problems: Sequence[Problem], dtype: torch.dtype) -> StackedRows | None:
    rows = [(p.X_val, p.y_val) for p in problems]
    given = [(X, y) for X, y in rows if X is not None and y is not None]
    if given and len(given) < len(rows):
        raise ValueError(f"{len(given)} of {len(rows)} problems have validation rows; give all")
    return StackedRows.of(given, None, dtype) if given else None


@dataclass(frozen=True)
class _Epoch:
    """Mean loss and accuracy of each copy in one pass over the rows, shape (R,)."""

    losses: Tensor
    accuracies: Tensor


def _epoch(
    network: nn.Module,
    train: StackedRows,
    schedule: Schedule,
    orders: list[torch.Generator],
    optimiser: StackedAdam,
    histories: list[History],
) -> _Epoch:
    """Train in one pass over the rows."""
    network.train()
    total, weight = torch.zeros(len(orders)), torch.zeros(len(orders))
    right = torch.zeros(len(orders), dtype=torch.float64)
    for batch in train.batches(schedule.batch_size, orders):
        logits = network(batch.X)
        losses = batch.losses(logits)
        right += batch.n_right(logits.detach())
        optimiser.zero_grad()
        torch.autograd.backward(losses.sum())
        if schedule.gradient_clip is not None:
            clip_gradients(optimiser.params, schedule.gradient_clip)
        optimiser.step()
        share = batch.weight()
        total = total + losses.detach() * share
        weight = weight + share
        for history in histories:
            history.steps += 1
    return _Epoch(total / weight, right / train.n_counted())


def _note_divergence(histories: list[History], running: Tensor, losses: Tensor, epoch: int) -> None:
    for r in torch.nonzero(~torch.isfinite(losses)).flatten().tolist():
        running[r] = False
        if histories[r].diverged_at is None:
            histories[r].diverged_at = epoch


def _note_epoch(histories: list[History], epoch: int, result: _Epoch) -> None:
    for r, history in enumerate(histories):
        history.epochs.append(epoch)
        history.train_loss.append(float(result.losses[r]))
        history.train_accuracy.append(float(result.accuracies[r]))


@torch.no_grad()
def _look(
    network: nn.Module,
    validation: StackedRows,
    size: int | None,
    histories: list[History],
    epoch: int,
    best: _BestStates,
    running: Tensor,
) -> None:
    """Write down how every copy does on validation, and keep the states that are best there."""
    network.eval()
    loss, right = torch.zeros(()), torch.zeros(())
    for block in validation.blocks(size):
        logits = network(block.X)
        loss, right = loss + block.total_losses(logits), right + block.n_right(logits)
    loss, accuracy = loss / validation.weight(), right / validation.n_counted()
    best.offer(epoch, accuracy, loss, running)
    for r, history in enumerate(histories):
        history.validation_accuracy.append(float(accuracy[r]))
        history.validation_loss.append(float(loss[r]))
