"""The network of a captioner."""

from __future__ import annotations

import torch
from torch import Tensor, nn

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
