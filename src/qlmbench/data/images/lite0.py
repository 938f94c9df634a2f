"""EfficientNet-Lite0 for inference: what an image of 224 x 224 pixels looks like to ImageNet.

The architecture is the table of Tan and Le 2019 (arXiv 1905.11946) without squeeze-and-excitation
and with ReLU6, as Google's "lite" variant has it. Each batch normalisation is folded into the
convolution before it, which it only scales and shifts once it is trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

SIDE = 224
"""Pixels of an image's side."""

WIDTH = 1280
"""Features of a place."""

N_CLASSES = 1000

_EPS = 1e-3  # of the batch normalisations, TensorFlow's


@dataclass(frozen=True)
class _Stage:
    """Blocks of one width: expansion, kernel, stride of the first block, channels, how many."""

    expand: int
    kernel: int
    stride: int
    width: int
    n_blocks: int


_STEM = 32
_STAGES = (
    _Stage(1, 3, 1, 16, 1),
    _Stage(6, 3, 2, 24, 2),
    _Stage(6, 5, 2, 40, 2),
    _Stage(6, 3, 2, 80, 3),
    _Stage(6, 5, 1, 112, 3),
    _Stage(6, 5, 2, 192, 4),
    _Stage(6, 3, 1, 320, 1),
)


class EfficientNetLite0(nn.Module):
    """The network with given weights, in evaluation mode and without gradients.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Weights under the names of the package ``efficientnet-lite-pytorch``.

    Raises
    ------
    ValueError
        If a tensor is missing, has another shape, or is one too many.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        weights = _Weights(tensors)
        self.stem = weights.convolution("_conv_stem", "_bn0", 3, _STEM, kernel=3, stride=2)
        blocks: list[nn.Module] = []
        width = _STEM
        for stage in _STAGES:
            for number in range(stage.n_blocks):
                stride = stage.stride if number == 0 else 1
                name = f"_blocks.{len(blocks)}."
                blocks.append(_Block(weights, name, width, stage, stride))
                width = stage.width
        self.blocks = nn.ModuleList(blocks)
        self.head = weights.convolution("_conv_head", "_bn1", width, WIDTH)
        self.classifier = nn.Linear(WIDTH, N_CLASSES)
        self.classifier.weight.data = weights.take("_fc.weight", (N_CLASSES, WIDTH))
        self.classifier.bias.data = weights.take("_fc.bias", (N_CLASSES,))
        weights.check_all_taken()
        self.eval().requires_grad_(False)

    def narrow_maps(self, images: Tensor) -> Tensor:
        """Return the features of the last block at every place.

        Parameters
        ----------
        images : Tensor, ``[B, 3, 224, 224]``
            Red, green, blue, as ``(x - 127) / 128`` of bytes.

        Returns
        -------
        Tensor, ``[B, 320, 7, 7]``
            Of either sign.

        Raises
        ------
        ValueError
            If the shape is another one.
        """
        if images.dim() != 4 or tuple(images.shape[1:]) != (3, SIDE, SIDE):
            raise ValueError(
                f"got images of shape {list(images.shape)}; expected [any, 3, {SIDE}, {SIDE}]"
            )
        x = nn.functional.relu6(self.stem(images))
        for block in self.blocks:
            x = block(x)
        return x

    def maps(self, images: Tensor) -> Tensor:
        """Return the last features at every place, ``[B, 1280, 7, 7]``, from 0 to 6.

        See `narrow_maps` for the images.
        """
        return nn.functional.relu6(self.head(self.narrow_maps(images)))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of ImageNet's classes, ``[B, 1000]``; see `narrow_maps`."""
        logits: Tensor = self.classifier(self.maps(images).mean((2, 3)))
        return logits


class _Convolution(nn.Module):
    """A convolution with TensorFlow's padding "same": what is odd goes to the right and bottom."""

    def __init__(self, weight: Tensor, bias: Tensor, stride: int, groups: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.stride, self.groups = stride, groups
        total = weight.shape[-1] - stride  # sides are multiples of the stride
        before = max(total, 0) // 2
        self.padding = (before, max(total, 0) - before) * 2

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, n, H, W]`` to ``[B, m, H / stride, W / stride]``."""
        padded = nn.functional.pad(x, self.padding)
        return nn.functional.conv2d(
            padded, self.weight, self.bias, stride=self.stride, groups=self.groups
        )


class _Block(nn.Module):
    """Widen, mix places channel by channel, narrow; added to its input where both are alike."""

    def __init__(self, weights: _Weights, name: str, n_in: int, stage: _Stage, stride: int) -> None:
        super().__init__()
        wide = n_in * stage.expand
        self.expand = (
            weights.convolution(f"{name}_expand_conv", f"{name}_bn0", n_in, wide)
            if stage.expand > 1
            else None
        )
        self.depthwise = weights.convolution(
            f"{name}_depthwise_conv",
            f"{name}_bn1",
            wide,
            wide,
            kernel=stage.kernel,
            stride=stride,
            groups=wide,
        )
        self.project = weights.convolution(f"{name}_project_conv", f"{name}_bn2", wide, stage.width)
        self.adds = stride == 1 and n_in == stage.width

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, n_in, H, W]`` to ``[B, width, H / stride, W / stride]``."""
        wide = x if self.expand is None else nn.functional.relu6(self.expand(x))
        narrow: Tensor = self.project(nn.functional.relu6(self.depthwise(wide)))
        return narrow + x if self.adds else narrow


class _Weights:
    """Tensors by name, each to be taken once."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        # The counter of training steps of each normalisation means nothing here.
        self._left = {k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")}

    def take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        tensor = self._left.pop(name, None)
        if tensor is None:
            raise ValueError(f"no tensor {name!r}; expected the weights of EfficientNet-Lite0")
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name!r} has the shape {list(tensor.shape)}; expected {list(shape)}")
        return tensor.float()

    def convolution(
        self,
        name: str,
        normalisation: str,
        n_in: int,
        n_out: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
    ) -> _Convolution:
        weight = self.take(f"{name}.weight", (n_out, n_in // groups, kernel, kernel))
        scale, shift, mean, variance = (
            self.take(f"{normalisation}.{part}", (n_out,)).double()
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = scale / torch.sqrt(variance + _EPS)
        folded = weight.double() * factor[:, None, None, None]
        return _Convolution(folded.float(), (shift - mean * factor).float(), stride, groups)

    def check_all_taken(self) -> None:
        if self._left:
            raise ValueError(
                f"got {len(self._left)} tensors that EfficientNet-Lite0 does not have, such as "
                f"{next(iter(self._left))!r}"
            )
