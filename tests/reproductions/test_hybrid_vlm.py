"""The captioner of the hybrid vision-language study is scored as its tables say."""

from typing import Any

import numpy as np
import pytest

from qlmbench.data.images.scene_rows import scene_rows
from qlmbench.data.images.scenes import sample_scenes
from qlmbench.registry import get_study, model_class
from qlmbench.spec.metrics import metrics_of
from qlmbench.tasks import score

SMALL = {"n_image_features": 192, "embedding_dim": 8, "num_heads": 2, "n_blocks": 1}
SceneCaptioner: Any = model_class("hybrid_vlm", "captioner:SceneCaptioner")


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.setenv("QLMBENCH_CACHE", str(tmp_path))
    scenes = sample_scenes(12, 0, "test") + sample_scenes(12, 0, "test", "held out")
    encoder = scene_rows("scenes-pixels-8x14")
    assert encoder is not None
    return encoder.encode([scene.text for scene in scenes]).astype(float)


def fitted(rows, projector):
    return SceneCaptioner(**SMALL, projector=projector, epochs=1).fit(rows, None)


def test_every_score_of_test_rows_is_one_that_a_claim_may_name(rows):
    scored = score("captioning", "test", fitted(rows, "published"), (rows, None), 5)
    named = {metric for metric in metrics_of("captioning") if metric.startswith("test_")}
    assert set(scored.metrics) == named


def test_scores_without_writing_are_those_with_it(rows):
    model = fitted(rows, "linear")
    words, per_row = model.caption_scores(rows, written=False)
    scores, again = model.caption_scores(rows, written=True)
    assert words == {name: scores[name] for name in words}
    assert (per_row == again).all()


def test_another_image_changes_what_sees_images_and_nothing_else(rows):
    seeing, blind = fitted(rows, "full"), fitted(rows, "zero")
    for model, changes in ((seeing, True), (blind, False)):
        own = model.caption_scores(rows, written=False)[1]
        other = model.under(image="another").caption_scores(rows, written=False)[1]
        assert np.array_equal(own, other) != changes


def test_the_classifier_of_features_is_not_told_the_caption():
    study = get_study("hybrid_vlm")
    for profile in study.profiles:
        encoder = study.protocol(profile, "diagnostic").encoder
        captions = study.protocol(profile, "captions").encoder
        assert captions == f"{encoder}x14"


def test_every_arm_of_a_width_differs_in_the_projector_alone():
    study = get_study("hybrid_vlm")
    four = [arm for arm in study.arms if arm.name in ("linear-4", "published-4", "entangling-4")]
    shared = [{k: v for k, v in arm.params.items() if k != "projector"} for arm in four]
    assert shared[0] == shared[1] == shared[2]
    assert {tuple(arm.tune["learning_rate"]) for arm in four} == {(3e-3, 1e-2)}
