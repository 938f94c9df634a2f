"""Take named members out of wheels, sdists and zips, without ever following a path out of them."""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from qlmbench.errors import CorruptFileError

_BLOCK = 1 << 20

LARGEST_MEMBER = 4 << 30
"""A member that unpacks to more bytes than this is refused (a zip bomb, not a data file)."""


class _Archive(Protocol):
    def open(self, member: str) -> tuple[int, IO[bytes]]: ...


class _Zip:
    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file

    def open(self, member: str) -> tuple[int, IO[bytes]]:
        info = self._file.getinfo(member)
        kind = info.external_attr >> 28  # upper bits of the Unix mode: 0xA is a symbolic link
        if kind == 0xA or info.is_dir():
            raise CorruptFileError(f"{self._file.filename}: member {member!r} is not a plain file")
        return info.file_size, self._file.open(info)


class _Tar:
    def __init__(self, file: tarfile.TarFile) -> None:
        self._file = file

    def open(self, member: str) -> tuple[int, IO[bytes]]:
        info = self._file.getmember(member)
        stream = self._file.extractfile(info) if info.isreg() else None
        if stream is None:
            raise CorruptFileError(f"{info.name!r} in the archive is not a plain file")
        return info.size, stream


def check_member_name(name: str) -> None:
    """Refuse a member name that could lead out of the folder it is unpacked to.

    Raises
    ------
    ValueError
        If the name is absolute, climbs with ``..``, or carries a drive or a backslash.
    """
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise ValueError(f"member name {name!r} leads out of the folder; give a relative path")


def extract(archive: Path, files: Mapping[str, str], folder: Path) -> None:
    """Unpack members of a zip or tar archive and check their hashes.

    Parameters
    ----------
    archive : Path
        A wheel or zip, or a tar file with any compression.
    files : mapping of str to str
        Member path to the SHA-256 expected of it.
    folder : Path
        Members land below it, under their own paths; each appears whole or not at all.

    Raises
    ------
    CorruptFileError
        If the archive is damaged, lacks a member, or a member is not what its hash says, is not a
        plain file, or is larger than it declares or than is sane.
    """
    with ExitStack() as stack:
        with _reading(archive.name):
            reader: _Archive
            if zipfile.is_zipfile(archive):
                reader = _Zip(stack.enter_context(zipfile.ZipFile(archive)))
            else:
                reader = _Tar(stack.enter_context(tarfile.open(archive)))
        _extract_all(reader, files, folder, archive.name)


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Call an archive damaged if reading it fails: the libraries raise half a dozen errors."""
    try:
        yield
    except CorruptFileError:
        raise
    except KeyError as error:
        raise CorruptFileError(f"{name}: no such member: {error.args[0]}") from None
    except Exception as error:
        raise CorruptFileError(f"{name}: damaged archive: {error}") from error


def _extract_all(reader: _Archive, files: Mapping[str, str], folder: Path, name: str) -> None:
    for member, sha256 in files.items():
        check_member_name(member)
        with _reading(name):
            size, stream = reader.open(member)
        if size > LARGEST_MEMBER:
            raise CorruptFileError(f"{name}: {member!r} would unpack to {size} bytes; refused")
        with stream:
            write_checked(_blocks(stream, size, name), folder / member, sha256)


def _blocks(stream: IO[bytes], size: int, name: str) -> Iterator[bytes]:
    """Yield a member in blocks; its declared size is a bound, because headers can lie."""
    seen = 0
    while True:
        with _reading(name):
            block = stream.read(_BLOCK)
        if not block:
            return
        seen += len(block)
        if seen > size:
            raise CorruptFileError(f"{name}: a member is larger than the {size} bytes declared")
        yield block


def write_checked(blocks: Iterable[bytes], target: Path, sha256: str) -> None:
    """Write a file under a temporary name, and move it into place once its hash is right.

    Raises
    ------
    CorruptFileError
        If the content does not have the hash; nothing is left behind.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as file:
            for block in blocks:
                digest.update(block)
                file.write(block)
        if digest.hexdigest() != sha256:
            raise CorruptFileError(
                f"{target.name}: sha256 is {digest.hexdigest()}", expected=f"sha256 {sha256}"
            )
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)


def joined(parts: Iterable[Path]) -> Iterator[bytes]:
    """Yield the content of several files, one after the other."""
    for part in parts:
        with part.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block
