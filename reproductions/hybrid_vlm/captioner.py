"""A captioner of scenes as the harness scores it."""

from __future__ import annotations

from qlmbench.metrics import FloatArray
from qlmbench.vision.captioner import Captioner
from qlmbench.vision.scene_scores import score_scenes, score_words


class SceneCaptioner(Captioner):
    """A captioner whose rows are scenes; see `qlmbench.vision.captioner.Captioner`."""

    def caption_scores(
        self, X: FloatArray, written: bool
    ) -> tuple[dict[str, float], FloatArray, list[str]]:
        """Score the captions of rows.

        Parameters
        ----------
        X : ndarray of shape (n, F + T)
            Features and ids, as `qlmbench.data.images.scene_rows` makes them.
        written : bool
            Whether captions are written, too, and images sought by them, which takes seconds;
            without, words are scored given the right words before them.

        Returns
        -------
        metrics : dict of str to float
            By name, without a role; see `qlmbench.vision.scene_scores`.
        log_likelihoods : ndarray of float64, shape (n,)
            Of the right captions, in nats a word.
        captions : list of str
            What was written, a caption a row; empty where nothing is.
        """
        if not written:
            return *score_words(self, X), []
        scores = score_scenes(self, X)
        return scores.metrics, scores.log_likelihoods, scores.captions
