"""Generated files: written when their text changes, compared when asked to."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from qlmbench.errors import UserError
from qlmbench.privacy import without_private
from qlmbench.store import write_atomically

GENERATED = ("figures", "tables")
"""Folders that hold nothing but generated files."""
MARK = "<!-- written by qlmbench report -->"
"""Last line of a generated page: without it, a page is somebody's own and stays."""


def write_changed(folder: Path, files: dict[str, str]) -> list[Path]:
    """Write the files whose text changed, and remove generated ones that are no longer made.

    Parameters
    ----------
    folder : Path
        Where the files go.
    files : dict
        Text by path from the folder.

    Returns
    -------
    list of Path
        The files that were written or removed.

    Raises
    ------
    UserError
        If the folder cannot be written to.
    """
    files = _shareable(files)
    changed = differing(folder, files)
    try:
        for path in changed:
            name = path.relative_to(folder).as_posix()
            if name in files:
                write_atomically(path, files[name])
            else:
                path.unlink()
    except OSError as error:
        raise UserError(
            f"{error.filename or folder}: cannot write ({error.strerror})",
            do="choose another folder with --results",
        ) from None
    return changed


def differing(folder: Path, files: dict[str, str]) -> list[Path]:
    """List the files that are missing, that hold another text, or that should not be there."""
    files = _shareable(files)
    stale = [folder / name for name, text in files.items() if _read(folder / name) != text]
    return sorted(stale) + sorted(_left_over(folder, files))


def _shareable(files: dict[str, str]) -> dict[str, str]:
    """Take out of pages where a user keeps them: a command or a note may name a folder."""
    return {name: without_private(text) for name, text in files.items()}


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _left_over(folder: Path, files: Iterable[str]) -> list[Path]:
    known = {folder / name for name in files}
    # A folder of this name that nothing is written to is somebody else's.
    used = [name for name in GENERATED if any((folder / name) in path.parents for path in known)]
    present = [path for name in used for path in (folder / name).glob("*") if path.is_file()]
    present += [path for path in folder.glob("*.md") if _is_marked(path)]
    return [path for path in present if path not in known]


def _is_marked(page: Path) -> bool:
    return (_read(page) or "").rstrip().endswith(MARK)
