"""Words of captions as ids, and how near captions are to each other."""

import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlmbench.data.images.scenes import ATTRIBUTES, LONGEST_CAPTION, sample_scenes
from qlmbench.data.images.vocabulary import END, PADDING, UNKNOWN, CaptionVocabulary
from qlmbench.errors import UserError
from qlmbench.vision.metrics import attribute_metrics, caption_metrics
from qlmbench.vision.retrieval import distractors, share_of_choice

SCENES = CaptionVocabulary.of_scenes()
CAPTIONS = [scene.caption for scene in sample_scenes(30, 0, "train")]


def test_captions_come_back_from_their_ids():
    ids = SCENES.encode(CAPTIONS, LONGEST_CAPTION + 1)
    assert [SCENES.decode(row) for row in ids] == CAPTIONS
    assert not (ids == UNKNOWN).any()
    assert ((ids == END).sum(1) == 1).all()
    assert ids.max() < len(SCENES) == 29


def test_a_prompt_adds_its_words_and_keeps_the_ids_of_the_others():
    longer = CaptionVocabulary.of_scenes("Describe the image: ")
    assert len(longer) == 29 + 4
    assert longer.ids_of("red circle") == SCENES.ids_of("red circle")
    assert UNKNOWN not in longer.ids_of("Describe the image: ")


def test_a_fitted_vocabulary_has_the_most_frequent_words():
    vocabulary = CaptionVocabulary.fit(["a dog", "a cat", "a dog barks"], size=5)
    assert vocabulary.words == ("a", "dog")
    assert vocabulary.ids_of("a cat") == [3, UNKNOWN]
    assert vocabulary.decode([3, 4, END, 3]) == "a dog"
    with pytest.raises(ValueError, match="at least 4"):
        CaptionVocabulary.fit(["a"], size=3)


def test_a_caption_that_does_not_fit_is_no_silent_loss():
    with pytest.raises(ValueError, match="of 5 words; expected 1 to 4"):
        CaptionVocabulary(("a",)).encode(["a a a a a"], 5)
    with pytest.raises(ValueError, match="of 0 words"):
        SCENES.encode(["  "], 5)


def test_padding_is_no_word():
    assert SCENES.decode([PADDING, 3, PADDING]) == SCENES.word(3)


# ---- metrics -----------------------------------------------------------------------------------


def test_right_captions_have_full_marks():
    found = [f"  {caption.upper()} " for caption in CAPTIONS]
    assert caption_metrics(found, CAPTIONS) == pytest.approx(
        {"exact_match": 1.0, "bleu": 1.0, "rouge_l": 1.0}
    )
    marks = attribute_metrics(CAPTIONS, CAPTIONS)
    assert set(marks) == {"grammatical", "groups", *ATTRIBUTES}
    assert set(marks.values()) == {1.0}


def test_nonsense_has_no_marks():
    found = ["cat"] * len(CAPTIONS)
    assert max(caption_metrics(found, CAPTIONS).values()) < 0.01
    assert not any(attribute_metrics(found, CAPTIONS).values())


def test_each_attribute_counts_for_itself():
    right = ["two small red circles top left and one large blue square bottom right"]
    found = ["two small blue circles top left and one small blue square bottom right"]
    marks = attribute_metrics(found, right)
    expected = {"count": 1.0, "size": 0.5, "colour": 0.5, "shape": 1.0, "position": 1.0}
    assert marks == {"grammatical": 1.0, "groups": 1.0, **expected}
    marks = attribute_metrics([found[0].split(" and ")[0]], right)
    assert marks == {
        "grammatical": 1.0,
        "groups": 0.0,
        "count": 0.5,
        "size": 0.5,
        "colour": 0.0,
        "shape": 0.5,
        "position": 0.5,
    }


def test_a_known_bleu_and_rouge():
    marks = caption_metrics(["the cat sat on the mat"], ["the cat is on the mat"])
    assert marks["rouge_l"] == pytest.approx(5 / 6)
    # Precisions 5/6, 3/5, 1/4 and, smoothed, 1/6; equal lengths.
    assert marks["bleu"] == pytest.approx((5 / 6 * 3 / 5 * 1 / 4 * 1 / 6) ** 0.25)


def test_wrong_sets_of_captions_are_refused():
    with pytest.raises(ValueError, match="1 captions and 2"):
        caption_metrics(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="at least one"):
        attribute_metrics([], [])
    with pytest.raises(ValueError, match="expected one of a scene"):
        attribute_metrics(["a cat"], ["a cat"])


def test_without_the_packages_one_line_says_what_to_install(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UserError, match=r"pip install 'qlmbench\[vision\]'"):
        caption_metrics(["a"], ["a"])


# ---- retrieval ---------------------------------------------------------------------------------


@settings(max_examples=20)
@given(kinds=st.lists(st.integers(0, 5), min_size=12, max_size=20), seed=st.integers(0, 9))
def test_other_images_have_other_captions(kinds, seed):
    captions = np.array(kinds)[:, None]
    fewest = len(kinds) - np.bincount(kinds).max()
    if fewest < 3:
        with pytest.raises(ValueError, match="at least 3"):
            distractors(captions, 3, seed)
        return
    others = distractors(captions, 3, seed)
    assert others.shape == (len(kinds), 3)
    assert (captions[others, 0] != captions).all()
    assert all(len(set(row)) == 3 for row in others.tolist())
    assert np.array_equal(others, distractors(captions, 3, seed))


def test_a_tie_is_shared():
    own, rivals = np.array([-1.0, -1.0, -1.0]), np.array([[-2.0, -3], [-1, -2], [-0.5, -1]])
    assert share_of_choice(own, rivals).tolist() == [1, 0.5, 0]
    with pytest.raises(ValueError, match="at least 2"):
        distractors(np.zeros((3, 1), dtype=np.int64), 0, 0)
