"""Data of a run on disk, for workers in other processes and on other machines.

A table of features is written once however many repetitions share it, and a worker maps it into
memory: all workers of a machine share one copy. A worker is told the hash of every file, and uses,
or unpickles, none that has another.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qlmbench.data.digests import sha256_of_file
from qlmbench.errors import UserError

if TYPE_CHECKING:
    from qlmbench.prepare import Data


@dataclass(frozen=True)
class HandedOver:
    """Where the data of a run lies, and what it was when it was written."""

    folder: Path
    digests: dict[str, str]
    """SHA-256 by file name."""

    def file(self, name: str) -> Path:
        """Return a file that is what was written.

        Raises
        ------
        UserError
            If it is not, or this machine does not see it.
        """
        path, worker = self.folder / name, f"the worker on {socket.gethostname()}"
        try:
            found = sha256_of_file(path)
        except FileNotFoundError:
            raise UserError(
                f"{worker} does not see {path}",
                expected="a folder that all workers and this process share, under the same path",
                do="choose one with --results",
            ) from None
        if found != self.digests[name]:
            raise UserError(
                f"{worker} reads other bytes in {path} than were written",
                expected=f"SHA-256 {self.digests[name]}, found {found}",
                do="check the disk or the network; finished trials are kept; run again",
            )
        return path


def hand_over(data: Data, folder: Path) -> HandedOver:
    """Write the data of a run.

    Parameters
    ----------
    data : dict of int to RepetitionData
        Data by repetition.
    folder : Path
        An empty folder that every worker sees under this path.

    Returns
    -------
    HandedOver
        What a worker needs to `take` it.
    """
    import joblib
    import numpy as np

    tables: dict[int, Path] = {}
    for repetition, own in data.items():
        table = folder / f"features-{len(tables)}.npy"
        if tables.setdefault(id(own.features), table) == table:
            np.save(table, own.features)
        rest = replace(own, features=own.features[:0].copy())
        joblib.dump((tables[id(own.features)].name, rest), folder / _rest(repetition))
    return HandedOver(folder, {path.name: sha256_of_file(path) for path in folder.iterdir()})


def take(handed: HandedOver, repetitions: Sequence[int]) -> Data:
    """Read the data of some repetitions.

    Raises
    ------
    UserError
        If this machine does not see a file, or reads other bytes than were written.
    """
    import joblib
    import numpy as np

    read = {r: joblib.load(handed.file(_rest(r))) for r in repetitions}
    # Each table is hashed and mapped once, however many repetitions share it.
    tables = {
        name: np.load(handed.file(name), mmap_mode="r")
        for name in {name for name, _ in read.values()}
    }
    return {r: replace(rest, features=tables[name]) for r, (name, rest) in read.items()}


def _rest(repetition: int) -> str:
    return f"{repetition}.joblib"
