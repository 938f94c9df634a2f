"""Any image file as 224 x 224 pixels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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

Pixels = NDArray[np.uint8]


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
