"""The folder that downloads and features are kept in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from qlmbench.errors import UserError

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is (0: not known)."""


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
