"""The captioner trained from scratch: it learns what it is shown, in a stack as alone."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from qlmbench.data.images.vocabulary import END
from qlmbench.models.parameters import count_parameters
from qlmbench.vision.captioner import Captioner
from qlmbench.vision.decoder import SmallDecoder, StackedDecoder

# Ids of "words": an image of two features is told in two words and an end.
WORDS = 3
TINY = {
    "n_image_features": 2,
    "vocab_size": 2 + WORDS + 1,
    "n_qubits": 2,
    "n_layers": 1,
    "embedding_dim": 8,
    "n_blocks": 1,
    "num_heads": 2,
    "feedforward": 16,
    "epochs": 3,
    "batch_size": 8,
    "learning_rate": 0.01,
}


def rows(n=32, seed=0):
    """Features of two signs; the caption says both, the second only where the first is minus."""
    rng = np.random.default_rng(seed)
    signs = rng.integers(0, 2, (n, 2))
    ids = np.zeros((n, 4))
    ids[:, 0] = 2 + signs[:, 0]
    both = signs[:, 0] == 0
    ids[:, 1] = np.where(both, 3 + signs[:, 1], END)
    ids[both, 2] = END
    features = 2.0 * signs - 1 + 0.1 * rng.standard_normal((n, 2))
    return np.concatenate([features, ids], 1)


X, NEW = rows(), rows(20, seed=1)


@pytest.fixture(scope="module")
def learned():
    options = {**TINY, "projector": "full", "epochs": 12, "learning_rate": 0.02}
    return Captioner(**options).fit(X, None, NEW, None)


@pytest.fixture(scope="module")
def quantum():
    return Captioner(**TINY).fit(X, None)


def test_it_learns_to_say_what_it_sees(learned):
    assert np.array_equal(learned.generate(NEW), NEW[:, 2:])
    assert (learned.retrieval(NEW, n_candidates=3) == 1).all()
    assert -learned.log_likelihoods(NEW).sum() / (NEW[:, 2:] > 0).sum() < 0.1


def test_the_published_projection_learns_too():
    model = Captioner(**{**TINY, "epochs": 20, "learning_rate": 0.03}).fit(X, None)
    found = model.generate(NEW)
    assert (found == NEW[:, 2:]).all(1).mean() > 0.7


def test_another_image_makes_another_caption(learned):
    other = learned.under(image="another")
    assert np.array_equal(other.generate(NEW)[:-1], NEW[1:, 2:])
    assert learned.log_likelihoods(NEW).sum() > other.log_likelihoods(NEW).sum() + 10


@pytest.mark.parametrize("shown", ["model", "condition"])
def test_without_an_image_all_captions_are_alike_and_retrieval_is_chance(learned, shown):
    if shown == "model":
        blind = Captioner(**{**TINY, "projector": "zero"}).fit(X, None)
    else:
        blind = learned.under(image="none")
    assert len(np.unique(blind.generate(NEW), axis=0)) == 1
    assert blind.retrieval(NEW, n_candidates=4) == pytest.approx(np.full(20, 0.25))


def test_a_word_depends_on_the_words_before_it_alone(quantum):
    changed = NEW.copy()
    changed[:, 4] = np.where(changed[:, 4] == END, 2, changed[:, 4])
    before, after = quantum.log_likelihoods(NEW), quantum.log_likelihoods(changed)
    np.testing.assert_allclose(before[:, :2], after[:, :2], rtol=0, atol=1e-12)


def test_probabilities_of_all_words_sum_to_one(quantum):
    first = np.repeat(NEW[:1], 5, 0)
    first[:, 2:] = 0
    first[:, 2] = np.arange(1, 6)
    total = np.exp(quantum.log_likelihoods(first)[:, 0]).sum()
    assert total == pytest.approx(1)


def test_the_most_likely_words_are_those_of_the_generation_as_long_as_they_agree(learned):
    words, predicted = learned.generate(NEW), learned.predict(NEW)
    real = NEW[:, 2:] > 0
    assert np.array_equal(words[real], predicted[real])
    assert (predicted[~real] == -1).all()


def test_a_stack_trains_each_model_as_if_alone():
    options = [{**TINY, "random_state": seed, "learning_rate": 0.01 * seed} for seed in (1, 2)]
    together = [Captioner(**o) for o in options]
    Captioner.fit_many(together, [(X, None, NEW, None)] * 2)
    for model, option in zip(together, options, strict=True):
        alone = Captioner(**option).fit(X, None, NEW, None)
        assert model.history_.n_copies == 2
        np.testing.assert_allclose(
            model.log_likelihoods(NEW), alone.log_likelihoods(NEW), rtol=0, atol=1e-8
        )


def test_the_ids_of_the_caption_play_no_role_in_writing(quantum):
    other = NEW.copy()
    other[:, 2:] = other[::-1, 2:]
    assert np.array_equal(quantum.generate(NEW), quantum.generate(other))


@pytest.mark.parametrize(
    "options",
    [
        {"projector": "noncommuting"},
        {"projector": "cosine", "gate": True},
        {"attention": "quantum"},
        {"projector": "frozen", "n_layers": 2},
    ],
)
def test_every_place_for_a_circuit_trains(options):
    model = Captioner(**{**TINY, "epochs": 4, **options})
    model.fit(X, None)
    assert model.history_.train_loss[-1] < model.history_.train_loss[0]
    assert clone(model).get_params() == model.get_params()


def test_shots_and_noise_are_conditions_of_the_evaluation(quantum):
    exact = quantum.log_likelihoods(NEW)
    shots = quantum.under(shots=100_000).log_likelihoods(NEW)
    np.testing.assert_allclose(shots, exact, rtol=0, atol=0.2)
    assert not np.array_equal(shots, exact)
    assert np.array_equal(
        quantum.under(shots=100).log_likelihoods(NEW)[3:],
        quantum.under(shots=100).log_likelihoods(NEW[3:]),
    )
    noisy = quantum.under(depolarizing=0.75)
    np.testing.assert_allclose(
        noisy.log_likelihoods(NEW)[:, 0][NEW[:, 2] == 2].std(), 0, atol=1e-12
    )


def test_training_with_shots_goes():
    model = Captioner(**{**TINY, "epochs": 1, "shots": 50}).fit(X, None)
    assert np.isfinite(model.log_likelihoods(NEW)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"projector": "other"}, "expected one of published"),
        ({"image": "another"}, "conditions of the evaluation"),
        ({"depolarizing": 0.1}, "conditions of the evaluation"),
        ({"shots": 10, "projector": "linear"}, "no circuit"),
        ({"vocab_size": 2}, "at least 3"),
        ({"num_heads": 3}, "heads"),
        ({"attention": "none"}, "one of classical, quantum"),
        ({"gradient_clip": 0.0}, "above 0"),
        ({"n_image_features": 6}, "more than 6"),
        ({"vocab_size": 4}, "from 0 to 3"),
    ],
)
def test_a_wrong_option_says_what_was_expected(options, message):
    with pytest.raises(ValueError, match=message):
        Captioner(**{**TINY, **options}).fit(X, None)


def test_wrong_rows_are_refused(quantum):
    with pytest.raises(ValueError, match="length 5; expected 6"):
        quantum.generate(NEW[:, :5])
    gap = NEW.copy()
    gap[0, 2:] = [2, 0, 3, 1]
    with pytest.raises(ValueError, match="padding before an id"):
        quantum.log_likelihoods(gap)
    with pytest.raises(NotFittedError):
        Captioner(**TINY).generate(NEW)


def test_parameters_are_counted_by_what_they_can_do(quantum):
    counted = count_parameters(Captioner(**{**TINY, "n_qubits": 3, "n_layers": 2}).fit(X, None))
    assert counted.quantum == 6
    control = count_parameters(
        Captioner(**{**TINY, "n_qubits": 3, "projector": "linear"}).fit(X, None)
    )
    assert control.quantum == 0
    assert counted.classical == control.classical
    # The first layer of the published circuit is a bias that the linear map has already.
    assert counted.effective == control.effective + 3


def test_the_price_on_hardware_is_that_of_the_circuits(quantum):
    cost = quantum.hardware_cost(32)
    assert cost.circuits == 3 * 32 * (1 + 2 * (2 + 2))
    assert Captioner(projector="linear").hardware_cost(32) is None


# ---- the decoder -------------------------------------------------------------------------------


def test_a_decoder_refuses_a_sequence_that_is_longer_than_its_places():
    with pytest.raises(ValueError, match="at most 5"):
        SmallDecoder(6, 5, width=8, n_heads=2)(inputs_embeds=torch.zeros(1, 6, 8))


def test_a_stack_of_decoders_holds_each_of_them():
    options = {"width": 8, "n_blocks": 2, "n_heads": 2, "feedforward": 16}
    stack = StackedDecoder(
        6,
        5,
        **options,
        attention="classical",
        seeds=[1, 2],
        scales=[1.0, 1.0],
        dtype=torch.float32,
    )
    vectors = torch.randn(2, 3, 5, 8, generator=torch.Generator().manual_seed(0))
    logits = stack(vectors)
    for r, seed in enumerate((1, 2)):
        alone = SmallDecoder(6, 5, **options, seed=seed)(inputs_embeds=vectors[r]).logits
        assert (alone[..., 0] == -torch.inf).all()
        torch.testing.assert_close(alone[..., 1:], logits[r], rtol=0, atol=1e-5)


def test_layers_of_a_decoder_start_differently():
    decoder = SmallDecoder(6, 5, width=8, n_heads=2).decoder
    first, second = decoder.blocks
    assert not torch.equal(first.attention.query.weight, second.attention.query.weight)


def test_features_are_scaled_by_the_training_rows_unless_they_are_to_be_taken_as_they_are():
    wide = X.copy()
    wide[:, :2] = 5 + 100 * wide[:, :2]
    scaled, again = Captioner(**TINY).fit(X, None), Captioner(**TINY).fit(wide, None)
    np.testing.assert_allclose(
        scaled.log_likelihoods(X), again.log_likelihoods(wide), rtol=0, atol=1e-6
    )
    raw = Captioner(**TINY, scale_features=False).fit(X, None)
    assert (raw.mean_ == 0).all()
    assert (raw.scale_ == 1).all()
