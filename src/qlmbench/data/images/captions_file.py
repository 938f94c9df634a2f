"""The file that says what is seen on each image of a folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qlmbench.errors import UserError

CAPTIONS = "captions.csv"
COLUMNS = ("image", "caption")
_HEADER = "the columns " + ",".join(COLUMNS)


@dataclass(frozen=True)
class CaptionedImage:
    """A row of a captions file.

    Parameters
    ----------
    image : Path
        The image file.
    caption : str
        What is seen on it, with single blanks between words.
    """

    image: Path
    caption: str


def read_captions(folder: Path | str) -> list[CaptionedImage]:
    """Read ``captions.csv`` of a folder of images.

    The file has the columns ``image``, the path of a file below the folder, and ``caption``. An
    image may have several captions, a row each.

    Parameters
    ----------
    folder : Path or str
        Holds the file and the images.

    Returns
    -------
    list of CaptionedImage
        In the order of the file.

    Raises
    ------
    UserError
        If the folder or the file is missing, the file is not UTF-8, lacks a column or has no rows,
        or a row has too few or too many fields, nothing in one of them, an image that is not there
        or outside the folder, or the same pair as another row; the line is named.
    """
    folder = Path(folder).expanduser()
    path = folder / CAPTIONS
    if not path.is_file():
        what = "no such folder" if not folder.is_dir() else f"no {CAPTIONS} in it"
        raise UserError(f"{folder}: {what}", expected=f"images and {CAPTIONS} with {_HEADER}")
    rows: dict[CaptionedImage, int] = {}
    for line, name, caption in _rows(path):
        row = CaptionedImage(_inside(folder, name, f"{path}, line {line}"), caption)
        if row in rows:
            raise UserError(f"{path}, line {line}: the same as line {rows[row]}", do="keep one")
        rows[row] = line
    if not rows:
        raise UserError(f"{path}: no rows below the header", expected="an image a row")
    return list(rows)


def _rows(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line number, image and caption; blank lines are passed over."""
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: byte {error.start} is not UTF-8", do="save the file as UTF-8"
        ) from None
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    header: list[str] = []
    try:
        for row in reader:
            if not row:
                continue
            if not header:
                header = [name.strip() for name in row]
                _check_header(path, header)
                continue
            yield (reader.line_num, *_fields(row, header, f"{path}, line {reader.line_num}"))
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}") from None
    if not header:
        raise UserError(f"{path}: empty", expected=_HEADER)


def _check_header(path: Path, header: list[str]) -> None:
    if sorted(header) != sorted(COLUMNS):
        raise UserError(f"{path}: the header has {', '.join(map(repr, header))}", expected=_HEADER)


def _fields(row: list[str], header: list[str], where: str) -> tuple[str, str]:
    if len(row) != len(header):
        raise UserError(
            f"{where}: {len(row)} fields", expected=str(len(header)), do="quote commas in captions"
        )
    by_name = dict(zip(header, row, strict=True))
    image, caption = by_name["image"].strip(), " ".join(by_name["caption"].split())
    for name, value in zip(COLUMNS, (image, caption), strict=True):
        if not value:
            raise UserError(f"{where}: no {name}", expected=f"something in the column {name!r}")
    return image, caption


def _inside(folder: Path, name: str, where: str) -> Path:
    image = folder / name
    try:
        inside = image.resolve().is_relative_to(folder.resolve())
        there = image.is_file()
    except (OSError, ValueError):  # a name that no file can have
        inside, there = True, False
    if not inside:
        raise UserError(f"{where}: {name!r} leads out of the folder", expected="a path below it")
    if not there:
        raise UserError(f"{where}: no image {name!r} in {folder}")
    return image
