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
    """Score a trained captioner on rows of scenes, by words and by what it writes.

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
        The metrics are those of `score_captions` and `score_words`; ``cross_entropy_other_image``,
        where every caption is shown with the image of the next row, and ``image_gain``, by how much
        that is larger: 0, if the captions do not depend on the image; ``retrieval``, see
        `Captioner.retrieval`.

    Raises
    ------
    ValueError
        If the rows are not of scenes.
    """
    words = CaptionVocabulary.of_scenes()
    if model.vocab_size != len(words):
        raise ValueError(
            f"got a captioner of {model.vocab_size} ids; expected the {len(words)} of scenes"
        )
    ids = _ids(model, X)
    right = [words.decode(row) for row in ids]
    found = [words.decode(row) for row in model.generate(X)]
    of_words, per_row = score_words(model, X)
    metrics = {
        **score_captions(found, right),
        **of_words,
        **_with_another_image(model, X, of_words["cross_entropy"]),
        "retrieval": float(model.retrieval(X, n_candidates, random_state).mean()),
    }
    return SceneScores(metrics, found, per_row)


def score_captions(found: list[str], right: list[str]) -> dict[str, float]:
    """Score what was written for images.

    Parameters
    ----------
    found, right : list of str, length n
        Written captions and the right ones.

    Returns
    -------
    dict of str to float
        Those of `caption_metrics`. Where all right captions are of scenes, those of
        `attribute_metrics`, too, an attribute as ``<attribute>_accuracy``; and where there are rows
        with pairs of colour and shape that training held out, and rows without,
        ``exact_match_held_out`` and ``exact_match_seen``.
    """
    metrics = caption_metrics(found, right)
    if any(parse_caption(caption) is None for caption in right):
        return metrics
    attributes = attribute_metrics(found, right)
    of_groups = {_attribute(name): value for name, value in attributes.items()}
    return metrics | of_groups | _by_pairs(found, right)


def score_words(model: Captioner, X: FloatArray) -> tuple[dict[str, float], FloatArray]:
    """Score each word given the image and the right words before it; nothing is written.

    Parameters
    ----------
    model : Captioner
        Trained.
    X : ndarray of shape (n, F + T)
        Features and ids.

    Returns
    -------
    metrics : dict of str to float
        ``token_accuracy``, ``cross_entropy`` in nats a word and ``perplexity``.
    log_likelihoods : ndarray of float64, shape (n,)
        Of the right captions, in nats a word.
    """
    ids = _ids(model, X)
    real, likely = ids != PADDING, model.log_likelihoods(X)
    cross_entropy = -float(likely[real].mean())
    metrics = {
        "token_accuracy": float((model.predict(X)[real] == ids[real]).mean()),
        "cross_entropy": cross_entropy,
        "perplexity": float(np.exp(cross_entropy)),
    }
    return metrics, likely.sum(1) / real.sum(1)


def _ids(model: Captioner, X: FloatArray) -> IntArray:
    return np.asarray(X)[:, model.n_image_features :].astype(np.int64)


def _attribute(name: str) -> str:
    return name if name in ("grammatical", "groups") else f"{name}_accuracy"


def _with_another_image(model: Captioner, X: FloatArray, own: float) -> dict[str, float]:
    """Score the right captions with the images of others."""
    other = model.under(image="another").log_likelihoods(X)
    cross_entropy = -float(other[_ids(model, X) != PADDING].mean())
    return {"cross_entropy_other_image": cross_entropy, "image_gain": cross_entropy - own}


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
