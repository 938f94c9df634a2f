"""Any image file as 224 x 224 pixels, and folders of images with a file of captions."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qlmbench.errors import CorruptFileError, UserError

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 224
GREY = 127
"""What fills up an image that is no square: the value that the network reads as zero."""

MOST_PIXELS = 50_000_000
"""Pixels of the largest image that is opened."""

PREPARATION_VERSION = "1"
"""Raised when other pixels come out of the same file."""

CAPTIONS = "captions.csv"
COLUMNS = ("image", "caption")

Pixels = NDArray[np.uint8]


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


def load_image(path: Path | str) -> Pixels:
    """Read an image file as the square of pixels that the image encoder takes.

    It is turned as its EXIF data say. What is transparent lies on white, grey values are repeated
    over the three colours, and 16 bits a value are rounded to 8. The whole image is fitted into the
    square, enlarged or reduced (bicubic), and grey fills what is left: nothing is cut off.

    Parameters
    ----------
    path : Path or str
        Whatever Pillow opens: PNG, JPEG, WebP, TIFF, GIF, ...

    Returns
    -------
    ndarray of uint8, shape (224, 224, 3)

    Raises
    ------
    UserError
        If there is no such file, it is no image, an animation, too large, or of numbers without a
        known range.
    CorruptFileError
        If the file is damaged or ends too early.
    """
    from PIL import Image, ImageOps

    path = Path(path).expanduser()
    with _opened(path) as image:
        turned = ImageOps.exif_transpose(image)
        colours = _to_rgb(turned, path)
    scale = SIDE / max(colours.size)
    width, height = (max(1, round(side * scale)) for side in colours.size)
    fitted = colours.resize((width, height), Image.Resampling.BICUBIC)
    square = Image.new("RGB", (SIDE, SIDE), (GREY, GREY, GREY))
    square.paste(fitted, ((SIDE - fitted.width) // 2, (SIDE - fitted.height) // 2))
    return np.asarray(square)


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


# ---- images ------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[Image]:
    """Open a still image of a sane size; all that Pillow raises becomes one line."""
    from PIL import Image, UnidentifiedImageError

    if not path.is_file():
        raise UserError(f"{path}: no such file", expected="an image")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we have a limit
            with Image.open(path) as image:
                _check_size(path, *image.size)
                frames = getattr(image, "n_frames", 1)
                if frames > 1 and image.format != "MPO":  # a photograph and its preview
                    raise UserError(
                        f"{path}: an animation or a stack of {frames} images",
                        expected="one still image",
                    )
                image.load()
                yield image
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise UserError(f"{path}: {error}", do="reduce the image") from None
    except UnidentifiedImageError:
        raise UserError(f"{path}: not an image that Pillow knows", expected="PNG, JPEG, ...") from (
            None
        )
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # what Pillow's readers raise
        raise CorruptFileError(f"{path}: damaged image: {error}") from error


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise UserError(
            f"{path}: {width} x {height} pixels",
            expected=f"at most {MOST_PIXELS:,} pixels in all",
            do="reduce the image",
        )


def _to_rgb(image: Image, path: Path) -> Image:
    from PIL import Image

    if image.mode.startswith("I;16"):
        high = np.asarray(image).astype(np.float64)
        return Image.fromarray(np.round(high / 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise UserError(
            f"{path}: an image of 32-bit numbers, whose black and white we do not know",
            expected="8 or 16 bits a value",
        )
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        white = Image.new("RGBA", clear.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, clear).convert("RGB")
    return image.convert("RGB")


# ---- captions ----------------------------------------------------------------------------------

_HEADER = "the columns " + ",".join(COLUMNS)


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
