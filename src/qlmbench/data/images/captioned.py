"""A folder of images with captions as a dataset: a row is a caption and the file that it is of.

All rows of one image, whatever its files are called, stand in one part: of ten images about seven
are of ``train``, one is of ``validation`` and two are of ``test``, by the content of the file.
"""

from __future__ import annotations

from pathlib import Path

from qlmbench.data.digests import identity_digest, sha256_of_file
from qlmbench.data.images.captions_file import CAPTIONS, CaptionedImage, read_captions
from qlmbench.data.images.scenes import part_of
from qlmbench.errors import UserError

CLASS = "image"
"""The only class: there is nothing to classify."""


def captioned_sha256(folder: Path) -> str:
    """Return a hash that changes when a caption or an image does, and not with the folder's path.

    Raises
    ------
    UserError
        As `read_captions` does, and if it is a folder of texts as well.
    """
    texts = [name for name in ("train.tsv", "train.csv") if (folder / name).exists()]
    if texts:
        raise UserError(f"{folder}: both {CAPTIONS} and {texts[0]}", do="keep one of them")
    rows = read_captions(folder)
    return identity_digest(
        "captions", *[field for row in rows for field in (row.caption, sha256_of_file(row.image))]
    )


def captioned_parts(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """Return rows of text and class by part, in the order of the file; empty parts are left out.

    Raises
    ------
    UserError
        As `read_captions` does.
    """
    parts: dict[str, list[tuple[str, str]]] = {"train": [], "validation": [], "test": []}
    for row in read_captions(folder):
        parts[part_of(sha256_of_file(row.image))].append((text_of(row), CLASS))
    return {part: rows for part, rows in parts.items() if rows}


def text_of(row: CaptionedImage) -> str:
    """Return a row of the dataset; `read_row` reads it."""
    return f"{row.caption}\n{row.image.resolve()}"


def read_row(text: str) -> CaptionedImage | None:
    """Read a row of the dataset; None for any other text."""
    caption, _, path = text.partition("\n")
    return CaptionedImage(Path(path), caption) if caption and path else None
