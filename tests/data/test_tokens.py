"""Token encoders: an id depends on the training texts alone, and nothing is guessed."""

import numpy as np
import pytest

from qlmbench.data.encoders import encoder_identity
from qlmbench.data.tokens import token_encoder, words_of
from qlmbench.errors import UserError

TRAINING = ["a good film, a good cast", "a bad film", "a film"]


def test_the_most_frequent_words_get_ids_and_ties_go_by_the_alphabet() -> None:
    encoder = token_encoder("words-5x6")
    assert encoder is not None
    vocabulary = encoder.fit(TRAINING)
    assert vocabulary.words == ("<pad>", "<unk>", "a", "film", "good")
    assert vocabulary.encode(["a good dog"]).tolist() == [[2, 4, 1, 0, 0, 0]]


def test_longer_texts_are_cut_and_shorter_ones_padded_at_the_end() -> None:
    encoder = token_encoder("words-9x3")
    assert encoder is not None
    ids = encoder.fit(TRAINING).encode(["a film a film a film", "film"])
    assert ids.shape == (2, 3)
    assert ids.dtype == np.int32
    assert (ids[0] > 0).all()
    assert ids[1, 1:].tolist() == [0, 0]


def test_a_mark_of_punctuation_is_a_word_and_case_is_none() -> None:
    assert words_of("It's GOOD, isn't it?") == ["it's", "good", ",", "isn't", "it", "?"]


def test_ids_are_read_as_they_stand() -> None:
    encoder = token_encoder("token-ids-4")
    assert encoder is not None
    vocabulary = encoder.fit(["9 9"])
    assert vocabulary.encode(["3 17 2"]).tolist() == [[3, 17, 2, 0]]
    assert vocabulary.word(17) == "17"


@pytest.mark.parametrize("text", ["a film", "3 0 1", "-2", "1.5", "", "1 2 3 4 5"])
def test_a_text_that_is_no_list_of_ids_is_one_clear_error(text: str) -> None:
    encoder = token_encoder("token-ids-4")
    assert encoder is not None
    with pytest.raises(UserError, match="token"):
        encoder.fit([]).encode([text or "x"])


def test_a_text_without_a_word_is_refused() -> None:
    encoder = token_encoder("words-5x6")
    assert encoder is not None
    with pytest.raises(UserError, match="without a word"):
        encoder.fit(TRAINING).encode(["   "])


def test_a_vocabulary_without_room_for_a_word_is_refused() -> None:
    with pytest.raises(UserError, match="vocabulary of 2"):
        token_encoder("words-2x6")


def test_scenes_have_rows_with_and_without_their_captions() -> None:
    text = "1 large blue square top-left #3"
    rows = {}
    for name in ("scenes-pixels-8x14", "scenes-pixels-8"):
        encoder = token_encoder(name)
        assert encoder is not None
        rows[name] = encoder.fit([text]).encode([text])
        assert str(rows[name].shape[1]) == encoder_identity(name)["width"]
    long, short = rows.values()
    assert (long[:, :-14] == short).all()
    assert (long[0, -14:] > 0).sum() == 7


@pytest.mark.parametrize("name", ["words-500", "words-0x3", "words-5x0", "token-ids-", "hashing"])
def test_other_names_are_no_token_encoders(name: str) -> None:
    assert token_encoder(name) is None


def test_identity_says_all_that_decides_the_ids() -> None:
    identities = [encoder_identity(n) for n in ("words-500x24", "words-500x25", "token-ids-24")]
    contents = [tuple(sorted((k, v) for k, v in i.items() if k != "name")) for i in identities]
    assert len(set(contents)) == 3


def test_a_misspelt_encoder_is_told_the_forms() -> None:
    with pytest.raises(UserError, match="words-<V>x<T>"):
        encoder_identity("word-500x24")
