"""A captioner of scenes whose trained weights stay in the cache: what ``qlmbench caption`` shows.

It is the chain of the public hybrid vision-language model, image to features to circuit to token to
words, with the small decoder. It knows scenes (see `qlmbench.data.images.scenes`), and says of any
picture what scene it would be.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from qlmbench.data.cache import Progress, cache_folder, writable
from qlmbench.data.digests import identity_digest
from qlmbench.data.images.drawing import DRAWING_VERSION
from qlmbench.data.images.encoders import image_encoder_identity
from qlmbench.data.images.features import scene_features
from qlmbench.data.images.pictures import load_image
from qlmbench.data.images.scenes import sample_scenes
from qlmbench.errors import CorruptFileError, UserError
from qlmbench.vision import IMAGE_ENCODER, PROMPT
from qlmbench.vision.hybrid import HybridVisionLanguageModel
from qlmbench.vision.hybrid_training import CaptionTraining, train_captions
from qlmbench.vision.loading import generate_caption, load_models
from qlmbench.vision.saving import load_trained, save_trained

# Raised when other weights would come out of the same training.
_VERSION = "1"


@dataclass(frozen=True)
class TrainedCaptions:
    """Which captioner: each has weights of its own.

    Parameters
    ----------
    n_qubits : int
        Of the published circuit, with three layers.
    prompt : str
        Stands between image and caption, in training and afterwards.
    image_encoder : str
        See `qlmbench.data.images.encoders`.
    """

    n_qubits: int = 4
    prompt: str = PROMPT
    image_encoder: str = IMAGE_ENCODER

    @property
    def path(self) -> Path:
        """File of the weights."""
        image = image_encoder_identity(self.image_encoder)
        what = [_VERSION, DRAWING_VERSION, *map(str, asdict(self).values()), *image.values()]
        stem = f"{self.image_encoder}-{self.n_qubits}-qubits-{identity_digest(*what)[:16]}"
        return cache_folder() / "captions" / f"{stem}.safetensors"

    def train(
        self, n_scenes: int = 1000, epochs: int = 20, *, progress: Progress | None = None
    ) -> None:
        """Train on rendered scenes and keep the weights; those that are there are replaced.

        Parameters
        ----------
        n_scenes : int
            From the training part of the scenes.
        epochs : int
            Passes over them.
        progress : callable, optional
            Told how many images are encoded.

        Raises
        ------
        UserError
            If the image encoder cannot be fetched, the cache cannot be written, or the loss is no
            number.
        """
        model = self._untrained()
        scenes = sample_scenes(n_scenes, 0, "train")
        features = torch.tensor(scene_features(self.image_encoder, scenes, progress=progress))
        model.standardise(features)
        how = CaptionTraining(epochs, prompt=self.prompt, learning_rate=3e-3)
        history = train_captions(model, (features, [s.caption for s in scenes]), how)
        if history.diverged_at is not None:
            raise UserError(f"the loss is no number in epoch {history.diverged_at}")
        with writable(self.path.parent):
            save_trained(model, self.path)

    def describe(self, image: Path | str) -> str:
        """Write what an image file shows.

        Raises
        ------
        UserError
            If nothing was trained yet, the weights are damaged, or the file is no image.
        """
        load_image(image)
        if not self.path.is_file():
            raise UserError(
                f"no trained weights for {self.n_qubits} qubits, {self.image_encoder} and the "
                f"prompt {self.prompt!r} in {self.path.parent}",
                do="add --train 1000 to the command: it trains on so many rendered scenes, for "
                "minutes, and keeps the weights",
            )
        model = self._untrained()
        try:
            load_trained(model, self.path)
        except CorruptFileError as error:
            do = "train again: add --train 1000 to the command"
            raise CorruptFileError(error.what, expected=error.expected, do=do) from None
        return generate_caption(model, image, self.prompt)

    def _untrained(self) -> HybridVisionLanguageModel:
        return load_models(
            n_qubits=self.n_qubits, image_encoder=self.image_encoder, prompt=self.prompt
        )
