"""Where downloads and features are kept, and how a file is hashed and written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from qlmbench.errors import UserError

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is (0: not known)."""

BLOCK = 1 << 20
LARGE = 50 << 20
"""Files above this size, in bytes, are hashed once a process; smaller ones at every use."""

_hashes_of_large: dict[tuple[str, int, int, int], str] = {}


def cache_folder() -> Path:
    """Return the folder that downloads and features are kept in.

    Returns
    -------
    Path
        ``QLMBENCH_CACHE`` where that is set, else the user's cache folder of this platform. The
        folder need not exist yet.
    """
    named = os.environ.get("QLMBENCH_CACHE")
    if named:
        return Path(named).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("qlmbench")


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal.

    A large file is read once a process as long as it is the same file, of the same size, and its
    time of change stays the same. A file that is put in its place is another one, whatever the
    clock says.
    """
    stat = path.stat()
    if stat.st_size <= LARGE:
        return _digest(path)
    key = (str(path.resolve()), stat.st_ino, stat.st_size, stat.st_mtime_ns)
    if key not in _hashes_of_large:
        _hashes_of_large[key] = _digest(path)
    return _hashes_of_large[key]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def identity_digest(*parts: str) -> str:
    """Return one SHA-256 for several strings, whatever they contain."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode()
        digest.update(len(raw).to_bytes(8) + raw)  # lengths keep ("ab", "c") and ("a", "bc") apart
    return digest.hexdigest()


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Turn a failure to write below a folder into one line that says what to do.

    Raises
    ------
    UserError
        If the folder is read-only, the disk is full, or the path is taken by a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UserError(
            f"cannot write to the cache folder {folder}: {error.strerror or error}",
            do="free or unlock it, or set QLMBENCH_CACHE to a folder that can be written",
        ) from error
