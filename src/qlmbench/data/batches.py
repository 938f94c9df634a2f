"""Which labelled sentences each step of a tuning sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from qlmbench.errors import UserError

if TYPE_CHECKING:
    import numpy as np


def balanced_batches(
    labels: Sequence[int], batch_size: int | None, steps: int, rng: np.random.Generator
) -> Iterator[list[int]]:
    """Draw the rows of each step, their classes as equal in number as possible.

    Every class is gone through in a random order, and again in another: no row is drawn twice
    before (almost) all of its class have been drawn.

    Parameters
    ----------
    labels : sequence of int, length n
    batch_size : int or None
        Rows a step; None for all of them.
    steps : int
        Number of batches.
    rng : Generator
        Decides the order.

    Yields
    ------
    list of int
        Distinct rows.

    Raises
    ------
    UserError
        As `class_quotas` does.
    """
    quotas = class_quotas(labels, batch_size)
    streams = [
        _stream([row for row, label in enumerate(labels) if label == of], quota, rng)
        for of, quota in quotas.items()
        if quota
    ]
    for _ in range(steps):
        yield [row for stream in streams for row in next(stream)]


def _stream(rows: list[int], quota: int, rng: np.random.Generator) -> Iterator[list[int]]:
    while True:
        order = [rows[i] for i in rng.permutation(len(rows))]
        for start in range(0, len(rows) - quota + 1, quota):
            yield order[start : start + quota]


def class_quotas(labels: Sequence[int], batch_size: int | None) -> dict[int, int]:
    """Return how many rows of each class a batch has: as equal as the classes' sizes allow.

    Parameters
    ----------
    labels : sequence of int, length n
    batch_size : int or None
        Rows a batch; None for all of them.

    Returns
    -------
    dict of int to int
        By class, in ascending order.

    Raises
    ------
    UserError
        If there are fewer rows than a batch has, only one class, or no class has two rows in a
        batch.
    """
    sizes = {label: list(labels).count(label) for label in sorted(set(labels))}
    if len(sizes) < 2:
        raise UserError(
            f"all {len(labels)} sentences to tune on are of one class",
            expected="at least two classes",
        )
    if batch_size is not None and batch_size > len(labels):
        raise UserError(
            f"batch_size {batch_size}, but there are {len(labels)} sentences to tune on",
            expected=f"at most {len(labels)}",
            do="leave batch_size out to use all sentences at each step",
        )
    quotas = sizes if batch_size is None else _shared_out(batch_size, sizes)
    if max(quotas.values()) < 2:
        raise UserError(
            f"no step of the tuning sees two sentences of one class: {len(labels)} sentences of "
            f"{len(sizes)} classes, batch_size {batch_size or len(labels)}",
            expected="a class with at least two",
            do="give more sentences a class, or raise batch_size",
        )
    return quotas


def _shared_out(number: int, sizes: Mapping[int, int]) -> dict[int, int]:
    quotas = dict.fromkeys(sizes, 0)
    for _ in range(number):
        with_room = [label for label in sizes if quotas[label] < sizes[label]]
        quotas[min(with_room, key=quotas.__getitem__)] += 1
    return quotas
