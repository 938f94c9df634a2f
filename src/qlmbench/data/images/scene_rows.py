"""Scenes as rows: features of the image, and for a captioner the ids of the caption after them.

``scenes-<image encoder>x<T>``, for example ``scenes-efficientnet-lite0-quartersx14``, has what an
encoder of texts to token ids has (see `qlmbench.data.tokens`): the text of a scene goes in, a row
of `qlmbench.vision.captioner.Captioner` comes out. ``scenes-<image encoder>`` leaves the caption
out: a classifier of images must not be told it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qlmbench.data.cache import Progress
from qlmbench.data.images.drawing import DRAWING_VERSION
from qlmbench.data.images.encoders import image_encoder_identity
from qlmbench.data.images.features import scene_features
from qlmbench.data.images.scenes import LONGEST_CAPTION, Scene, read_scene
from qlmbench.data.images.vocabulary import CaptionVocabulary
from qlmbench.errors import UserError

_NAME = re.compile(r"scenes-(?P<encoder>.+?)(?:x(?P<length>[1-9]\d*))?")

# Raised when another row would come out of the same scene.
_VERSION = "1"


@dataclass(frozen=True)
class SceneRows:
    """Encoder of scenes; it is its own vocabulary, for the grammar has all words.

    Parameters
    ----------
    encoder : str
        Image encoder; see `qlmbench.data.images.encoders`.
    length : int
        T, ids of a caption with its end; 0 for rows without a caption.

    Raises
    ------
    UserError
        If there is no such encoder, or the longest caption does not fit.
    """

    encoder: str
    length: int = LONGEST_CAPTION + 1

    def __post_init__(self) -> None:
        image_encoder_identity(self.encoder)
        if 0 < self.length <= LONGEST_CAPTION:
            raise UserError(
                f"encoder 'scenes-{self.encoder}x{self.length}': {self.length} ids a caption",
                expected=f"at least {LONGEST_CAPTION + 1}: the longest caption and its end",
            )

    @property
    def identity(self) -> dict[str, str]:
        """Everything that decides the rows."""
        image = image_encoder_identity(self.encoder)
        return {
            "weights": image["weights"],
            "images": f"{self.encoder}, version {image['version']}, drawn {DRAWING_VERSION}",
            "captions": "words of the grammar of scenes" if self.length else "none",
            "width": str(self.n_features + self.length),
            "version": _VERSION,
        }

    @property
    def n_features(self) -> int:
        """F, features in front of the ids."""
        return int(image_encoder_identity(self.encoder)["width"])

    @cached_property
    def words(self) -> CaptionVocabulary:
        """Words by id."""
        return CaptionVocabulary.of_scenes()

    def fit(self, texts: Iterable[str]) -> SceneRows:
        """Return itself: nothing depends on the training scenes."""
        return self

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> NDArray[np.float32]:
        """Return rows of scenes, shape (n, F + T), with the ids as numbers.

        Raises
        ------
        UserError
            If a text is no scene.
        """
        scenes = [scene_of(text) for text in texts]
        features = scene_features(self.encoder, scenes, progress=progress)
        if not self.length:
            return features
        ids = self.words.encode([scene.caption for scene in scenes], self.length)
        return np.concatenate([features, ids.astype(np.float32)], 1)

    def captions(self, rows: NDArray[np.float32 | np.float64]) -> list[str]:
        """Return the captions of rows, or of rows of ids alone."""
        return [self.words.decode(map(int, row)) for row in rows[:, -self.length :]]

    def word(self, token: int) -> str:
        """Return what a token stands for, for people."""
        return self.words.word(token)


def scene_rows(name: str) -> SceneRows | None:
    """Read the name of an encoder of scenes; None if it names none."""
    match = _NAME.fullmatch(name)
    return SceneRows(match["encoder"], int(match["length"] or 0)) if match else None


def scene_of(text: str) -> Scene:
    """Read a scene from its text.

    Raises
    ------
    UserError
        If a text is no scene.
    """
    try:
        return read_scene(text)
    except ValueError as error:
        raise UserError(str(error)) from None
