"""Read a dataset from a folder of the user's: train, validation and test as TSV or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from qlmbench.errors import UserError

PARTS = ("train", "validation", "test")
TEXT_COLUMNS = ("sentence", "text")
LABEL_COLUMN = "label"
DELIMITERS = {".tsv": "\t", ".csv": ","}

Rows = list[tuple[str, str]]
"""Text and label of each row."""
Parts = dict[str, Rows]
"""Rows by the name of a part."""


def part_files(folder: Path) -> dict[str, Path]:
    """Find the files of a dataset folder.

    Parameters
    ----------
    folder : Path
        Holds ``train.tsv`` or ``train.csv``, and may hold ``validation`` and ``test`` likewise.

    Returns
    -------
    dict of str to Path
        By part, in the order train, validation, test.

    Raises
    ------
    UserError
        If there is no such folder, no training file, or a part in two formats.
    """
    folder = folder.expanduser()
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder", expected="a folder with train.tsv or train.csv"
        )
    found: dict[str, Path] = {}
    for part in PARTS:
        files = [path for end in DELIMITERS if (path := folder / (part + end)).is_file()]
        if len(files) > 1:
            raise UserError(f"{folder}: both {files[0].name} and {files[1].name}; keep one")
        if files:
            found[part] = files[0]
    if "train" not in found:
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise UserError(f"{folder}: no train.tsv or train.csv; found {there}")
    return found


def read_folder(folder: Path) -> Parts:
    """Read every part of a dataset folder.

    Returns
    -------
    dict of str to list of (text, label)
        By part. Labels as they are written.

    Raises
    ------
    UserError
        If a file has a wrong encoding, lacks a column, holds no rows, a row with too few or too
        many fields, an empty text or an empty label; if training has a single class; or if another
        part has a label that training does not have.
    """
    parts = {part: _read(path) for part, path in part_files(folder).items()}
    classes = {label for _, label in parts["train"]}
    if len(classes) == 1:
        raise UserError(
            f"{folder}: every row of train has the label {classes.pop()!r}",
            expected="at least two classes",
        )
    for part, rows in parts.items():
        strange = sorted({label for _, label in rows} - classes)
        if strange:
            raise UserError(
                f"{folder}: {part} has the label {strange[0]!r}, which train does not have",
                expected="one of " + ", ".join(sorted(classes)),
            )
    return parts


def _read(path: Path) -> Rows:
    rows = _table(path)
    _, header = next(rows, (0, []))
    text, label = _column(path, header, TEXT_COLUMNS), _column(path, header, (LABEL_COLUMN,))
    found: Rows = []
    for line, row in rows:
        if len(row) != len(header):
            raise UserError(f"{path}, line {line}: {len(row)} fields, but {len(header)} columns")
        for column in (text, label):
            if not row[column].strip():
                raise UserError(f"{path}, line {line}: empty {header[column]}")
        found.append((row[text], row[label].strip()))
    if not found:
        raise UserError(f"{path}: no rows below the header")
    return found


def _column(path: Path, header: list[str], names: tuple[str, ...]) -> int:
    for name in names:
        if name in header:
            return header.index(name)
    wanted = " or ".join(repr(name) for name in names)
    found = ", ".join(repr(name) for name in header) or "nothing"
    raise UserError(f"{path}: no column {wanted}; the header has {found}")


def _table(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and fields; blank lines are passed over."""
    raw = path.read_bytes()
    try:
        content = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}: byte {error.start} (line {line}) is not UTF-8", do="save the file as UTF-8"
        ) from None
    if path.suffix == ".tsv":
        # A tab ends a field and nothing else does: quotation marks are text, as in GLUE's files.
        for number, line_text in enumerate(content.replace("\r\n", "\n").split("\n"), start=1):
            if line_text.strip():
                yield number, line_text.split("\t")
        return
    reader = csv.reader(io.StringIO(content, newline=""))
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}") from None
