"""Named datasets and folders of the user's, as texts and labels.

A dataset's identity is known without loading it, and changes exactly when its content does: it is
made of the hashes of its files and of the version of the rule that reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from qlmbench.data.cache import Progress
from qlmbench.data.digests import identity_digest, sha256_of_file
from qlmbench.data.folders import Parts, Rows, part_files, read_folder
from qlmbench.data.registered_datasets import ONLY_AS_FOLDER, REGISTERED
from qlmbench.data.sources import HubFiles, fetch
from qlmbench.errors import UserError, unknown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Part:
    """One part of a dataset.

    Parameters
    ----------
    texts : tuple of str, length n
        The texts, as they stand in the source.
    labels : ndarray of int64, shape (n,)
        Index into the dataset's classes.
    """

    texts: tuple[str, ...]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Texts with labels.

    Parameters
    ----------
    name : str
        Registered name, or the name of the user's folder.
    sha256 : str
        Identity of the content; equal to that of `dataset_identity`.
    classes : tuple of str
        Names of the classes; a label is an index into them.
    parts : mapping of str to Part
        ``train``, and where there are any ``validation`` and ``test``.
    """

    name: str
    sha256: str
    classes: tuple[str, ...]
    parts: Mapping[str, Part]


def best_possible(name: str) -> dict[str, float]:
    """Return what the best classifier of a dataset reaches, where that can be computed.

    Parameters
    ----------
    name : str
        Name of a dataset, registered or not.

    Returns
    -------
    dict of str to float
        By metric without a role, such as ``accuracy`` and ``log_loss``; empty for real data.
    """
    known = REGISTERED.get(name)
    return known.best() if known is not None and known.best is not None else {}


def dataset_names() -> list[str]:
    """Return the registered names."""
    return sorted(REGISTERED)


def dataset_identity(name_or_folder: str) -> dict[str, str]:
    """Return what a dataset is, without loading it and without a network.

    Parameters
    ----------
    name_or_folder : str
        A registered name, or the path of a folder of texts (see `qlmbench.data.folders`) or of
        images with captions (see `qlmbench.data.images.captioned`).

    Returns
    -------
    dict
        ``name``, and ``sha256`` that changes when texts or labels do.

    Raises
    ------
    UserError
        If there is neither a dataset nor a folder of this name.
    """
    if name_or_folder in REGISTERED:
        return {"name": name_or_folder, "sha256": _registered_sha256(name_or_folder)}
    folder = _folder(name_or_folder)
    if _is_captioned(folder):
        from qlmbench.data.images.captioned import captioned_sha256

        return {"name": folder.resolve().name, "sha256": captioned_sha256(folder)}
    hashes = [f"{part}:{sha256_of_file(path)}" for part, path in part_files(folder).items()]
    return {"name": folder.resolve().name, "sha256": identity_digest("folder", *hashes)}


def load_dataset(name_or_folder: str, progress: Progress | None = None) -> Dataset:
    """Load a dataset, fetching it where that is needed.

    Parameters
    ----------
    name_or_folder : str
        A registered name, or the path of a folder.
    progress : callable, optional
        Told what is being fetched.

    Returns
    -------
    Dataset

    Raises
    ------
    UserError
        If there is no such dataset, it cannot be fetched, or the folder's files are not as they
        should be; one line says which file and line.
    """
    identity = dataset_identity(name_or_folder)
    known = REGISTERED.get(name_or_folder)
    if known is None:
        folder = _folder(name_or_folder)
        parts = _read_folder(folder)
        classes = _sorted_classes({label for rows in parts.values() for _, label in rows})
    else:
        files = fetch(known.source, progress=progress) if known.source else {}
        parts, classes = known.read(files), known.classes
    return Dataset(
        name=identity["name"],
        sha256=identity["sha256"],
        classes=classes,
        parts={name: _part(rows, classes) for name, rows in parts.items()},
    )


def _is_captioned(folder: Path) -> bool:
    return (folder / "captions.csv").is_file()


def _read_folder(folder: Path) -> Parts:
    if not _is_captioned(folder):
        return read_folder(folder)
    from qlmbench.data.images.captioned import captioned_parts

    return captioned_parts(folder)


@lru_cache
def _registered_sha256(name: str) -> str:
    known = REGISTERED[name]
    if known.rows_sha256:
        return identity_digest(name, str(known.version), known.rows_sha256)
    if known.source is None:
        rows = [field for row in known.read({})["train"] for field in row]
        return identity_digest(name, str(known.version), *rows)
    hashes = [f"{path}:{sha256}" for path, sha256 in sorted(known.source.files.items())]
    if isinstance(known.source, HubFiles):  # the commit stands for files whose hash is not known
        hashes.append(f"{known.source.repository}@{known.source.revision}")
    return identity_digest(name, str(known.version), *hashes)


def _folder(name_or_folder: str) -> Path:
    folder = Path(name_or_folder).expanduser()
    looks_like_a_name = "/" not in name_or_folder and "\\" not in name_or_folder
    if name_or_folder in ONLY_AS_FOLDER:
        raise UserError(
            f"dataset {name_or_folder!r} is not fetched: {ONLY_AS_FOLDER[name_or_folder]}",
            do=f"download it and give its folder with --data {name_or_folder}=FOLDER",
        )
    if looks_like_a_name and not folder.is_dir():
        raise unknown("dataset", name_or_folder, dataset_names(), "qlmbench, and no folder either")
    return folder


def _sorted_classes(labels: set[str]) -> tuple[str, ...]:
    """Sort numbers as numbers, so that 10 comes after 9, and anything else as text."""
    try:
        return tuple(sorted(labels, key=lambda label: (float(label), label)))
    except ValueError:
        return tuple(sorted(labels))


def _part(rows: Rows, classes: tuple[str, ...]) -> Part:
    import numpy as np

    index = {name: i for i, name in enumerate(classes)}
    labels = np.array([index[label] for _, label in rows], dtype=np.int64)
    labels.setflags(write=False)
    return Part(texts=tuple(text for text, _ in rows), labels=labels)
