"""EfficientNet-Lite0: the same network as one with separate normalisations, and known answers."""

import pytest
import torch
from torch import nn

from qlmbench.data.images.encoders import lite0_input, load_image_encoder
from qlmbench.data.images.lite0 import EfficientNetLite0

# Kernel, stride, expansion and channels of each block, as in table 1 of arXiv 1905.11946.
BLOCKS = [
    (3, 1, 1, 16),
    *[(3, 2, 6, 24), (3, 1, 6, 24)],
    *[(5, 2, 6, 40), (5, 1, 6, 40)],
    *[(3, 2, 6, 80), (3, 1, 6, 80), (3, 1, 6, 80)],
    *[(5, 1, 6, 112)] * 3,
    *[(5, 2, 6, 192), (5, 1, 6, 192), (5, 1, 6, 192), (5, 1, 6, 192)],
    (3, 1, 6, 320),
]


class Same(nn.Module):
    """Convolution and normalisation, one after the other, with padding as in TensorFlow."""

    def __init__(self, n_in, n_out, kernel=1, stride=1, groups=1):
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(n_out, eps=1e-3)
        self.kernel, self.stride = kernel, stride

    def forward(self, x):
        size = -(-x.shape[-1] // self.stride)
        total = max((size - 1) * self.stride + self.kernel - x.shape[-1], 0)
        left = total // 2
        padded = nn.functional.pad(x, (left, total - left, left, total - left))
        return self.norm(self.conv(padded))


def reference():
    """Layers by the name of convolution and normalisation, with random values."""
    layers = {("_conv_stem", "_bn0"): Same(3, 32, 3, 2)}
    width = 32
    for i, (kernel, stride, expand, out) in enumerate(BLOCKS):
        wide = width * expand
        name = f"_blocks.{i}."
        if expand > 1:
            layers[name + "_expand_conv", name + "_bn0"] = Same(width, wide)
        layers[name + "_depthwise_conv", name + "_bn1"] = Same(wide, wide, kernel, stride, wide)
        layers[name + "_project_conv", name + "_bn2"] = Same(wide, out)
        width = out
    layers["_conv_head", "_bn1"] = Same(320, 1280)
    generator = torch.Generator().manual_seed(0)
    for layer in layers.values():
        layer.eval().requires_grad_(False)
        norm = layer.norm
        for values in (norm.weight, norm.running_var):
            values.copy_(0.5 + torch.rand(values.shape, generator=generator))
        for values in (norm.bias, norm.running_mean):
            values.copy_(torch.randn(values.shape, generator=generator) * 0.3)
        weight = layer.conv.weight
        fan = weight[0].numel()
        weight.copy_(torch.randn(weight.shape, generator=generator) * (2 / fan) ** 0.5)
    return layers


def tensors_of(layers):
    named = {}
    for (conv, norm), layer in layers.items():
        named[f"{conv}.weight"] = layer.conv.weight
        for part, values in layer.norm.state_dict().items():
            named[f"{norm}.{part}"] = values
    named["_fc.weight"] = torch.randn(1000, 1280, generator=torch.Generator().manual_seed(1))
    named["_fc.bias"] = torch.zeros(1000)
    return named


def run(layers, x):
    rest = iter(layers.values())
    x = next(rest)(x).clamp(0, 6)
    for _, stride, expand, out in BLOCKS:
        before = x
        if expand > 1:
            x = next(rest)(x).clamp(0, 6)
        wide = next(rest)(x).clamp(0, 6)
        x = next(rest)(wide)
        if stride == 1 and before.shape[1] == out:
            x = x + before
    return next(rest)(x).clamp(0, 6)


@pytest.fixture(scope="module")
def layers():
    return reference()


def test_folded_normalisations_compute_the_same(layers):
    network = EfficientNetLite0(tensors_of(layers))
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    expected = run(layers, images)
    assert expected.std() > 0.1
    torch.testing.assert_close(network.maps(images), expected, rtol=1e-3, atol=1e-3)
    assert network(images).shape == (1, 1000)


def test_it_is_the_published_size():
    tensors = tensors_of(reference())
    parameters = [v for k, v in tensors.items() if "running" not in k and "num_b" not in k]
    assert sum(v.numel() for v in parameters) == 4_652_008


def test_missing_extra_and_misshaped_weights_are_errors(layers):
    tensors = tensors_of(layers)
    with pytest.raises(ValueError, match=r"1 tensors that .* 'other'"):
        EfficientNetLite0({**tensors, "other": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"_fc\.bias"):
        EfficientNetLite0({k: v for k, v in tensors.items() if k != "_fc.bias"})
    with pytest.raises(ValueError, match=r"expected \[1000\]"):
        EfficientNetLite0({**tensors, "_fc.bias": torch.zeros(9)})


def test_images_of_another_shape_are_refused(layers):
    with pytest.raises(ValueError, match="224, 224"):
        EfficientNetLite0(tensors_of(layers)).maps(torch.zeros(1, 3, 192, 192))


@pytest.mark.slow
@pytest.mark.network
def test_the_published_weights_know_a_palace_when_they_see_one():
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_sample_image

    from qlmbench.data.images.encoders import _lite0_network

    palace = load_sample_image("china.jpg")[:, 106:533]
    pixels = np.asarray(Image.fromarray(palace).resize((224, 224), Image.Resampling.BICUBIC))
    likeliest = _lite0_network()(lite0_input(pixels[None]))[0].topk(5).indices
    assert 698 in likeliest  # "palace" in ImageNet's list


@pytest.mark.slow
@pytest.mark.network
def test_features_of_quarters_tell_shapes_and_places_apart():
    import numpy as np
    from sklearn.linear_model import RidgeClassifier

    from qlmbench.data.images.features import scene_features
    from qlmbench.data.images.scenes import sample_scenes

    train, test = sample_scenes(160, 0, "train"), sample_scenes(80, 0, "test")
    single = [[s for s in some if len(s.groups) == 1] for some in (train, test)]
    X, Z = (scene_features("efficientnet-lite0-quarters", some) for some in single)
    for name in ("shape", "position"):
        y, z = ([s.groups[0].attributes()[name] for s in some] for some in single)
        assert np.mean(RidgeClassifier(alpha=100.0).fit(X, y).predict(Z) == z) > 0.7


def test_an_unknown_encoder_is_one_line():
    from qlmbench.errors import UserError

    with pytest.raises(UserError, match="did you mean 'efficientnet-lite0'"):
        load_image_encoder("efficientnet-lite")
