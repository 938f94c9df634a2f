"""The training loop of a causal model on texts: a learning rate that rises and falls."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR

from qlmbench.models.training import History
from qlmbench.seeding import seed_for

from .causal_states import Batch, Text, batch_of, logits_of


@dataclass(frozen=True)
class Adaptation:
    """How a model is adapted.

    Parameters
    ----------
    epochs : int
        Passes over the training texts.
    batch_size : int
        Texts a step.
    learning_rate : float
        Largest one, of AdamW.
    weight_decay : float
        Of AdamW.
    warmup : float
        Share of the steps in which the learning rate rises linearly; it then falls linearly to
        zero.
    seed : int
        Of the order of the texts, and of dropout.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup: float
    seed: int

    def factor(self, step: int, steps: int) -> float:
        """Return the share of the learning rate that a step has, above 0 and at most 1."""
        rises = self.warmup * steps
        return min((step + 1) / (rises + 1), (steps - step) / (steps - rises))


def adapt(network: nn.Module, texts: Sequence[Text], how: Adaptation) -> History | None:
    """Train what requires gradients in a model, in place; it is in evaluation mode afterwards.

    The global random state is left as it was, and nothing but dropout draws from it here.

    Parameters
    ----------
    network : transformers.LlamaForCausalLM
        The part that takes the texts' states.
    texts : sequence of Text
        What it is trained on.
    how : Adaptation
        Epochs, batches, learning rate, seed.

    Returns
    -------
    History or None
        ``diverged_at`` is set, and the training ends, where a loss or a weight is no number. None
        if nothing requires gradients.
    """
    trained = [p for p in network.parameters() if p.requires_grad]
    if not trained:
        return None
    optimizer = torch.optim.AdamW(trained, how.learning_rate, weight_decay=how.weight_decay)
    steps = how.epochs * -(-len(texts) // how.batch_size)
    schedule = LambdaLR(optimizer, lambda step: how.factor(step, steps))
    order = torch.Generator().manual_seed(seed_for("batches", seed=how.seed))
    history = History()
    network.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for("sampling", dropout="adapter", seed=how.seed))
        for epoch in range(1, how.epochs + 1):
            started, sums = time.perf_counter(), torch.zeros(3, dtype=torch.float64)
            for places in torch.split(torch.randperm(len(texts), generator=order), how.batch_size):
                sums += _step(network, optimizer, batch_of([texts[int(i)] for i in places]))
                schedule.step()
                history.steps += 1
            history.seconds += time.perf_counter() - started
            history.stopped_at = epoch
            if not (sums.isfinite().all() and all(bool(p.isfinite().all()) for p in trained)):
                history.diverged_at = epoch
                break
            history.epochs.append(epoch)
            history.train_loss.append(float(sums[0] / sums[2]))
            history.train_accuracy.append(float(sums[1] / sums[2]))
    network.eval()
    optimizer.zero_grad(set_to_none=True)
    return history


def _step(network: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch) -> Tensor:
    """Train on a batch; return its summed loss, its right predictions, and its tokens."""
    logits = logits_of(network, batch)
    loss = cross_entropy(logits, batch.targets)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    optimizer.step()
    n = len(batch.targets)
    right = (logits.detach().argmax(-1) == batch.targets).sum()
    return torch.tensor([float(loss.detach()) * n, float(right), n], dtype=torch.float64)
