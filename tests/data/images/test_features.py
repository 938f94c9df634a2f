"""Features of images: each is computed once, by what the image is."""

import numpy as np
import pytest
import torch

from qlmbench.data.images import encoders, features
from qlmbench.data.images.drawing import render
from qlmbench.data.images.encoders import clip_encoder, clip_input, quarters
from qlmbench.data.images.features import image_features, scene_features
from qlmbench.data.images.scenes import sample_scenes
from qlmbench.errors import UserError

NAME = "efficientnet-lite0"


@pytest.fixture
def encoder(monkeypatch):
    """Stands for the network; it notes how many different images it was given."""
    given = []

    def encode(pixels):
        assert len(pixels) == features.IMAGES_AT_ONCE, "sums depend on the length of a block"
        given.append(len({image.tobytes() for image in pixels}))
        return pixels.reshape(len(pixels), -1)[:, 30_000:31_280].astype(np.float32)

    monkeypatch.setattr(features, "load_image_encoder", lambda name, progress: encode)
    return given


def test_an_image_is_encoded_once_however_often_it_comes(encoder):
    images = [render(scene) for scene in sample_scenes(3, 0, "train")]
    first = image_features(NAME, [images[0], images[1], images[0]])
    assert sum(encoder) == 2
    again = image_features(NAME, [images[1], images[2]])
    assert sum(encoder) == 3
    assert np.array_equal(first[1], again[0])
    assert np.array_equal(first[0], first[2])
    assert first.dtype == np.float32
    assert first.shape == (3, 1280)


def test_scenes_have_the_features_of_their_images_and_are_drawn_once(encoder, monkeypatch):
    scenes = sample_scenes(3, 0, "train")
    of_scenes = scene_features(NAME, scenes)
    assert np.array_equal(of_scenes, image_features(NAME, [render(s) for s in scenes]))
    monkeypatch.setattr(features, "render", lambda scene: pytest.fail("drawn again"))
    assert np.array_equal(scene_features(NAME, scenes[::-1]), of_scenes[::-1])


def test_many_images_are_encoded_some_at_a_time(encoder):
    told = []
    scenes = sample_scenes(40, 0, "train")
    scene_features(NAME, scenes, progress=lambda what, done, total: told.append((done, total)))
    assert encoder == [16, 16, 8]
    assert told == [(16, 40), (32, 40), (40, 40)]


def test_encoders_do_not_share_a_cache(encoder):
    scenes = sample_scenes(1, 0, "train")
    scene_features(NAME, scenes)
    scene_features(f"{NAME}-quarters", scenes)
    assert encoder == [1, 1]


def test_quarters_come_one_after_the_other():
    maps = torch.zeros(1, 3, 6, 6)
    maps[0, 1, :3, 3:] = 7.0  # top right, second channel
    assert quarters(maps).tolist() == [[0, 0, 0, 0, 7, 0, *[0] * 6]]


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((224, 224), dtype=np.uint8),
        np.zeros((200, 224, 3), dtype=np.uint8),
        np.zeros((224, 224, 3)),
    ],
)
def test_other_pixels_are_refused(image):
    with pytest.raises(ValueError, match="load_image"):
        image_features(NAME, [image])


def test_no_images_and_unknown_encoders_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        image_features(NAME, [])
    with pytest.raises(UserError, match="unknown image encoder"):
        scene_features("resnet", sample_scenes(1, 0, "train"))


def test_clip_features_are_the_first_token_of_the_folder_s_model(tmp_path):
    from transformers import CLIPVisionConfig, CLIPVisionModel

    config = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        patch_size=32,
    )
    with torch.random.fork_rng():
        model = CLIPVisionModel(config).eval()
    model.save_pretrained(tmp_path)
    pixels = np.stack([render(scene) for scene in sample_scenes(2, 0, "train")])
    expected = model(pixel_values=clip_input(pixels)).last_hidden_state[:, 0]
    found = clip_encoder(tmp_path)(pixels)
    assert found.shape == (2, 16)
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=1e-5)


def test_clip_s_input_is_what_its_processor_gives():
    from transformers import CLIPImageProcessor

    pixels = render(sample_scenes(1, 0, "train")[0])
    processor = CLIPImageProcessor()
    expected = processor(images=pixels, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(clip_input(pixels[None]), expected, rtol=0, atol=1e-5)


def test_mean_colours_are_those_of_their_squares():
    pixels = np.zeros((1, 224, 224, 3), np.uint8)
    pixels[0, :28, 28:56, 1] = 255
    found = image_features("pixels-8", list(pixels))
    assert found.shape == (1, 192)
    assert np.flatnonzero(found[0]).tolist() == [3 + 1]
    assert found[0, 4] == 1


def test_without_a_network_a_hub_encoder_is_one_line_that_says_what_to_do(monkeypatch):
    def fetch(source, progress=None):
        raise UserError("cannot fetch config.json", do="give a local folder")

    monkeypatch.setattr(encoders, "fetch", fetch)
    with pytest.raises(UserError, match=r"cannot fetch config\.json; check the network, .*HF_HOME"):
        encoders.load_image_encoder("clip-vit-base-patch32")
    with pytest.raises(UserError, match="give a local folder"):
        encoders.load_image_encoder("efficientnet-lite0")
