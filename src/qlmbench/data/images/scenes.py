"""Scenes of coloured shapes, their exact captions, and the way back from a caption.

A scene has one or two groups, each of equal shapes in a quarter of the image of its own::

    two small red circles top left and one large blue square bottom right

The grammar gives every scene exactly one caption and every caption exactly one set of attributes,
so that a captioner that sees everything reaches an exact match of 1. As a row of a dataset, a scene
is a short text, ``2 small red circle top-left + 1 large blue square bottom-right #7``, whose number
tells apart images with the same caption.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from qlmbench.seeding import seed_for

if TYPE_CHECKING:
    import numpy as np

COUNTS = ("one", "two", "three")
SIZES = ("small", "large")
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
SHAPES = ("circle", "square", "triangle", "star", "diamond")
POSITIONS = ("top left", "top right", "bottom left", "bottom right")

ATTRIBUTES = ("count", "size", "colour", "shape", "position")
"""What a caption says of a group, in the order in which it says it."""

HELD_OUT = frozenset(
    {
        ("red", "star"),
        ("green", "diamond"),
        ("blue", "circle"),
        ("yellow", "triangle"),
        ("purple", "square"),
        ("orange", "circle"),
    }
)
"""Colours and shapes that never meet in training; each alone does occur there."""

MOST_OBJECTS = 3
LONGEST_CAPTION = 13
"""Words of the longest caption."""

Part = Literal["train", "validation", "test"]
Pairs = Literal["seen", "held out"]

# A caption belongs to one part for good: of ten, so many go to each.
_TENTHS: dict[Part, range] = {
    "train": range(0, 7),
    "validation": range(7, 8),
    "test": range(8, 10),
}
_IMAGES_A_CAPTION = 1_000_000

SEED = 0
SIZES_OF_PARTS: dict[Part, int] = {"train": 3000, "validation": 400, "test": 400}
"""Scenes of the dataset whose pairs all meet in training; the test part has as many others."""
ROWS_SHA256 = "3bdc87b4ff20a3a21ac7850f179d904619ce508efaf13e82b3c776ebfff83f61"
"""Hash of the dataset's rows, so that its identity is known without drawing them."""


@dataclass(frozen=True)
class Group:
    """Equal shapes in one quarter of the image.

    Parameters
    ----------
    count : int
        From 1 to 3.
    size, colour, shape, position : str
        One of `SIZES`, `COLOURS`, `SHAPES` and `POSITIONS`.

    Raises
    ------
    ValueError
        If a value is none of those.
    """

    count: int
    size: str
    colour: str
    shape: str
    position: str

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST_OBJECTS:
            raise ValueError(f"got {self.count} shapes in a group; expected 1 to {MOST_OBJECTS}")
        for name, known in _KNOWN.items():
            if getattr(self, name) not in known:
                raise ValueError(
                    f"got {name} {getattr(self, name)!r}; expected one of {', '.join(known)}"
                )

    @property
    def phrase(self) -> str:
        """What a caption says of the group."""
        noun = self.shape if self.count == 1 else self.shape + "s"
        return f"{COUNTS[self.count - 1]} {self.size} {self.colour} {noun} {self.position}"

    def attributes(self) -> dict[str, str]:
        """Return its attributes as words, by name."""
        words = (COUNTS[self.count - 1], self.size, self.colour, self.shape, self.position)
        return dict(zip(ATTRIBUTES, words, strict=True))


@dataclass(frozen=True)
class Scene:
    """One or two groups, and which image of them.

    Parameters
    ----------
    groups : tuple of Group
        In the order of `POSITIONS`, at different positions, with three shapes together at most.
    image : int
        Tells apart the images of one caption.

    Raises
    ------
    ValueError
        If the groups are too many or too few, out of order, or share a position.
    """

    groups: tuple[Group, ...]
    image: int = 0

    def __post_init__(self) -> None:
        places = [POSITIONS.index(group.position) for group in self.groups]
        if len(places) not in (1, 2) or sorted(set(places)) != places:
            raise ValueError(
                f"got groups at {[group.position for group in self.groups]}; expected one or two, "
                f"at different positions, in the order {', '.join(POSITIONS)}"
            )
        if sum(group.count for group in self.groups) > MOST_OBJECTS:
            raise ValueError(f"got a scene of more than {MOST_OBJECTS} shapes: {self.groups}")
        if self.image < 0:
            raise ValueError(f"got image {self.image}; expected 0 or more")

    @property
    def caption(self) -> str:
        """The one caption that is right."""
        return " and ".join(group.phrase for group in self.groups)

    @property
    def text(self) -> str:
        """The scene as a row of a dataset; `read_scene` reads it."""
        groups = " + ".join(" ".join(map(_one_word, astuple(group))) for group in self.groups)
        return f"{groups} #{self.image}"

    @property
    def label(self) -> str:
        """Shape of the first group: the class in the diagnostic task."""
        return self.groups[0].shape

    @property
    def is_held_out(self) -> bool:
        """Whether a colour and a shape meet that never meet in training."""
        return any((group.colour, group.shape) in HELD_OUT for group in self.groups)

    @property
    def part(self) -> Part:
        """Part of the dataset that the caption belongs to; all of its images are in that part."""
        if self.is_held_out:
            return "test"
        return part_of(self.caption)


def part_of(key: str) -> Part:
    """Return the part that everything with one key belongs to, for good."""
    tenth = seed_for("data", caption=key, purpose="part of the scenes") % 10
    return next(part for part, tenths in _TENTHS.items() if tenth in tenths)


def parse_caption(caption: str) -> tuple[Group, ...] | None:
    """Read the groups back from a caption.

    Parameters
    ----------
    caption : str
        Words with blanks between.

    Returns
    -------
    tuple of Group, or None
        None where the grammar has no such caption; the order of the groups and the number of
        shapes together are not looked at.
    """
    groups = [_parse_group(phrase) for phrase in caption.split(" and ")]
    if not 1 <= len(groups) <= 2:
        return None
    return tuple(group for group in groups if group) if all(groups) else None


def read_scene(text: str) -> Scene:
    """Read a scene from its text.

    Raises
    ------
    ValueError
        If it is not as `Scene.text` writes it.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(
            f"got the scene {text!r}; expected one such as '2 small red circle top-left #0'"
        )
    words = [part.split() for part in match["groups"].split(" + ")]
    groups = tuple(
        Group(int(count), size, colour, shape, position.replace("-", " "))
        for count, size, colour, shape, position in words
    )
    return Scene(groups, int(match["image"]))


def sample_scenes(n: int, seed: int, part: Part, pairs: Pairs = "seen") -> list[Scene]:
    """Draw scenes of one part of the dataset.

    Half of them have two groups. Captions may repeat, scenes do not; the first ones do not depend
    on how many there are.

    Parameters
    ----------
    n : int
        How many, at least 1.
    seed : int
        Of the draw.
    part : {"train", "validation", "test"}
        No caption is in two parts.
    pairs : {"seen", "held out"}
        Scenes whose colours and shapes all meet in training, or those with a pair of `HELD_OUT`;
        the latter are in the test part alone.

    Raises
    ------
    ValueError
        If the number is below 1, or held-out pairs are asked for outside the test part.
    """
    import numpy as np

    if n < 1:
        raise ValueError(f"got n={n} scenes; expected at least 1")
    if part not in _TENTHS or pairs not in ("seen", "held out"):
        raise ValueError(
            f"got part={part!r}, pairs={pairs!r}; expected one of {', '.join(_TENTHS)}, and 'seen' "
            "or 'held out'"
        )
    if pairs == "held out" and part != "test":
        raise ValueError(f"got held-out pairs for {part!r}; expected 'test', their only part")
    rng = np.random.default_rng(seed_for("data", scenes=part, pairs=pairs, seed=seed))
    found: dict[Scene, None] = {}
    while len(found) < n:
        scene = _draw(rng)
        if scene.part == part and scene.is_held_out == (pairs == "held out"):
            found[scene] = None
    return list(found)


def scene_parts() -> dict[str, list[tuple[str, str]]]:
    """Return the dataset of scenes: rows of text and label by part, the same ones every time.

    Half of the test rows have a pair of colour and shape that no other part has.
    """
    drawn = {part: sample_scenes(n, SEED, part) for part, n in SIZES_OF_PARTS.items()}
    drawn["test"] += sample_scenes(SIZES_OF_PARTS["test"], SEED, "test", "held out")
    return {part: [(scene.text, scene.label) for scene in drawn[part]] for part in drawn}


@lru_cache
def scene_words() -> tuple[str, ...]:
    """Return every word of the grammar."""
    plurals = [shape + "s" for shape in SHAPES]
    positions = [word for position in POSITIONS for word in position.split()]
    return tuple(dict.fromkeys([*COUNTS, *SIZES, *COLOURS, *SHAPES, *plurals, *positions, "and"]))


def _draw(rng: np.random.Generator) -> Scene:
    counts = _COUNTS_OF_TWO if rng.random() < 0.5 else _COUNTS_OF_ONE
    chosen = counts[rng.integers(len(counts))]
    places = sorted(rng.choice(len(POSITIONS), size=len(chosen), replace=False).tolist())
    groups = []
    for count, place in zip(chosen, places, strict=True):
        size, colour, shape = (str(rng.choice(words)) for words in (SIZES, COLOURS, SHAPES))
        groups.append(Group(count, size, colour, shape, POSITIONS[place]))
    return Scene(tuple(groups), int(rng.integers(_IMAGES_A_CAPTION)))


def _parse_group(phrase: str) -> Group | None:
    match = _PHRASE.fullmatch(phrase)
    if match is None:
        return None
    count = COUNTS.index(match["count"]) + 1
    if bool(match["plural"]) != (count > 1):
        return None
    return Group(count, match["size"], match["colour"], match["shape"], match["position"])


def _one_word(value: str | int) -> str:
    return str(value).replace(" ", "-")


def _choice(name: str, values: Sequence[str]) -> str:
    return f"(?P<{name}>{'|'.join(values)})"


_KNOWN = {"size": SIZES, "colour": COLOURS, "shape": SHAPES, "position": POSITIONS}
_COUNTS_OF_ONE = ((1,), (2,), (3,))
_COUNTS_OF_TWO = ((1, 1), (1, 2), (2, 1))
_PHRASE = re.compile(
    " ".join(
        [
            _choice("count", COUNTS),
            _choice("size", SIZES),
            _choice("colour", COLOURS),
            _choice("shape", SHAPES) + "(?P<plural>s?)",
            _choice("position", POSITIONS),
        ]
    )
)
_GROUP_TEXT = r"\d+ [a-z]+ [a-z]+ [a-z]+ [a-z-]+"
_TEXT = re.compile(rf"(?P<groups>{_GROUP_TEXT}(?: \+ {_GROUP_TEXT})?) #(?P<image>\d+)")
