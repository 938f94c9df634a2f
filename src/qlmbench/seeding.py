"""One seed per axis, by name: a seed depends on what it should depend on and on nothing else.

The data axis depends on the dataset and the repetition, so that every arm of a repetition sees the
same rows. The initialisation axis depends on the repetition alone, so that two arms that differ in
one detail start from the same random numbers. The sampling axis feeds shots and noise.
"""

import hashlib
from typing import Literal

Axis = Literal["data", "labels", "encoder", "initialisation", "batches", "sampling", "bootstrap"]


def seed_for(axis: Axis, **keys: str | int) -> int:
    """Return a seed that depends on the axis and the keys, equal on every machine and run.

    Parameters
    ----------
    axis : str
        What the seed is for.
    **keys : str or int
        What it depends on; the order does not matter.

    Returns
    -------
    int
        In [0, 2**31), which every library accepts.
    """
    text = axis + "".join(f"|{name}={keys[name]}" for name in sorted(keys))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) >> 1
