"""Images with captions as rows of a pretrained captioner: scenes, and files of the user's.

``images-<image encoder>:<language model>x<T>``, for example
``images-clip-vit-base-patch32:SmolLM2-135M-Instructx64``: features of the image, then the T ids
that the language model's own tokenizer has for its caption. A text is a scene (see
`qlmbench.data.images.scenes`), which is drawn, or a row of a folder (see
`qlmbench.data.images.captioned`), whose file is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qlmbench.data.cache import Progress
from qlmbench.data.caption_tokens import CaptionTokens
from qlmbench.data.images.captioned import read_row
from qlmbench.data.images.drawing import DRAWING_VERSION
from qlmbench.data.images.encoders import Features, image_encoder_identity
from qlmbench.data.images.features import image_features, scene_features
from qlmbench.data.images.pictures import PREPARATION_VERSION, load_image
from qlmbench.data.images.scene_rows import scene_of
from qlmbench.errors import UserError

_NAME = re.compile(r"images-(?P<encoder>[^:]+):(?P<tokens>.+)x(?P<length>[1-9]\d*)")

_IN_MEMORY = 256  # images, 150 kB each

# Raised when another row would come out of the same text.
_VERSION = "1"


@dataclass(frozen=True)
class ImageRows:
    """Encoder of images with captions; it is its own vocabulary, for nothing is fitted.

    Parameters
    ----------
    encoder : str
        Image encoder; see `qlmbench.data.images.encoders`.
    tokens : str
        Language model whose tokenizer makes the ids; see `CaptionTokens`.
    length : int
        T, ids of a caption with its end; longer captions are refused.

    Raises
    ------
    UserError
        If there is no such image encoder.
    """

    encoder: str
    tokens: str
    length: int

    def __post_init__(self) -> None:
        image_encoder_identity(self.encoder)

    @property
    def identity(self) -> dict[str, str]:
        """Everything that decides the rows."""
        image = image_encoder_identity(self.encoder)
        return {
            "weights": image["weights"],
            "images": f"{self.encoder}, version {image['version']}, drawn {DRAWING_VERSION}, "
            f"read {PREPARATION_VERSION}",
            "captions": f"tokens {self.words.identity}",
            "width": str(int(image["width"]) + self.length),
            "version": _VERSION,
        }

    @cached_property
    def words(self) -> CaptionTokens:
        """Tokens by id."""
        return CaptionTokens(self.tokens)

    def fit(self, texts: Iterable[str]) -> ImageRows:
        """Return itself: nothing depends on the training rows."""
        return self

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> NDArray[np.float32]:
        """Return rows of images, shape (n, F + T), with the ids as numbers.

        Raises
        ------
        UserError
            If a text is neither a scene nor of a folder of images, a file is no image any more, or
            a caption does not fit.
        """
        files = [read_row(text) for text in texts]
        if all(row is None for row in files):
            scenes = [scene_of(text) for text in texts]
            features = scene_features(self.encoder, scenes, progress=progress)
            captions = [scene.caption for scene in scenes]
        else:
            rows = [row for row in files if row is not None]
            if len(rows) < len(files):
                raise UserError("some texts are of image files, and others are not")
            captions = [row.caption for row in rows]
            features = self._of_files([row.image for row in rows], progress)
        ids = self.words.encode(captions, self.length)
        return np.concatenate([features, ids.astype(np.float32)], 1)

    def word(self, token: int) -> str:
        """Return what a token stands for, for people."""
        return self.words.word(token)

    def _of_files(self, paths: Sequence[Path], progress: Progress | None) -> Features:
        blocks = (paths[i : i + _IN_MEMORY] for i in range(0, len(paths), _IN_MEMORY))
        parts = [
            image_features(self.encoder, [load_image(p) for p in block], progress=progress)
            for block in blocks
        ]
        return np.concatenate(parts)


def image_rows(name: str) -> ImageRows | None:
    """Read the name of an encoder of images with captions; None if it names none."""
    match = _NAME.fullmatch(name)
    return ImageRows(match["encoder"], match["tokens"], int(match["length"])) if match else None
