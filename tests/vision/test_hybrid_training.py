"""Training on captions: what is shown is learned, what is frozen stays, and a seed decides all."""

import copy
import math

import pytest
import torch

from qlmbench.data.images.vocabulary import CaptionVocabulary
from qlmbench.vision.decoder import SmallDecoder
from qlmbench.vision.hybrid import HybridVisionLanguageModel
from qlmbench.vision.hybrid_training import (
    CaptionTraining,
    _batches,
    mean_loss,
    train_captions,
)
from qlmbench.vision.projection import QuantumProjection
from qlmbench.vision.tokenizers import WordTokenizer

VOCABULARY = CaptionVocabulary(("a", "red", "blue", "circle", "square"))
CAPTIONS = ["a red circle", "a blue circle", "a red square", "a blue square"] * 4
SIGNS = torch.tensor([[-1.0, -1], [1, -1], [-1, 1], [1, 1]] * 4)
HOW = CaptionTraining(epochs=25, batch_size=8, learning_rate=0.02)


def hybrid(seed=0):
    decoder = SmallDecoder(len(VOCABULARY), 8, width=16, n_heads=2, feedforward=32, seed=seed)
    projection = QuantumProjection(2, 16, n_qubits=2, n_layers=1, seed=seed)
    return HybridVisionLanguageModel(decoder, projection, WordTokenizer(VOCABULARY))


@pytest.fixture(scope="module")
def learned():
    model = hybrid()
    model.standardise(SIGNS)
    history = train_captions(model, (SIGNS, CAPTIONS), HOW, (SIGNS[:4], CAPTIONS[:4]))
    return model, history


def test_captions_are_learned(learned):
    model, history = learned
    assert model.generate(SIGNS[:4], max_new_tokens=6) == CAPTIONS[:4]
    assert history.validation_loss[-1] < 0.2 < history.validation_loss[0]
    assert history.steps == 50
    assert not model.training


def test_the_right_image_is_found_by_its_caption(learned):
    assert (learned[0].retrieval(SIGNS, CAPTIONS, n_candidates=4) == 1).all()


def test_the_mean_loss_is_the_one_of_training_in_any_batches(learned):
    model, _ = learned
    expected = float(model.loss(SIGNS, CAPTIONS).detach())
    for batch_size in (3, 16):
        found = mean_loss(model, (SIGNS, CAPTIONS), batch_size=batch_size)
        assert found == pytest.approx(expected, abs=1e-5)
    assert math.exp(expected) < 1.3


def test_a_seed_decides_all_and_the_global_random_state_is_left_alone():
    state = torch.get_rng_state()
    how = CaptionTraining(epochs=1, batch_size=8, seed=3)
    losses = []
    for seed in (3, 3, 4):
        model = hybrid()
        train_captions(model, (SIGNS, CAPTIONS), CaptionTraining(**{**vars(how), "seed": seed}))
        losses.append(mean_loss(model, (SIGNS, CAPTIONS)))
    assert torch.equal(torch.get_rng_state(), state)
    assert losses[0] == losses[1] != losses[2]


def test_what_is_frozen_stays():
    model = hybrid()
    model.language_model.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    train_captions(model, (SIGNS, CAPTIONS), CaptionTraining(epochs=1))
    changed = {k.split(".")[0] for k, v in model.state_dict().items() if not v.equal(before[k])}
    assert changed == {"projection"}
    with pytest.raises(ValueError, match="nothing is trained"):
        train_captions(model.requires_grad_(False), (SIGNS, CAPTIONS), HOW)


def test_a_loss_that_is_no_number_ends_the_training():
    broken = SIGNS.clone()
    broken[3] = math.nan
    history = train_captions(hybrid(), (broken, CAPTIONS), CaptionTraining(epochs=3))
    assert history.diverged_at == 1
    assert history.train_loss == []


def test_wrong_numbers_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        CaptionTraining(epochs=0)
    with pytest.raises(ValueError, match="0 or more"):
        CaptionTraining(learning_rate=-1.0)


def test_batches_by_length_hold_every_image_once_and_no_padding():
    lengths = torch.tensor([3, 5, 3, 3, 5, 3, 3])
    batches = _batches(lengths, 2, torch.Generator().manual_seed(0))
    assert sorted(torch.cat(batches).tolist()) == list(range(7))
    assert all(len(set(lengths[batch].tolist())) == 1 for batch in batches)
    assert sorted(map(len, batches)) == [1, 2, 2, 2]


def test_training_by_length_takes_a_step_a_batch_and_learns():
    captions = ["a red circle", "a blue circle", "red square", "blue square"] * 4
    model = hybrid()
    model.standardise(SIGNS)
    how = CaptionTraining(epochs=25, batch_size=8, learning_rate=0.02, by_length=True)
    history = train_captions(model, (SIGNS, captions), how)
    assert history.steps == 50
    assert history.train_loss[-1] < 0.3 < history.train_loss[0]
