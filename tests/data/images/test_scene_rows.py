"""Scenes as rows of a captioner."""

import numpy as np
import pytest

from qlmbench.data.images import scene_rows as module
from qlmbench.data.images.scene_rows import scene_rows
from qlmbench.data.images.scenes import sample_scenes
from qlmbench.errors import UserError
from qlmbench.vision.captioner import Captioner

NAME = "scenes-efficientnet-lite0x14"
SCENES = sample_scenes(12, 0, "train")


@pytest.fixture
def encoder(monkeypatch):
    """Features that say what is first in the caption, in the place of a network's."""

    def features(name, scenes, progress=None):
        rng = np.random.default_rng(0)
        rows = 0.01 * rng.standard_normal((len(scenes), 1280))
        rows[:, 0] += [len(scene.groups) for scene in scenes]
        return rows.astype(np.float32)

    monkeypatch.setattr(module, "scene_features", features)
    return scene_rows(NAME)


def test_rows_hold_features_and_the_caption(encoder):
    rows = encoder.fit([]).encode([scene.text for scene in SCENES])
    assert rows.shape == (12, 1280 + 14)
    assert rows.dtype == np.float32
    assert encoder.captions(rows) == [scene.caption for scene in SCENES]
    assert encoder.captions(rows[:, -14:]) == [scene.caption for scene in SCENES]
    assert str(rows.shape[1]) == encoder.identity["width"]


def test_a_captioner_takes_them_as_they_are(encoder):
    rows = encoder.encode([scene.text for scene in SCENES])
    model = Captioner(epochs=1, embedding_dim=8, num_heads=2, n_blocks=1, n_qubits=2).fit(
        rows, None
    )
    assert len(encoder.captions(model.generate(rows))) == 12


def test_names_of_other_encoders_are_none_and_wrong_ones_are_one_line():
    assert scene_rows("all-MiniLM-L6-v2") is None
    with pytest.raises(UserError, match="at least 14"):
        scene_rows("scenes-efficientnet-lite0x9")
    with pytest.raises(UserError, match="unknown image encoder"):
        scene_rows("scenes-resnetx14")


def test_a_text_that_is_no_scene_is_one_line(encoder):
    with pytest.raises(UserError, match="got the scene 'a film'"):
        encoder.encode(["a film"])
