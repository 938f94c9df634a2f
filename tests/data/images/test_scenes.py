"""Scenes: one caption each, that can be read back; parts that share no caption."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qlmbench.data.digests import identity_digest
from qlmbench.data.images.drawing import SIDE, render
from qlmbench.data.images.scenes import (
    COLOURS,
    HELD_OUT,
    LONGEST_CAPTION,
    MOST_OBJECTS,
    POSITIONS,
    ROWS_SHA256,
    SHAPES,
    SIZES,
    Group,
    Scene,
    parse_caption,
    read_scene,
    sample_scenes,
    scene_parts,
    scene_words,
)

PARTS = [("train", "seen"), ("validation", "seen"), ("test", "seen"), ("test", "held out")]


@st.composite
def scenes(draw):
    places = draw(st.sets(st.sampled_from(range(4)), min_size=1, max_size=2))
    groups = [
        Group(
            draw(st.integers(1, 3)),
            draw(st.sampled_from(SIZES)),
            draw(st.sampled_from(COLOURS)),
            draw(st.sampled_from(SHAPES)),
            POSITIONS[place],
        )
        for place in sorted(places)
    ]
    assume(sum(group.count for group in groups) <= 3)
    return Scene(tuple(groups), draw(st.integers(0, 99)))


@settings(max_examples=100)
@given(scenes())
def test_a_caption_says_all_of_its_scene_and_nothing_else(scene):
    assert parse_caption(scene.caption) == scene.groups


@settings(max_examples=100)
@given(scenes())
def test_a_scene_is_its_text(scene):
    assert read_scene(scene.text) == scene


def test_every_group_has_a_caption_of_its_own():
    counts = range(1, MOST_OBJECTS + 1)
    groups = [Group(*v) for v in itertools.product(counts, SIZES, COLOURS, SHAPES, POSITIONS)]
    assert len({group.phrase for group in groups}) == len(groups) == 720
    assert all(parse_caption(group.phrase) == (group,) for group in groups)


def test_a_known_caption():
    scene = read_scene("2 small red circle top-left + 1 large blue square bottom-right #7")
    assert scene.caption == (
        "two small red circles top left and one large blue square bottom right"
    )
    assert scene.label == "circle"
    assert scene.groups[0].attributes() == {
        "count": "two",
        "size": "small",
        "colour": "red",
        "shape": "circle",
        "position": "top left",
    }


@pytest.mark.parametrize(
    "caption",
    [
        "",
        "one small red circles top left",
        "two small red circle top left",
        "two small red circles",
        "two red small circles top left",
        "two small red circles top left and",
        "a cat",
        " and ".join(["one small red circle top left"] * 3),
    ],
)
def test_what_is_no_caption_has_no_groups(caption):
    assert parse_caption(caption) is None


@settings(max_examples=30)
@given(scenes())
def test_captions_are_made_of_the_known_words(scene):
    words = scene.caption.split()
    assert set(words) <= set(scene_words())
    assert len(words) <= LONGEST_CAPTION


@pytest.mark.parametrize(
    "text",
    [
        "2 small red circle top-left",
        "4 small red circle top-left #0",
        "1 tiny red circle top-left #0",
        "1 small red circle top-left + 1 small red circle top-left #0",
        "1 small red circle top-right + 1 small red circle top-left #0",
        "2 small red circle top-left + 2 small red circle top-right #0",
    ],
)
def test_a_text_that_is_no_scene_is_refused(text):
    with pytest.raises(ValueError, match=r"expected|more than"):
        read_scene(text)


@pytest.mark.parametrize(("part", "pairs"), PARTS)
def test_a_draw_is_equal_each_time_and_grows_at_its_end(part, pairs):
    some = sample_scenes(20, 1, part, pairs)
    assert some == sample_scenes(40, 1, part, pairs)[:20]
    assert some != sample_scenes(20, 2, part, pairs)
    assert all(scene.part == part for scene in some)


def test_parts_share_no_caption():
    captions = [
        {scene.caption for scene in sample_scenes(300, 0, part, pairs)} for part, pairs in PARTS
    ]
    assert sum(map(len, captions)) == len(set.union(*captions))


def test_held_out_pairs_are_in_no_training_scene_but_their_words_are():
    train = sample_scenes(400, 0, "train")
    pairs = {(group.colour, group.shape) for scene in train for group in scene.groups}
    assert not pairs & HELD_OUT
    assert {colour for colour, _ in pairs} == set(COLOURS)
    assert {shape for _, shape in pairs} == set(SHAPES)
    test = sample_scenes(50, 0, "test", "held out")
    assert all(scene.is_held_out for scene in test)
    assert {word for scene in test for word in scene.caption.split()} <= {
        word for scene in train for word in scene.caption.split()
    }


def test_asking_for_held_out_pairs_in_training_is_an_error():
    with pytest.raises(ValueError, match="expected 'test'"):
        sample_scenes(1, 0, "train", "held out")
    with pytest.raises(ValueError, match="at least 1"):
        sample_scenes(0, 0, "train")


@settings(max_examples=20)
@given(scenes())
def test_an_image_is_made_of_its_scene_alone(scene):
    image = render(scene)
    assert image.shape == (SIDE, SIDE, 3)
    assert image.dtype == np.uint8
    assert np.array_equal(image, render(read_scene(scene.text)))
    other = render(Scene(scene.groups, scene.image + 1))
    assert not np.array_equal(image, other)


@settings(max_examples=20)
@given(scenes())
def test_shapes_are_in_their_quarters_and_nowhere_else(scene):
    image = render(scene).astype(int)
    drawn = (image != image[SIDE // 2 - 1, SIDE // 2 - 1]).any(2)  # no shape reaches the middle
    half = SIDE // 2
    quarters = {
        "top left": drawn[:half, :half],
        "top right": drawn[:half, half:],
        "bottom left": drawn[half:, :half],
        "bottom right": drawn[half:, half:],
    }
    full = {position for position, quarter in quarters.items() if quarter.any()}
    assert full == {group.position for group in scene.groups}


@pytest.mark.parametrize("shape", SHAPES)
def test_as_many_shapes_are_drawn_as_the_caption_says(shape):
    from scipy.ndimage import label

    for count in (1, 2, 3):
        image = render(Scene((Group(count, "large", "blue", shape, "top right"),))).astype(int)
        drawn = abs(image - image[-1, 0]).sum(2) > 100
        assert label(drawn)[1] == count


def test_large_shapes_cover_more_than_small_ones():
    for shape in SHAPES:
        areas = []
        for size in SIZES:
            image = render(Scene((Group(1, size, "red", shape, "top left"),))).astype(int)
            areas.append((image != image[-1, -1]).any(2).sum())
        assert areas[1] > 2 * areas[0]


def test_the_dataset_has_the_stated_hash_and_no_caption_in_two_parts() -> None:
    parts = scene_parts()
    fields = [field for part, rows in parts.items() for field in (part, *itertools.chain(*rows))]
    assert identity_digest(*fields) == ROWS_SHA256
    captions = [{read_scene(text).caption for text, _ in rows} for rows in parts.values()]
    assert not any(a & b for a, b in itertools.combinations(captions, 2))


def test_half_of_the_test_scenes_have_pairs_that_training_never_has() -> None:
    held_out = {
        part: np.mean([read_scene(text).is_held_out for text, _ in rows])
        for part, rows in scene_parts().items()
    }
    assert held_out == {"train": 0, "validation": 0, "test": 0.5}
