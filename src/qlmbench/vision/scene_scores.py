"""All that is said of a captioner on scenes: one dictionary of numbers, and one value a row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qlmbench.data.images.scenes import HELD_OUT, parse_caption
from qlmbench.data.images.vocabulary import PADDING, CaptionVocabulary
from qlmbench.metrics import FloatArray, IntArray
from qlmbench.vision.captioner import Captioner
from qlmbench.vision.metrics import attribute_metrics, caption_metrics


@dataclass(frozen=True)
class SceneScores:
    """How a captioner did on rows.

    Parameters
    ----------
    metrics : dict of str to float
        By name, without a role.
    captions : list of str
        What was written, a caption a row.
    log_likelihoods : ndarray of float64, shape (n,)
        Of the right captions, in nats a word.
    """

    metrics: dict[str, float]
    captions: list[str]
    log_likelihoods: FloatArray


def score_scenes(
    model: Captioner, X: FloatArray, *, n_candidates: int = 10, random_state: int = 0
) -> SceneScores:
    """Score a trained captioner on rows of scenes.

    Parameters
    ----------
    model : Captioner
        Trained on the words of scenes.
    X : ndarray of shape (n, F + T)
        As `SceneRows` makes them.
    n_candidates : int
        Images for each caption in the retrieval.
    random_state : int
        Of the choice of the other images.

    Returns
    -------
    SceneScores
        The metrics are those of `caption_metrics` and `attribute_metrics` (an attribute as
        ``<attribute>_accuracy``); ``token_accuracy``, ``cross_entropy`` in nats a word and
        ``perplexity``, all given the right words before; ``cross_entropy_other_image``, where every
        caption is shown with the image of the next row: no larger, if the captions do not depend on
        the image; ``retrieval``, see `Captioner.retrieval`. Where there are rows with pairs of
        colour and shape that training held out, and rows without, ``exact_match_held_out`` and
        ``exact_match_seen`` too.

    Raises
    ------
    ValueError
        If the rows are not of scenes.
    """
    ids = np.asarray(X)[:, model.n_image_features :].astype(np.int64)
    words = CaptionVocabulary.of_scenes()
    if model.vocab_size != len(words):
        raise ValueError(
            f"got a captioner of {model.vocab_size} ids; expected the {len(words)} of scenes"
        )
    right = [words.decode(row) for row in ids]
    found = [words.decode(row) for row in model.generate(X)]
    attributes = attribute_metrics(found, right)
    likely = model.log_likelihoods(X)
    metrics = {
        **caption_metrics(found, right),
        **{_attribute(name): value for name, value in attributes.items()},
        **_of_words(model, X, ids, likely),
        "retrieval": float(model.retrieval(X, n_candidates, random_state).mean()),
        **_by_pairs(found, right),
    }
    return SceneScores(metrics, found, likely.sum(1) / (ids != PADDING).sum(1))


def _attribute(name: str) -> str:
    return name if name in ("grammatical", "groups") else f"{name}_accuracy"


def _of_words(
    model: Captioner, X: FloatArray, ids: IntArray, likely: FloatArray
) -> dict[str, float]:
    real = ids != PADDING
    other = model.under(image="another").log_likelihoods(X)
    cross_entropy = -float(likely[real].mean())
    return {
        "token_accuracy": float((model.predict(X)[real] == ids[real]).mean()),
        "cross_entropy": cross_entropy,
        "perplexity": float(np.exp(cross_entropy)),
        "cross_entropy_other_image": -float(other[real].mean()),
    }


def _by_pairs(found: list[str], right: list[str]) -> dict[str, float]:
    """Exact match where a pair was held out of training, and where none was."""
    held_out = np.array([_is_held_out(caption) for caption in right])
    if held_out.all() or not held_out.any():
        return {}
    hits = np.array([f == r for f, r in zip(found, right, strict=True)])
    return {
        "exact_match_held_out": float(hits[held_out].mean()),
        "exact_match_seen": float(hits[~held_out].mean()),
    }


def _is_held_out(caption: str) -> bool:
    groups = parse_caption(caption) or ()
    return any((group.colour, group.shape) in HELD_OUT for group in groups)
