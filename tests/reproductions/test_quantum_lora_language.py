"""The adapted language model: its scores are the whole model's, and it starts at its base."""

import copy
import sys
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from sklearn.base import clone

from qlmbench.models.llama import random_weights, tiny_config
from qlmbench.models.token_rows import choose, text_draws
from qlmbench.registry import model_class
from qlmbench.tasks import score

Model: Any = model_class("quantum_lora", "language:AdaptedLanguageModel")
LANGUAGE: Any = sys.modules[Model.__module__]

LENGTHS = [3, 7, 5, 7, 1, 4]
ROWS = np.random.default_rng(0).integers(1, 1000, (len(LENGTHS), 7))
ROWS[np.arange(7) >= np.array(LENGTHS)[:, None]] = 0

METHODS: list[dict[str, Any]] = [
    {"method": "none"},
    {"method": "lora"},
    {},
    {"n_photons": 2, "ansatz": "universal"},
    {"bottleneck": "tanh"},
    {"method": "as-published"},
    {"method": "full"},
]


def model(**options: Any) -> Any:
    return Model(**{"weights": "tiny", "n_adapted": 1, "epochs": 3, "batch_size": 4, **options})


def base() -> Any:
    config = tiny_config()
    whole = hf.LlamaForCausalLM(hf.LlamaConfig(**config)).eval()
    whole.load_state_dict(random_weights(config, 0), strict=False)
    whole.tie_weights()
    return whole


@torch.no_grad()
def test_without_an_update_the_scores_are_those_of_the_whole_model() -> None:
    fitted = model(method="none").fit(ROWS)
    found, predicted = fitted.log_likelihoods(ROWS), fitted.predict(ROWS)
    for row, length, likelihoods, best in zip(ROWS, LENGTHS, found, predicted, strict=True):
        inputs = torch.tensor([[0, *row[: length - 1]]])
        logits = base()(inputs).logits[0].log_softmax(-1)
        expected = logits[torch.arange(length), torch.tensor(row[:length])]
        assert np.allclose(likelihoods[:length], expected.numpy(), rtol=0, atol=1e-5)
        assert best[:length].tolist() == logits.argmax(-1).tolist()
        assert not likelihoods[length:].any()
        assert (best[length:] == -1).all()


@pytest.mark.parametrize("options", METHODS, ids=str)
def test_every_update_starts_at_the_base_and_learns(options: dict[str, Any]) -> None:
    fitted = model(learning_rate=1e-2, **options).fit(ROWS)
    assert fitted.diagnostics(ROWS) == {"start_difference": 0.0}
    trained = fitted.count_parameters().total
    assert (trained == 0) == (options.get("method") == "none")
    if trained:
        losses = fitted.history_.train_loss
        assert losses[-1] < losses[0]
        assert fitted.history_.steps == 6


def test_two_fits_are_equal_and_leave_the_global_state_alone() -> None:
    state = torch.get_rng_state()
    first, second = (model(dropout=0.1, learning_rate=1e-2).fit(ROWS) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(first.log_likelihoods(ROWS), second.log_likelihoods(ROWS))
    assert first.history_ == second.history_
    other = model(dropout=0.1, learning_rate=1e-2, random_state=1).fit(ROWS)
    assert not np.array_equal(other.log_likelihoods(ROWS), first.log_likelihoods(ROWS))


def test_fitting_one_leaves_another_as_it_was() -> None:
    first = model(method="full", learning_rate=1e-2).fit(ROWS)
    before = first.log_likelihoods(ROWS[:2]).copy()
    model(method="full", learning_rate=1e-1).fit(ROWS)
    first._seen = {}
    assert np.array_equal(first.log_likelihoods(ROWS[:2]), before)


def test_a_text_scores_the_same_whatever_stands_beside_it() -> None:
    fitted = model(learning_rate=1e-2).fit(ROWS)
    together, alone = fitted.log_likelihoods(ROWS), fitted.log_likelihoods(ROWS[2:3])
    assert np.allclose(together[2], alone[0], rtol=0, atol=1e-5)


def test_the_harness_scores_it_as_a_language_model() -> None:
    found = score("language-model", "test", model(method="none").fit(ROWS), (ROWS, None), 0)  # type: ignore[arg-type]
    assert found.metrics["test_perplexity"] == pytest.approx(np.exp(found.loss))
    assert found.loss == pytest.approx(np.log(1000), abs=0.2)


def test_hidden_states_are_computed_once_and_the_oldest_go_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    states = LANGUAGE.split_of("tiny", 2)
    calls: list[int] = []
    run = states.model.states

    def counted(ids: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return run(ids)

    monkeypatch.setattr(states.model, "states", counted)
    states._known.clear()
    states._bytes = 0
    states.texts(ROWS)
    states.texts(ROWS)
    assert len(calls) == len(ROWS)
    module = sys.modules[type(states).__module__]
    monkeypatch.setattr(module, "STATES_KEPT", states._bytes - 1)
    states.texts(np.array([[9, 9, 9]]))
    assert len(states._known) < len(ROWS)
    states.texts(ROWS[:1])
    assert len(calls) == len(ROWS) + 2


def test_samples_follow_the_seed_and_their_first_rows_not_the_number_of_rows() -> None:
    fitted = model(method="none").fit(ROWS)
    drawn = fitted.sample_ids([5, 6], n=4, length=6, random_state=3)
    assert drawn.shape == (4, 6)
    assert np.array_equal(fitted.sample_ids([5, 6], n=2, length=6, random_state=3), drawn[:2])
    assert not np.array_equal(fitted.sample_ids([5, 6], n=4, length=6, random_state=4), drawn)


@torch.no_grad()
def test_sampling_step_by_step_follows_the_whole_model() -> None:
    fitted = model(method="none").fit(ROWS)
    (drawn,) = fitted.sample_ids([5, 6], n=1, length=5, random_state=0)
    draws, ids = text_draws(1, 5, 0), [0, 5, 6]
    for t in range(5):
        probabilities = base()(torch.tensor([ids])).logits[:, -1].double().softmax(-1)
        ids.append(int(choose(probabilities.numpy(), draws[:, t])[0]))
    assert drawn.tolist() == ids[3:]


def test_a_text_ends_where_the_model_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = model(method="none").fit(ROWS)
    chosen = iter([[7, 0], [2, 5], [9, 9]])  # 0 stands between texts, 2 is the end of a message
    monkeypatch.setattr(LANGUAGE, "choose", lambda *_: np.array(next(chosen)))
    assert fitted.sample_ids([5], n=2, length=3, random_state=0).tolist() == [[7, 0, 0], [0, 0, 0]]


def test_a_model_without_words_draws_no_texts() -> None:
    with pytest.raises(ValueError, match="sample_ids"):
        model(method="none").fit(ROWS).sample("a film")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "double"}, "precision='double'; expected 'single'"),
        ({"patience": 3}, "patience"),
        ({"restore_best": True}, "restore_best=True; expected False"),
        ({"init_scale": 0.5}, "init_scale=0.5"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0"),
        ({"warmup": 1.0}, "warmup=1.0"),
        ({"n_adapted": 3}, "from 1 to 2"),
        ({"targets": "no_proj"}, "no_proj"),
        ({"method": "lora", "n_photons": 2}, "does not look at"),
        ({"method": "full", "targets": "lm_head"}, "which is the embeddings"),
    ],
)
def test_a_wrong_argument_is_one_clear_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model(**options).fit(ROWS)


@pytest.mark.parametrize("rows", [[[0, 5]], [[5, 1000]], [[0, 0]]])
def test_rows_that_are_no_texts_are_refused(rows: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="AdaptedLanguageModel"):
        model().fit(rows)


def test_a_loss_that_is_no_number_is_a_failed_trial() -> None:
    (result,) = Model.fit_many(
        [model(method="full", learning_rate=1e37)], [(ROWS, None, None, None)]
    )
    assert isinstance(result, ArithmeticError)


def test_it_is_a_scikit_learn_estimator() -> None:
    first = model(n_photons=2, targets="v_proj")
    assert clone(first).get_params() == first.get_params()
    assert copy.deepcopy(first).get_params() == first.get_params()
    assert "patience" in first.get_params()


@pytest.mark.slow
@pytest.mark.network
@torch.no_grad()
def test_smollm2_scores_as_the_whole_model_and_goes_on_with_a_text() -> None:
    from qlmbench.data.pretrained import pretrained_folder
    from qlmbench.data.pretrained_tokens import PretrainedTokens

    name = "SmolLM2-135M-Instruct"
    rows = PretrainedTokens(name, 8).encode(["a warm , funny , engaging film .", "dull"])
    fitted = Model(method="none").fit(rows)
    whole = hf.LlamaForCausalLM.from_pretrained(pretrained_folder(name)).eval()
    for row, found in zip(rows, fitted.log_likelihoods(rows), strict=True):
        ids = torch.tensor(row[row != 0]).long()
        inputs = torch.cat([torch.tensor([0]), ids[:-1]])
        expected = whole(inputs[None]).logits[0].log_softmax(-1).gather(1, ids[:, None])[:, 0]
        assert np.allclose(found[: len(ids)], expected.numpy(), rtol=0, atol=1e-4)
    for text in fitted.sample("The film is", n=2, length=6):
        assert text.startswith("The film is ")
        assert "<|" not in text
