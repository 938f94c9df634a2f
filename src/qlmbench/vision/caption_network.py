"""The network of a captioner, and the rows of ids that it takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from qlmbench.data.images.vocabulary import PADDING
from qlmbench.metrics import IntArray
from qlmbench.vision.decoder import StackedDecoder
from qlmbench.vision.projectors import StackedProjector


class CaptionNetwork(nn.Module):
    """Projector and decoder of a stack: ``[R, n, F + T]`` to logits ``[R, n, T, V - 1]``.

    Parameters
    ----------
    projector : StackedProjector
    decoder : StackedDecoder
    n_image_features : int
        F.
    """

    def __init__(
        self, projector: StackedProjector, decoder: StackedDecoder, n_image_features: int
    ) -> None:
        super().__init__()
        self.projector, self.decoder = projector, decoder
        self.n_image_features = n_image_features

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of each id given the image and the ids before it."""
        tokens = self.projector(x[..., : self.n_image_features])
        return self.decode(tokens, x[..., self.n_image_features :].long())

    def decode(self, tokens: Tensor, ids: Tensor) -> Tensor:
        """Return logits ``[R, n, T, V - 1]`` for tokens ``[R, n, d]`` and ids ``[R, n, T]``."""
        before = self.decoder.embed(ids[:, :, :-1])
        logits: Tensor = self.decoder(torch.cat([tokens[:, :, None], before], 2))
        return logits


def check_captions(ids: Any, vocab_size: int) -> IntArray:
    """Check rows of caption ids; return them as whole numbers, (n, T).

    Raises
    ------
    ValueError
        If an id is out of range or not whole, a row is empty, or padding stands before an id.
    """
    rows = np.asarray(ids, dtype=np.float64)
    if (rows != np.floor(rows)).any() or rows.min() < 0 or rows.max() >= vocab_size:
        raise ValueError(
            f"got caption ids from {rows.min()} to {rows.max()}; expected whole numbers from 0 to "
            f"{vocab_size - 1}"
        )
    real = rows != PADDING
    if not real[:, 0].all() or (real[:, 1:] & ~real[:, :-1]).any():
        raise ValueError("got padding before an id, or a row of nothing else; expected it at ends")
    return rows.astype(np.int64)
