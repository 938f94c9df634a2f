"""The feature cache: vectors of texts on disk, by the content of the text.

One SQLite file an encoder. A row is written with the batch that computed it, so a killed process
loses a batch at most; SQLite's write-ahead log lets several processes use one file. Every row
carries a checksum, and a row that fails it is dropped and computed again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from qlmbench.data.cache import writable
from qlmbench.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

WAIT = 60.0
"""Seconds to wait for another process that is writing."""

_TABLE = (
    "CREATE TABLE IF NOT EXISTS vector "
    "(text BLOB PRIMARY KEY, value BLOB NOT NULL, checksum INTEGER NOT NULL)"
)
_KEYS_AT_ONCE = 500  # SQLite's smallest limit on variables of one statement is 999


def text_key(text: str) -> bytes:
    """Return the key of a text: the SHA-256 of its UTF-8 form, 32 bytes.

    Raises
    ------
    ValueError
        If the text holds half of a surrogate pair, which has no UTF-8 form.
    """
    return hashlib.sha256(text.encode()).digest()


class FeatureCache:
    """Vectors of one encoder on disk.

    Parameters
    ----------
    path : Path
        The file; it and its folder are made when the first vector is written.
    width : int
        Number of features of a vector; rows of any other size count as damaged.
    """

    def __init__(self, path: Path, width: int) -> None:
        self.path = path
        self.width = width

    def read(self, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Return the vectors that are there, by key; damaged rows are dropped and left out.

        Parameters
        ----------
        keys : sequence of bytes
            As `text_key` gives them.

        Returns
        -------
        dict of bytes to ndarray of float32, shape (width,)
        """
        if not self.path.exists():
            return {}
        try:
            with self._connected(read_only=True) as connection:
                rows = list(_select(connection, keys))
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if _is_in_the_way(error):
                raise self._cannot("read", error) from error
            self._set_aside(error)
            return {}
        return self._sound(rows)

    def write(self, vectors: Mapping[bytes, NDArray[np.float32]]) -> None:
        """Add vectors, all of them or none.

        Raises
        ------
        UserError
            If the folder or the file cannot be written.
        """
        rows = [(key, v.tobytes(), _checksum(key, v.tobytes())) for key, v in vectors.items()]
        with writable(self.path.parent):
            try:
                self._insert(rows)
            except sqlite3.DatabaseError as error:
                if _is_in_the_way(error):
                    raise self._cannot("write to", error) from error
                self._set_aside(error)
                self._insert(rows)
            # A damaged tree may take a row and not find it again: it would be computed each time.
            if len(self.read(list(vectors))) < len(vectors):
                self._set_aside(sqlite3.DatabaseError("it does not hold what was written to it"))
                self._insert(rows)

    def _insert(self, rows: Iterable[tuple[bytes, bytes, int]]) -> None:
        with self._connected() as connection, connection:
            connection.execute(_TABLE)
            connection.executemany("INSERT OR REPLACE INTO vector VALUES (?, ?, ?)", rows)

    def _sound(self, rows: Iterable[tuple[bytes, bytes, int]]) -> dict[bytes, NDArray[np.float32]]:
        import numpy as np

        found, damaged = {}, 0
        for key, value, checksum in rows:
            sound = isinstance(value, bytes) and len(value) == 4 * self.width
            if sound and _checksum(key, value) == checksum:
                found[key] = np.frombuffer(value, dtype="<f4")
            else:
                damaged += 1
        if damaged:
            log.warning("%s: %d damaged rows; computing them again", self.path, damaged)
        return found

    @contextmanager
    def _connected(self, *, read_only: bool = False) -> Iterator[sqlite3.Connection]:
        if read_only and not os.access(self.path.parent, os.W_OK):
            # A folder that cannot be written holds no log either: the file is all there is.
            address = f"{self.path.resolve().as_uri()}?immutable=1"
            with closing(sqlite3.connect(address, uri=True)) as connection:
                yield connection
            return
        with closing(sqlite3.connect(self.path, timeout=WAIT)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            yield connection

    def _set_aside(self, error: Exception) -> None:
        """Move a file that is not a sound database out of the way; the next write starts anew."""
        from filelock import FileLock

        aside = self.path.with_suffix(".damaged")
        with writable(self.path.parent), FileLock(self.path.with_suffix(".lock")):
            if self._is_sound():  # another process has dealt with it in the meantime
                return
            log.warning("%s is damaged (%s); kept as %s, starting anew", self.path, error, aside)
            self.path.replace(aside)
            for end in ("-wal", "-shm"):  # a log of the damaged file must not reach the new one
                self.path.with_name(self.path.name + end).unlink(missing_ok=True)

    def _is_sound(self) -> bool:
        if not self.path.exists():
            return True
        try:
            with self._connected() as connection:
                (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
                list(connection.execute("SELECT text, value, checksum FROM vector"))
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            return False
        return bool(verdict == "ok")

    def _cannot(self, do: str, error: Exception) -> UserError:
        return UserError(
            f"cannot {do} the feature cache {self.path}: {error}",
            do="free or unlock it, or set QLMBENCH_CACHE to a folder that can be written",
        )


def _is_in_the_way(error: Exception) -> bool:
    """Whether the file is sound and something else stops us; any other error is damage."""
    words = ("locked", "busy", "readonly", "read-only", "full", "unable to open", "disk i/o")
    return isinstance(error, sqlite3.OperationalError) and any(
        word in str(error).lower() for word in words
    )


def _checksum(key: bytes, value: bytes) -> int:
    return zlib.crc32(value, zlib.crc32(key))


def _select(
    connection: sqlite3.Connection, keys: Sequence[bytes]
) -> Iterator[tuple[bytes, bytes, int]]:
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[start : start + _KEYS_AT_ONCE]
        marks = ",".join("?" * len(some))
        yield from connection.execute(
            f"SELECT text, value, checksum FROM vector WHERE text IN ({marks})", some
        )
