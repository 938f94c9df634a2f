"""The training loop of a hybrid vision-language model: teacher forcing on captions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from qlmbench.models.training import History
from qlmbench.ranges import check_not_negative, check_positive, check_whole
from qlmbench.seeding import seed_for
from qlmbench.vision.hybrid import HybridVisionLanguageModel


@dataclass(frozen=True)
class CaptionTraining:
    """How a model is trained.

    Parameters
    ----------
    epochs : int
        Passes over the images.
    batch_size : int
        Images a step.
    learning_rate : float
        Of AdamW at the first step; it falls linearly to zero.
    weight_decay : float
        Of AdamW.
    gradient_clip : float or None
        Largest norm of the gradient.
    prompt : str
        Between image and caption.
    by_length : bool
        Whether the captions of a batch have equally many tokens, so that nothing is computed for
        padding; batches are then smaller where their number does not divide evenly.
    seed : int
        Of the order of the images, and of the dropout.
    """

    epochs: int = 3
    batch_size: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    gradient_clip: float | None = 1.0
    prompt: str = ""
    by_length: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole("epochs", self.epochs)
        check_whole("batch_size", self.batch_size)
        check_not_negative("learning_rate", self.learning_rate)
        check_not_negative("weight_decay", self.weight_decay)
        check_positive("gradient_clip", self.gradient_clip, or_none=True)


Pairs = tuple[Tensor, Sequence[str]]
"""Features ``[n, F]``, and a caption for each."""


def train_captions(
    model: HybridVisionLanguageModel,
    train: Pairs,
    how: CaptionTraining,
    validation: Pairs | None = None,
) -> History:
    """Train all that is not frozen, in place; the model is in evaluation mode afterwards.

    Call `HybridVisionLanguageModel.standardise` with the training features before. The global
    random state is left as it was.

    Parameters
    ----------
    model : HybridVisionLanguageModel
    train, validation : pair
        Features and captions. Validation is looked at after each epoch and decides nothing.
    how : CaptionTraining
        Epochs, batches, learning rate, seed.

    Returns
    -------
    History
        Losses in nats a token. ``diverged_at`` is set, and the training ends, where one is no
        number.

    Raises
    ------
    ValueError
        If nothing of the model is to be trained.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        raise ValueError("got a model of which nothing is trained; expected adapters or a decoder")
    optimizer = torch.optim.AdamW(trained, how.learning_rate, weight_decay=how.weight_decay)
    lengths = _lengths(model, train[1]) if how.by_length else torch.zeros(len(train[1]))
    order = torch.Generator().manual_seed(seed_for("batches", seed=how.seed))
    passes = [_batches(lengths, how.batch_size, order) for _ in range(how.epochs)]
    steps = sum(map(len, passes))
    schedule = LambdaLR(optimizer, lambda step: max(0.0, 1 - step / steps))
    history = History()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for("sampling", dropout="captions", seed=how.seed))
        for epoch, batches in enumerate(passes, start=1):
            started = time.perf_counter()
            loss = _epoch(model, optimizer, schedule, train, batches, how, history)
            history.seconds += time.perf_counter() - started
            history.stopped_at = epoch
            if not torch.isfinite(loss):
                history.diverged_at = epoch
                break
            history.epochs.append(epoch)
            history.train_loss.append(float(loss))
            if validation is not None:
                history.validation_loss.append(mean_loss(model, validation, how.prompt))
    model.eval()
    return history


def mean_loss(
    model: HybridVisionLanguageModel, pairs: Pairs, prompt: str = "", batch_size: int = 32
) -> float:
    """Mean cross-entropy over all tokens of captions, in nats; its exponential is the perplexity.

    Parameters
    ----------
    model : HybridVisionLanguageModel
    pairs : pair
        Features and captions.
    prompt : str
    batch_size : int
        Images at a time; the result is the same but for rounding.
    """
    total, n_tokens = 0.0, 0
    for start in range(0, len(pairs[1]), batch_size):
        some = slice(start, start + batch_size)
        found, n = model.log_likelihoods(pairs[0][some], pairs[1][some], prompt)
        total -= float(found.sum())
        n_tokens += int(n.sum())
    return total / n_tokens


def _lengths(model: HybridVisionLanguageModel, captions: Sequence[str]) -> Tensor:
    return torch.tensor([len(model.tokenizer.encode(caption)) for caption in captions])


def _batches(lengths: Tensor, batch_size: int, order: torch.Generator) -> list[Tensor]:
    """Put the rows in a random order, and cut each length's rows into batches, in random order."""
    rows = torch.randperm(len(lengths), generator=order)
    kinds = sorted(set(lengths.tolist()))
    cut = [part for n in kinds for part in torch.split(rows[lengths[rows] == n], batch_size)]
    if len(kinds) == 1:
        return cut
    return [cut[int(i)] for i in torch.randperm(len(cut), generator=order)]


def _epoch(
    model: HybridVisionLanguageModel,
    optimizer: torch.optim.Optimizer,
    schedule: LambdaLR,
    train: Pairs,
    batches: Sequence[Tensor],
    how: CaptionTraining,
    history: History,
) -> Tensor:
    """Train in one pass; mean loss of the batches, each before its step, weighed by images."""
    model.train()
    features, captions = train
    total = torch.zeros((), dtype=torch.float64)
    for chosen in batches:
        loss = model.loss(features[chosen], [captions[i] for i in chosen.tolist()], how.prompt)
        if not torch.isfinite(loss.detach()):
            return loss.detach()
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if how.gradient_clip is not None:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, how.gradient_clip)
        optimizer.step()
        schedule.step()
        history.steps += 1
        total += loss.detach().double().cpu() * len(chosen)
    return total / len(captions)
