"""Data of a run on disk, for workers in other processes and on other machines.

A table of features is written once however many repetitions share it, and a worker maps it into
memory: all workers of a machine share one copy.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qlmbench.errors import UserError

if TYPE_CHECKING:
    from qlmbench.prepare import Data


def hand_over(data: Data, folder: Path) -> None:
    """Write the data of a run.

    Parameters
    ----------
    data : dict of int to RepetitionData
        Data by repetition.
    folder : Path
        An empty folder that every worker sees under this path.
    """
    import joblib
    import numpy as np

    tables: dict[int, Path] = {}
    for repetition, own in data.items():
        table = folder / f"features-{len(tables)}.npy"
        if tables.setdefault(id(own.features), table) == table:
            np.save(table, own.features)
        rest = replace(own, features=own.features[:0].copy())
        joblib.dump((tables[id(own.features)].name, rest), folder / f"{repetition}.joblib")


def take(folder: Path, repetitions: Sequence[int]) -> Data:
    """Read the data of some repetitions.

    Raises
    ------
    UserError
        If this machine does not see the folder.
    """
    import joblib
    import numpy as np

    data: Data = {}
    try:
        for repetition in repetitions:
            table, rest = joblib.load(folder / f"{repetition}.joblib")
            data[repetition] = replace(rest, features=np.load(folder / table, mmap_mode="r"))
    except FileNotFoundError as error:
        raise UserError(
            f"the worker on {socket.gethostname()} does not see {error.filename}",
            expected="a folder that all workers and this process share, under the same path",
            do="choose one with --results",
        ) from None
    return data
