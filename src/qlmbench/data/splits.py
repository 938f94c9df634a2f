"""Which rows a repetition trains on, tunes on and is scored on.

Rows that a study fixes are taken first. Then test, validation and training rows are drawn, in this
order and each from random numbers of its own: the test rows of a repetition stay what they are when
the training set grows, and a larger draw contains the smaller one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from qlmbench.data.folders import PARTS
from qlmbench.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qlmbench.data.datasets import Dataset
    from qlmbench.spec import Selection, Split

Row = tuple[str, int]
"""Part of the dataset, and index in that part."""

ROLES = ("test", "validation", "train")  # in the order of drawing; the position seeds the draw


@dataclass(frozen=True)
class Rows:
    """Rows of each role, in the order of the dataset.

    Parameters
    ----------
    train, validation, test : tuple of (str, int)
        Part and index in the part.
    """

    train: tuple[Row, ...]
    validation: tuple[Row, ...]
    test: tuple[Row, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the rows of all roles."""
        return self._digest_of(ROLES)

    @property
    def test_digest(self) -> str:
        """SHA-256 of the test rows: equal for repetitions that are scored on the same ones."""
        return self._digest_of(("test",))

    def _digest_of(self, roles: tuple[str, ...]) -> str:
        digest = hashlib.sha256()
        for role in roles:
            digest.update(f"{role}:".encode())
            digest.update(";".join(f"{part},{i}" for part, i in getattr(self, role)).encode())
        return digest.hexdigest()


def draw(dataset: Dataset, split: Split, seed: int) -> Rows:
    """Draw the rows of one repetition.

    A drawn row never has the text of a row of another role, up to case and white space.

    Parameters
    ----------
    dataset : Dataset
        Where from.
    split : Split
        What to draw for each role.
    seed : int
        Nonnegative; the same seed gives the same rows whatever was drawn before.

    Returns
    -------
    Rows

    Raises
    ------
    UserError
        If a part does not exist, two roles fix the same row, or there are fewer rows than asked.
    """
    pool = _Pool(dataset)
    chosen = {}
    for role in sorted(ROLES, key=lambda role: _turn(getattr(split, role))):
        generator = np.random.default_rng([seed, ROLES.index(role)])
        chosen[role] = pool.take(role, getattr(split, role), generator)
    return Rows(**{role: pool.rows(chosen[role]) for role in ROLES})


def select(dataset: Dataset, rows: Sequence[Row]) -> tuple[list[str], NDArray[np.int64]]:
    """Return texts and labels of rows.

    Parameters
    ----------
    dataset : Dataset
        The dataset they were drawn from.
    rows : sequence of (str, int)
        Part and index, length n.

    Returns
    -------
    texts : list of str
    labels : ndarray of int64, shape (n,)
    """
    texts = [dataset.parts[part].texts[i] for part, i in rows]
    labels = [dataset.parts[part].labels[i] for part, i in rows]
    return texts, np.array(labels, dtype=np.int64)


def positions(dataset: Dataset, rows: Sequence[Row]) -> tuple[list[int], int]:
    """Return the numbers of rows when all parts of a dataset are counted through.

    Parameters
    ----------
    dataset : Dataset
        The dataset they were drawn from.
    rows : sequence of (str, int)
        Part and index.

    Returns
    -------
    numbers : list of int
        In the order of ``rows``; equal for equal rows, whatever the split.
    total : int
        Number of rows of the dataset.
    """
    sizes = [len(dataset.parts[part]) for part in _parts(dataset)]
    starts = dict(zip(_parts(dataset), np.cumsum([0, *sizes]).tolist(), strict=False))
    return [starts[part] + i for part, i in rows], sum(sizes)


def texts_at(dataset: Dataset, numbers: Sequence[int]) -> list[str]:
    """Return the texts of rows by their numbers: the way back from `positions`."""
    texts = [text for part in _parts(dataset) for text in dataset.parts[part].texts]
    return [texts[number] for number in numbers]


def normalised(text: str) -> str:
    """Return the form in which two texts count as equal: case folded, white space single."""
    return " ".join(text.casefold().split())


def _turn(selection: Selection) -> int:
    """Order the roles: fixed rows first, so that no draw takes them; the rest last."""
    return 0 if selection.rows is not None else 2 if selection.rest else 1


@lru_cache(maxsize=2)
def _text_numbers(dataset: Dataset) -> NDArray[np.int64]:
    """Give every row the number of its text, in the order of `_Pool`; equal texts, equal number."""
    numbers: dict[str, int] = {}
    texts = (text for part in _parts(dataset) for text in dataset.parts[part].texts)
    return np.array([numbers.setdefault(normalised(text), len(numbers)) for text in texts])


def _parts(dataset: Dataset) -> list[str]:
    return [part for part in PARTS if part in dataset.parts]


class _Pool:
    """All rows of a dataset under one index, and which of them are still free."""

    def __init__(self, dataset: Dataset) -> None:
        self._classes = dataset.classes
        self._name = dataset.name
        sizes = {part: len(dataset.parts[part]) for part in _parts(dataset)}
        starts = np.cumsum([0, *sizes.values()])
        self._span = dict(zip(sizes, pairwise(starts), strict=True))
        self._labels = np.concatenate([dataset.parts[part].labels for part in sizes])
        self._texts = _text_numbers(dataset)
        self._taken = np.zeros(len(self._labels), dtype=bool)
        self._claimed = np.zeros(self._texts.max() + 1, dtype=bool)  # texts that some role has

    def take(
        self, role: str, selection: Selection, generator: np.random.Generator
    ) -> NDArray[np.int64]:
        """Choose the rows of one role, and mark them and their texts as taken."""
        start, stop = self._range(role, selection.part)
        if selection.rows is not None:
            chosen = self._fixed(role, selection, start, stop)
        else:
            free = np.arange(start, stop)
            free = free[~self._claimed[self._texts[free]]]
            chosen = np.sort(self._drawn(role, selection, free, generator))
        self._taken[chosen] = True
        self._claimed[self._texts[chosen]] = True
        return chosen

    def rows(self, chosen: NDArray[np.int64]) -> tuple[Row, ...]:
        """Turn positions in the pool into part and index."""
        found: list[Row] = []
        for part, (start, stop) in self._span.items():
            inside = chosen[(chosen >= start) & (chosen < stop)]
            found += [(part, int(i)) for i in inside - start]
        return tuple(found)

    def _range(self, role: str, part: str) -> tuple[int, int]:
        if part == "all":
            return 0, len(self._labels)
        if part not in self._span:
            raise UserError(
                f"the split takes {role} rows from part {part!r}, "
                f"which dataset {self._name!r} does not have",
                expected="one of " + ", ".join([*self._span, "all"]),
            )
        start, stop = self._span[part]
        return int(start), int(stop)

    def _fixed(self, role: str, selection: Selection, start: int, stop: int) -> NDArray[np.int64]:
        assert selection.rows is not None
        first, last = selection.rows
        if not 0 <= first < last <= stop - start:
            raise UserError(
                f"{role} rows {first} to {last} of part {selection.part!r} of {self._name!r}",
                expected=f"a range within 0 to {stop - start}",
            )
        chosen = np.arange(start + first, start + last)
        if self._taken[chosen].any():
            raise UserError(f"{role} rows {first} to {last} are also rows of another role")
        return chosen

    def _drawn(
        self,
        role: str,
        selection: Selection,
        free: NDArray[np.int64],
        generator: np.random.Generator,
    ) -> NDArray[np.int64]:
        shuffled = free[np.argsort(generator.random(len(free)), kind="stable")]
        if selection.rest:
            self._enough(role, 1, free)
            return free
        if selection.per_class is not None:
            return self._by_class(role, [selection.per_class] * len(self._classes), shuffled)
        assert selection.count is not None
        if not selection.balanced:
            self._enough(role, selection.count, free)
            return shuffled[: selection.count]
        each, over = divmod(selection.count, len(self._classes))
        lucky = np.argsort(generator.random(len(self._classes)), kind="stable")[:over]
        counts = [each + (label in lucky) for label in range(len(self._classes))]
        return self._by_class(role, counts, shuffled)

    def _by_class(
        self, role: str, counts: Sequence[int], shuffled: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        labels = self._labels[shuffled]
        chosen = []
        for label, count in enumerate(counts):
            of_class = shuffled[labels == label]
            self._enough(role, count, of_class, f" of class {self._classes[label]!r}")
            chosen.append(of_class[:count])
        return np.concatenate(chosen)

    def _enough(self, role: str, asked: int, free: NDArray[np.int64], of_class: str = "") -> None:
        if len(free) < asked:
            raise UserError(
                f"the split asks for {asked} {role} rows{of_class} from dataset {self._name!r}, "
                f"and {len(free)} are available",
                do="ask for fewer, or use a larger dataset",
            )
