"""What is predicted, and by which names it is scored."""

from __future__ import annotations

from typing import Literal

Task = Literal["classification", "language-model"]
"""What is predicted: the class of a text, or each of its tokens from those before it."""

SECONDS_PER_EPOCH = "seconds_per_epoch"

_SCORES: dict[Task, tuple[str, ...]] = {
    "classification": ("accuracy", "balanced_accuracy", "macro_f1", "log_loss"),
    "language-model": ("token_accuracy", "cross_entropy", "perplexity"),
}


def metrics_of(task: Task) -> tuple[str, ...]:
    """Return the metrics that a record of a task can have, as a claim may name them."""
    roles = ("train", "validation", "test")
    scores = tuple(f"{role}_{metric}" for role in roles for metric in _SCORES[task])
    return (*scores, SECONDS_PER_EPOCH)
