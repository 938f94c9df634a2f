"""What is predicted, and by which names it is scored."""

from __future__ import annotations

from typing import Literal, get_args

Task = Literal["classification", "language-model", "captioning"]
"""What is predicted: the class of a text; each of its tokens from those before it; the caption of
an image, from the image."""

TASKS: tuple[Task, ...] = get_args(Task)

SECONDS_PER_EPOCH = "seconds_per_epoch"

_SCORES: dict[Task, tuple[str, ...]] = {
    "classification": ("accuracy", "balanced_accuracy", "macro_f1", "log_loss"),
    "language-model": ("token_accuracy", "cross_entropy", "perplexity"),
    "captioning": ("token_accuracy", "cross_entropy", "perplexity"),
}

# Writing captions takes long and decides nothing: test rows alone are scored by what is written.
_TEST_SCORES: dict[Task, tuple[str, ...]] = {
    "captioning": (
        "exact_match",
        "exact_match_seen",
        "exact_match_held_out",
        "bleu",
        "rouge_l",
        "grammatical",
        "groups",
        "count_accuracy",
        "size_accuracy",
        "colour_accuracy",
        "shape_accuracy",
        "position_accuracy",
        "cross_entropy_other_image",
        "image_gain",
        "retrieval",
    ),
}


def metrics_of(task: Task) -> tuple[str, ...]:
    """Return the metrics that a record of a task can have, as a claim may name them."""
    roles = ("train", "validation", "test")
    scores = tuple(f"{role}_{metric}" for role in roles for metric in _SCORES[task])
    test_scores = tuple(f"test_{metric}" for metric in _TEST_SCORES.get(task, ()))
    return (*scores, *test_scores, SECONDS_PER_EPOCH)
