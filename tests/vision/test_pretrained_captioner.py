"""The pretrained captioner: it learns what images show, and shares what it does not train."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone

from qlmbench.data.images.scene_rows import scene_rows
from qlmbench.data.images.scenes import sample_scenes
from qlmbench.vision.pretrained_captioner import PretrainedCaptioner
from qlmbench.vision.projectors import Projector

SCENES = sample_scenes(24, 0, "train")
KINDS: list[Projector] = ["published", "frozen", "linear", "cosine", "full", "zero"]


@pytest.fixture(scope="module")
def rows() -> Any:
    """Captions in words, behind features that say which scene it is, and of how many groups."""
    encoder = scene_rows("scenes-pixels-8x14")
    assert encoder is not None
    ids = encoder.words.encode([scene.caption for scene in SCENES], 14)
    features = np.random.default_rng(0).standard_normal((len(SCENES), 6))
    features[:, 0] = [4 * len(scene.groups) for scene in SCENES]
    return np.concatenate([features, ids], 1)


def model(**options: Any) -> PretrainedCaptioner:
    return PretrainedCaptioner(**{"language_model": "tiny", "n_image_features": 6, **options})


@pytest.fixture(scope="module")
def learned(rows: Any) -> PretrainedCaptioner:
    return model(projector="full", epochs=20, learning_rate=0.1).fit(rows)


def test_the_loss_falls_and_captions_depend_on_images(learned: Any, rows: Any) -> None:
    # Logits of frozen random embeddings are small whatever stands before them.
    losses = learned.history_.train_loss
    assert losses[-1] < losses[0] - 0.1
    own = learned.score_rows(rows).log_likelihoods
    other = learned.score_rows(rows, np.roll(np.arange(len(rows)), -1)).log_likelihoods
    assert own.mean() > other.mean()


@pytest.mark.parametrize("kind", KINDS)
def test_adapters_and_projection_alone_are_trained(kind: Projector, rows: Any) -> None:
    fitted = model(projector=kind, epochs=1).fit(rows)
    names = [name for name, p in fitted.network_.named_parameters() if p.requires_grad]
    assert all("lora" in name or name.startswith("projection.") for name in names)
    of_projection = [name for name in names if name.startswith("projection.")]
    assert bool(of_projection) == (kind not in ("frozen", "zero"))
    counted = fitted.count_parameters()
    assert counted.total == sum(p.numel() for p in fitted.network_.parameters() if p.requires_grad)
    assert counted.quantum == (12 if kind == "published" else 0)


def test_the_first_layer_of_angles_repeats_the_biases_before_it(rows: Any) -> None:
    counted = model(epochs=1).fit(rows).count_parameters()
    assert counted.effective == counted.total - 4


def test_models_share_frozen_weights_and_a_training_leaves_another_as_it_was(rows: Any) -> None:
    first = model(projector="linear", epochs=1).fit(rows)
    before = first.score_rows(rows).log_likelihoods
    second = model(projector="full", epochs=2, learning_rate=0.1).fit(rows)

    def frozen(fitted: Any) -> set[int]:
        parameters = fitted.network_.language_model.named_parameters()
        return {p.data_ptr() for name, p in parameters if not p.requires_grad}

    assert frozen(first) == frozen(second)
    first._seen = {}
    assert np.array_equal(first.score_rows(rows).log_likelihoods, before)


def test_two_fits_are_equal_and_leave_the_global_state_alone(rows: Any) -> None:
    state = torch.get_rng_state()
    first, second = (model(epochs=2).fit(rows) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    scores = [m.score_rows(rows).log_likelihoods for m in (first, second)]
    assert np.array_equal(*scores)
    other = model(epochs=2, random_state=1).fit(rows)
    assert not np.array_equal(other.score_rows(rows).log_likelihoods, scores[0])


def test_scores_of_a_row_do_not_depend_on_the_rows_beside_it(learned: Any, rows: Any) -> None:
    together = learned.score_rows(rows)
    for i in (0, 5):
        alone = learned.score_rows(rows[i : i + 1])
        assert alone.log_likelihoods[0] == pytest.approx(together.log_likelihoods[i], abs=1e-3)
        assert alone.n_tokens[0] == together.n_tokens[i] == (rows[i, 6:] != 0).sum()
        assert 0 <= together.n_right[i] <= together.n_tokens[i]


def test_scores_are_those_of_the_whole_sequence(learned: Any, rows: Any) -> None:
    """Token by token, with the prompt written out and nothing left out."""
    network = learned.network_
    prompt = network.tokenizer.encode(learned.prompt)
    found = learned.score_rows(rows)
    for i in (0, 3):
        known = rows[i, 6:][rows[i, 6:] != 0].astype(int).tolist()
        features = torch.tensor(rows[i : i + 1, :6], dtype=torch.float32)
        with torch.no_grad():
            logits = network(features, torch.tensor([[*prompt, *known]]))[0].log_softmax(-1)
        places = range(len(prompt), len(prompt) + len(known))
        expected = sum(float(logits[p, k]) for p, k in zip(places, known, strict=True))
        assert found.log_likelihoods[i] == pytest.approx(expected, abs=1e-3)
        right = sum(int(logits[p].argmax()) == k for p, k in zip(places, known, strict=True))
        assert found.n_right[i] == right


def test_without_an_image_nothing_depends_on_it(rows: Any) -> None:
    blind = model(projector="zero", epochs=1).fit(rows)
    other = np.roll(np.arange(len(rows)), 1)
    assert np.array_equal(
        blind.score_rows(rows).log_likelihoods, blind.score_rows(rows, other).log_likelihoods
    )
    assert (blind.retrieval(rows) == 0.1).all()
    changed = rows.copy()
    changed[:, :6] += 1
    assert blind.generate(changed) == blind.generate(rows)
    assert len(set(blind.generate(rows))) == 1


def test_the_right_image_is_found_among_few_and_in_the_first_rows_alone(
    learned: Any, rows: Any
) -> None:
    found = learned.retrieval(rows, n_candidates=3)
    assert found.mean() > 0.5
    assert np.array_equal(learned.retrieval(rows, n_candidates=3, n_rows=7), found[:7])


def test_what_is_written_does_not_look_at_the_caption(learned: Any, rows: Any) -> None:
    other = rows.copy()
    other[:, 6:] = rows[0, 6:]
    assert learned.generate(other) == learned.generate(rows)


def test_right_captions_come_back_and_ids_of_no_caption_are_refused(rows: Any) -> None:
    fitted = model(epochs=1).fit(rows)
    assert fitted.captions(rows) == [scene.caption for scene in SCENES]
    without_end = rows.copy()
    without_end[without_end == 1] = 0
    with pytest.raises(ValueError, match="and its end"):
        fitted.captions(without_end)
    with pytest.raises(ValueError, match="and its end"):
        model(epochs=1).fit(without_end)
    with pytest.raises(ValueError, match="rows of length 3"):
        fitted.score_rows(rows[:, :3])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"projector": "best"}, "projector='best'"),
        ({"precision": "double"}, "expected 'single'"),
        ({"restore_best": True}, "expected False"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"r": 0}, "r=0"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0"),
        ({"gradient_clip": 0.0}, "gradient_clip=0.0"),
        ({"epochs": 0}, "epochs=0"),
    ],
)
def test_a_wrong_argument_is_one_clear_error(options: Any, message: str, rows: Any) -> None:
    with pytest.raises(ValueError, match=message):
        model(**options).fit(rows)


def test_a_loss_that_is_no_number_is_a_failed_trial(rows: Any) -> None:
    (result,) = PretrainedCaptioner.fit_many(
        [model(projector="full", epochs=4, learning_rate=1e37)], [(rows, None, None, None)]
    )
    assert isinstance(result, ArithmeticError)


def test_it_is_a_scikit_learn_estimator() -> None:
    first = model(n_qubits=3, weight_decay=0.1)
    assert clone(first).get_params() == first.get_params()
    assert "weight_decay" in first.get_params()
