"""Hashes that say what something is: of a file, and of several strings."""

from __future__ import annotations

import hashlib
from pathlib import Path

LARGE = 50 << 20
"""Files above this size, in bytes, are hashed once a process; smaller ones at every use."""

_hashes_of_large: dict[tuple[str, int, int, int], str] = {}


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
