"""What is said of a captioner on scenes."""

import numpy as np
import pytest

from qlmbench.data.images.scenes import LONGEST_CAPTION, sample_scenes
from qlmbench.data.images.vocabulary import CaptionVocabulary
from qlmbench.vision.captioner import Captioner
from qlmbench.vision.scene_scores import score_scenes

WORDS = CaptionVocabulary.of_scenes()
SCENES = sample_scenes(8, 0, "test") + sample_scenes(8, 0, "test", "held out")
TINY = {"n_image_features": 16, "n_qubits": 2, "n_layers": 1, "embedding_dim": 32}


def rows(scenes):
    """Each scene is told by a feature of its own."""
    ids = WORDS.encode([scene.caption for scene in scenes], LONGEST_CAPTION + 1)
    return np.concatenate([np.eye(16)[: len(scenes)], ids], 1)


X = rows(SCENES)


@pytest.fixture(scope="module")
def learned():
    model = Captioner(
        **TINY, projector="full", epochs=60, learning_rate=0.01, feedforward=64, n_blocks=1
    )
    return model.fit(X, None)


def test_a_captioner_that_knows_every_scene_has_full_marks(learned):
    scores = score_scenes(learned, X, n_candidates=5)
    assert scores.captions == [scene.caption for scene in SCENES]
    metrics = scores.metrics
    full = ["exact_match", "bleu", "rouge_l", "grammatical", "groups", "retrieval"]
    full += ["count_accuracy", "colour_accuracy", "position_accuracy", "token_accuracy"]
    full += ["exact_match_held_out", "exact_match_seen"]
    assert [metrics[name] for name in full] == pytest.approx([1.0] * len(full))
    assert metrics["perplexity"] == pytest.approx(np.exp(metrics["cross_entropy"]))
    assert metrics["image_gain"] > 0.5
    assert metrics["cross_entropy_other_image"] == pytest.approx(
        metrics["cross_entropy"] + metrics["image_gain"]
    )
    per_word = (X[:, 16:] > 0).sum(1)
    assert -(scores.log_likelihoods * per_word).sum() / per_word.sum() == pytest.approx(
        metrics["cross_entropy"]
    )


def test_a_blind_captioner_is_at_chance():
    blind = Captioner(**TINY, projector="zero", epochs=1).fit(X, None)
    metrics = score_scenes(blind, X, n_candidates=5).metrics
    assert metrics["retrieval"] == pytest.approx(0.2)
    assert metrics["cross_entropy_other_image"] == pytest.approx(metrics["cross_entropy"])
    assert metrics["image_gain"] == 0


def test_seen_and_held_out_pairs_are_told_apart_where_there_are_both(learned):
    only = score_scenes(learned, X[:8], n_candidates=3).metrics
    assert "exact_match_held_out" not in only


def test_a_captioner_of_other_words_is_refused():
    other = Captioner(**TINY, vocab_size=40, epochs=1).fit(X, None)
    with pytest.raises(ValueError, match="expected the 29 of scenes"):
        score_scenes(other, X)
