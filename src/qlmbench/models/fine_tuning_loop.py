"""The training loop of a whole transformer: one network, token ids, a learning rate that falls."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from qlmbench.models.distilbert import head_logits, real_tokens, sentence_features
from qlmbench.models.training import History
from qlmbench.seeding import seed_for

BLOCK = 64
"""Rows that are scored together, of about the same length."""


@dataclass(frozen=True)
class Rows:
    """What goes into a network, and what should come out.

    Parameters
    ----------
    inputs : Tensor
        Token ids ``[n, T]``, or the features ``[n, d]`` that a frozen encoder gives.
    labels : Tensor of int, ``[n]``
        Class indices.
    """

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class FineTuning:
    """How a network is trained.

    Parameters
    ----------
    epochs : int
        Passes over the training rows.
    batch_size : int
        Rows a step.
    gradient_clip : float or None
        Largest norm of the gradient.
    seed : int
        Of the order of the rows, and of the dropout.
    """

    epochs: int
    batch_size: int
    gradient_clip: float | None
    seed: int


def fine_tune(
    network: Any, optimizer: Optimizer, train: Rows, validation: Rows | None, how: FineTuning
) -> History:
    """Train a network in place; it is in evaluation mode afterwards.

    The learning rate falls linearly to zero over all steps. The global random state is left as it
    was, and nothing but the dropout draws from it here.

    Parameters
    ----------
    network : transformers.DistilBertForSequenceClassification
        With the weights to start from.
    optimizer : Optimizer
        Of its weights.
    train, validation : Rows
        Validation is looked at after each epoch and decides nothing.
    how : FineTuning
        Epochs, batches, seed.

    Returns
    -------
    History
        ``diverged_at`` is set, and the training ends, where the loss or a weight is no number.
    """
    history = History()
    steps = how.epochs * -(-len(train) // how.batch_size)
    schedule = LambdaLR(optimizer, lambda step: max(0.0, 1 - step / steps))
    order = torch.Generator().manual_seed(seed_for("batches", seed=how.seed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for("sampling", dropout="fine-tuning", seed=how.seed))
        for epoch in range(1, how.epochs + 1):
            started = time.perf_counter()
            places = torch.randperm(len(train), generator=order)
            loss, accuracy = _epoch(network, optimizer, schedule, train, places, how, history)
            history.seconds += time.perf_counter() - started
            history.stopped_at = epoch
            if not (torch.isfinite(loss) and _is_finite(network)):
                history.diverged_at = epoch
                break
            history.epochs.append(epoch)
            history.train_loss.append(float(loss))
            history.train_accuracy.append(float(accuracy))
            if validation is not None:
                _look(network, validation, history)
    network.eval()
    optimizer.zero_grad(set_to_none=True)  # gradients are as large as the weights
    return history


def _is_finite(network: Any) -> bool:
    """Whether the last step left numbers: no loss has seen it yet."""
    return all(bool(p.isfinite().all()) for p in network.parameters())


def _epoch(
    network: Any,
    optimizer: Optimizer,
    schedule: LambdaLR,
    train: Rows,
    places: Tensor,
    how: FineTuning,
    history: History,
) -> tuple[Tensor, Tensor]:
    """Train in one pass; mean loss and accuracy of the batches, each before its step."""
    network.train()
    total, right = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for chosen in torch.split(places, how.batch_size):
        logits = _logits(network, train.inputs[chosen])
        labels = train.labels[chosen]
        loss = torch.nn.functional.cross_entropy(logits, labels)
        if not torch.isfinite(loss.detach()):
            return loss.detach(), right
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if how.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(network.parameters(), how.gradient_clip)
        optimizer.step()
        schedule.step()
        history.steps += 1
        total += loss.detach() * len(chosen)
        right += (logits.detach().argmax(1) == labels).sum()
    return total / len(train), right / len(train)


def _logits(network: Any, inputs: Tensor) -> Tensor:
    """Logits of a batch of ids, cut to its longest row, or of features."""
    if inputs.is_floating_point():
        return head_logits(network, inputs)
    return head_logits(network, sentence_features(network, cut(inputs)))


def cut(ids: Tensor) -> Tensor:
    """Cut rows of ids, ``[B, T]``, where the longest one of them ends."""
    used = real_tokens(ids).any(0)
    return ids[:, : int(used.nonzero().max()) + 1]


def _look(network: Any, validation: Rows, history: History) -> None:
    network.eval()
    logits = logits_of(network, validation.inputs).double()
    loss = torch.nn.functional.cross_entropy(logits, validation.labels)
    right = (logits.argmax(1) == validation.labels).double().mean()
    history.validation_loss.append(float(loss))
    history.validation_accuracy.append(float(right))


@torch.no_grad()
def logits_of(network: Any, inputs: Tensor) -> Tensor:
    """Logits of ids or features, in evaluation mode, ``[n, n_classes]``."""
    parts = [(rows, _logits(network, inputs[rows])) for rows in _blocks(inputs)]
    return _in_order(parts)


@torch.no_grad()
def encoder_features(network: Any, ids: Tensor) -> Tensor:
    """Compute what the head reads of texts, in evaluation mode, ``[n, T]`` to ``[n, d]``."""
    parts = [(rows, sentence_features(network, cut(ids[rows]))) for rows in _blocks(ids)]
    return _in_order(parts)


def _blocks(inputs: Tensor) -> Iterator[Tensor]:
    """Places of rows of about the same length."""
    lengths = (inputs != 0).sum(1)
    yield from torch.split(torch.argsort(lengths, stable=True), BLOCK)


def _in_order(parts: list[tuple[Tensor, Tensor]]) -> Tensor:
    places = torch.cat([rows for rows, _ in parts])
    found = torch.cat([values for _, values in parts])
    return found[torch.argsort(places)]
