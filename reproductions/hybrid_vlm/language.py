"""A pretrained language model that captions scenes, as the harness scores it."""

from __future__ import annotations

from typing import Any

import numpy as np

from qlmbench.metrics import FloatArray
from qlmbench.vision.pretrained_captioner import PretrainedCaptioner
from qlmbench.vision.scene_scores import score_captions


class PretrainedSceneCaptioner(PretrainedCaptioner):
    """A pretrained captioner whose rows are scenes, or any images with captions.

    Parameters
    ----------
    n_sought : int, default=20
        Captions whose image is sought among ten; each takes nine more readings.
    **options
        See `qlmbench.vision.pretrained_captioner.PretrainedCaptioner`.
    """

    def __init__(self, *, n_sought: int = 20, **options: Any) -> None:
        super().__init__(**options)
        self.n_sought = n_sought

    def caption_scores(
        self, X: FloatArray, written: bool
    ) -> tuple[dict[str, float], FloatArray, list[str]]:
        """Score the captions of rows.

        Parameters
        ----------
        X : ndarray of shape (n, F + T)
            Features and ids.
        written : bool
            Whether captions are written, too, shown with another image, and images sought by them.

        Returns
        -------
        metrics : dict of str to float
            By name, without a role; as in `qlmbench.vision.scene_scores`, also in nats a word, the
            end being one. ``token_accuracy`` is of the language model's tokens; those of SmolLM2
            are the words of scenes.
        log_likelihoods : ndarray of float64, shape (n,)
            Of the right captions, in nats a word.
        captions : list of str
            What was written, a caption a row; empty where nothing is.
        """
        right, own = self.captions(X), self.score_rows(X)
        words = np.array([len(caption.split()) + 1 for caption in right])
        cross_entropy = -float(own.log_likelihoods.sum() / words.sum())
        metrics = {
            "token_accuracy": float(own.n_right.sum() / own.n_tokens.sum()),
            "cross_entropy": cross_entropy,
            "perplexity": float(np.exp(cross_entropy)),
        }
        per_row = own.log_likelihoods / words
        if not written:
            return metrics, per_row, []
        captions = self.generate(X)
        other = self.score_rows(X, np.roll(np.arange(len(X)), -1))
        with_another = -float(other.log_likelihoods.sum() / words.sum())
        metrics |= {
            **score_captions(captions, right),
            "cross_entropy_other_image": with_another,
            "image_gain": with_another - cross_entropy,
            "retrieval": float(self.retrieval(X, n_rows=self.n_sought).mean()),
        }
        return metrics, per_row, captions
