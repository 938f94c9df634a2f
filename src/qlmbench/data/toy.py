"""A small made-up set of reviews, for tests and smoke runs: no download, learnable, not trivial."""

from __future__ import annotations

import random

CLASSES = ("negative", "positive")
PER_CLASS = 200
SEED = 20250412

_THINGS = "plot cast score script camerawork ending dialogue pacing humour story"
_WORDS = {
    "positive": "charming moving clever gripping witty",
    "negative": "tedious clumsy hollow stale muddled",
}
# Words that occur with both labels, so that a single word never settles the class.
_SHARED = "familiar loud quiet long strange simple bold dark"
_TEMPLATES = (
    "the {thing} is {word} and the {other} is {shared}",
    "a {shared} film with a {word} {thing}",
    "{shared} as it is , the {thing} stays {word}",
    "one leaves with the {word} {thing} in mind , not the {shared} {other}",
    "a {word} and {word2} evening with a {shared} {thing}",
    "{word} {thing} , {shared} {other}",
    "the {other} may be {opposite} , yet the {thing} makes it {word} and {word2}",
    "its {shared} {thing} and {other} are never {opposite}",
)


def toy_rows() -> list[tuple[str, str]]:
    """Return the sentences with their class, the same ones every time.

    Returns
    -------
    list of (text, label)
        ``2 * PER_CLASS`` distinct sentences in shuffled order, balanced.
    """
    draw = random.Random(SEED)
    rows: dict[str, str] = {}
    for label in CLASSES:
        opposite = next(name for name in CLASSES if name != label)
        wanted = len(rows) + PER_CLASS
        while len(rows) < wanted:
            rows.setdefault(_sentence(draw, label, opposite), label)
    shuffled = list(rows.items())
    draw.shuffle(shuffled)
    return shuffled


def _sentence(draw: random.Random, label: str, opposite: str) -> str:
    thing, other = draw.sample(_THINGS.split(), 2)
    word, word2 = draw.sample(_WORDS[label].split(), 2)
    return draw.choice(_TEMPLATES).format(
        thing=thing,
        other=other,
        shared=draw.choice(_SHARED.split()),
        word=word,
        word2=word2,
        opposite=draw.choice(_WORDS[opposite].split()),
    )
