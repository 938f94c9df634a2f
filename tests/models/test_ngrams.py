"""The counting model is what its formula says."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from qlmbench.models.ngrams import NGramLanguageModel

Model = NGramLanguageModel


def texts(seed: int, n: int = 20, length: int = 6, vocab_size: int = 7) -> np.ndarray:
    rng = np.random.default_rng(seed)
    X = rng.integers(1, vocab_size, (n, length))
    X[np.arange(length) >= rng.integers(1, length + 1, (n, 1))] = 0
    return X


def test_the_unigram_perplexity_of_a_known_corpus() -> None:
    # Tokens 1 1 1 2: frequencies 3/4 and 1/4, with a smoothing that is next to nothing.
    corpus = [[1, 1, 0], [1, 2, 0]]
    model = Model(vocab_size=3, order=1, smoothing=1e-12).fit(corpus)
    likelihoods = model.log_likelihoods(corpus)
    perplexity = np.exp(-likelihoods.sum() / 4)
    assert perplexity == pytest.approx((3 / 4) ** (-3 / 4) * (1 / 4) ** (-1 / 4))
    np.testing.assert_array_equal(likelihoods[:, 2], 0)


def test_pairs_and_single_tokens_are_mixed_by_hand() -> None:
    model = Model(vocab_size=4, smoothing=0.5, interpolation=0.8).fit([[1, 2, 3], [1, 2, 0]])
    # After 1 there was 2, twice; in all there were 1 1 2 2 3.
    expected = 0.8 * (2 + 0.5) / (2 + 1.5) + 0.2 * (2 + 0.5) / (5 + 1.5)
    # The start of a row is a context: 1, twice.
    first = 0.8 * (2 + 0.5) / (2 + 1.5) + 0.2 * (2 + 0.5) / (5 + 1.5)
    # After 3 there was nothing: the pairs are uniform.
    unseen = 0.8 / 3 + 0.2 * (2 + 0.5) / (5 + 1.5)
    found = model.log_likelihoods([[1, 2, 3], [3, 1, 0]])
    assert found[0, 1] == pytest.approx(np.log(expected))
    assert found[0, 0] == pytest.approx(np.log(first))
    assert found[1, 1] == pytest.approx(np.log(unseen))


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([1, 2]),
    st.floats(1e-6, 10),
    st.floats(0, 1),
)
def test_probabilities_sum_to_one(
    seed: int, order: int, smoothing: float, interpolation: float
) -> None:
    model = Model(7, order, smoothing, interpolation).fit(texts(seed))
    rows = np.array([[a, b] for a in range(1, 7) for b in range(1, 7)])
    likelihoods = np.exp(model.log_likelihoods(rows))
    np.testing.assert_allclose(likelihoods[:, 1].reshape(6, 6).sum(1), 1)
    np.testing.assert_allclose(likelihoods[::6, 0].sum(), 1)


def test_an_order_of_one_looks_at_nothing_before() -> None:
    model = Model(7, order=1).fit(texts(0))
    rows = texts(1)
    likelihoods = model.log_likelihoods(rows)
    for token in range(1, 7):
        assert len(np.unique(likelihoods[rows == token])) == 1


def test_the_likeliest_token_follows_and_padding_has_none() -> None:
    model = Model(vocab_size=4).fit([[1, 2, 3, 1], [1, 2, 3, 0]])
    np.testing.assert_array_equal(model.predict([[1, 2, 3, 1], [1, 0, 0, 0]])[0], [1, 2, 3, 1])
    np.testing.assert_array_equal(model.predict([[2, 1, 0]]), [[1, 3, -1]])


def test_samples_follow_the_frequencies_and_the_seed() -> None:
    model = Model(7).fit(texts(0, n=200))
    drawn = model.sample(4000, 6, random_state=3)
    assert drawn.shape == (4000, 6)
    assert drawn.dtype == np.int64
    again = Model(7, smoothing=1e-9).fit(drawn)
    start = Model(7).fit(texts(0, n=200)).probabilities_[0]
    np.testing.assert_allclose(
        again.probabilities_[0], 0.8 * start + 0.2 * _shares(drawn), atol=0.03
    )
    np.testing.assert_array_equal(model.sample(10, 6, random_state=3), drawn[:10])
    assert not np.array_equal(model.sample(4000, 6, random_state=4), drawn)


def _shares(ids: np.ndarray) -> np.ndarray:
    return np.bincount(ids.ravel(), minlength=7)[1:] / ids.size


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"order": 3}, "order=3; expected 1 or 2"),
        ({"smoothing": 0.0}, "smoothing=0.0"),
        ({"interpolation": 1.5}, "interpolation=1.5"),
        ({"vocab_size": 1}, "vocab_size=1"),
    ],
)
def test_arguments_out_of_range_are_named(params: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Model(**params).fit([[1]])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[1, 0, 2]], "padding .* before a token in row 0"),
        ([[1, 2], [0, 0]], "nothing but padding .* in row 1"),
        ([1, 2], "shape"),
        ([[1, 7]], "token id 7; expected 0 to 6"),
        ([[1, 1.5]], "got 1.5"),
        ([[1, -1]], "Negative values"),
        ([[1, np.nan]], "nan"),
        ([["a", "b"]], "type"),
        (np.zeros((0, 3)), "at least one row"),
    ],
)
def test_what_is_no_text_is_refused_in_training_and_use(rows: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Model(7).fit(rows)
    with pytest.raises(ValueError, match=said):
        Model(7).fit(texts(0)).log_likelihoods(rows)


def test_it_is_an_estimator_that_can_be_cloned() -> None:
    model = Model(7, order=1, smoothing=0.3, interpolation=0.2)
    assert clone(model).get_params() == model.get_params()


def test_counting_needs_no_torch() -> None:
    code = "import sys, qlmbench.models.ngrams; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
