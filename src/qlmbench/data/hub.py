"""Files of the Hugging Face hub at a pinned commit, kept in the hub's own cache."""

from __future__ import annotations

import hashlib
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

from qlmbench.data.cache import Progress
from qlmbench.data.digests import sha256_of_file
from qlmbench.errors import CorruptFileError, UserError

if TYPE_CHECKING:
    from qlmbench.data.sources import HubFiles

log = logging.getLogger(__name__)


def fetch_from_hub(
    source: HubFiles, *, offline: bool = False, progress: Progress | None = None
) -> dict[str, Path]:
    """Return the files of a hub repository; see `qlmbench.data.sources.fetch`."""
    paths = {}
    for number, (name, sha256) in enumerate(source.files.items()):
        if progress:
            progress(f"{source.repository}: {name}", number, len(source.files))
        paths[name] = _one_file(source, name, sha256, offline=offline)
    return paths


def _one_file(source: HubFiles, name: str, sha256: str | None, *, offline: bool) -> Path:
    path = _cached(source, name)
    if path is not None and _is_sound(path, sha256):
        return path
    if path is not None:
        log.warning("%s does not match its hash (damaged?); fetching it again", path)
    if offline:
        raise UserError(
            f"{source.repository} {name} is not in the hub's cache, and we are offline",
            do="run once with a network",
        )
    path = _download(source, name)
    if not _is_sound(path, sha256):
        raise CorruptFileError(f"{path}: not what its hash says", expected=f"sha256 {sha256}")
    return path


def _cached(source: HubFiles, name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(
        source.repository, name, revision=source.revision, repo_type=source.kind
    )
    return Path(found) if isinstance(found, str) and Path(found).is_file() else None


def _download(source: HubFiles, name: str) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(
            hf_hub_download(
                source.repository,
                name,
                revision=source.revision,
                repo_type=source.kind,
                force_download=True,
            )
        )
    except Exception as error:  # the hub raises errors of several HTTP libraries
        first = error.__cause__ or error  # the outer one may only say that there was an inner one
        reason = (str(first).strip() or type(first).__name__).splitlines()[0]
        raise UserError(
            f"cannot fetch {name} of {source.repository} from the Hugging Face hub: {reason}",
            do="check the network, or give a local folder instead",
        ) from error


def _is_sound(path: Path, sha256: str | None) -> bool:
    """Compare a file with the hash we know, else with the one that the hub named its blob by."""
    stated = sha256 or path.resolve().name
    if re.fullmatch("[0-9a-f]{64}", stated):
        return sha256_of_file(path) == stated
    if re.fullmatch("[0-9a-f]{40}", stated):
        return _git_blob_hash(path) == stated
    return True  # a hub cache without links (Windows) states no hash


def _git_blob_hash(path: Path) -> str:
    raw = path.read_bytes()
    header = b"blob %d\0" % len(raw)
    return hashlib.sha1(header + raw, usedforsecurity=False).hexdigest()
