"""Any image becomes the same square of pixels, or one clear line."""

import numpy as np
import pytest
from PIL import Image

from qlmbench.data.images import pictures
from qlmbench.data.images.pictures import load_image
from qlmbench.errors import CorruptFileError, UserError

COLOUR = (200, 40, 90)


def save(path, array, **options):
    Image.fromarray(np.asarray(array)).save(path, **options)
    return path


def plain(width=60, height=60, colour=COLOUR):
    return np.full((height, width, 3), colour, dtype=np.uint8)


def test_a_square_image_fills_the_square(tmp_path):
    pixels = load_image(save(tmp_path / "a.png", plain()))
    assert pixels.shape == (224, 224, 3)
    assert pixels.dtype == np.uint8
    assert (pixels == COLOUR).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (900, 3), (1, 5000), (2000, 1500)])
def test_any_size_is_fitted_in_whole_with_grey_around_it(tmp_path, size):
    pixels = load_image(save(tmp_path / "a.png", plain(*size)))
    image = (pixels == COLOUR).all(2)
    grey = (pixels == pictures.GREY).all(2)
    assert (image | grey).all()
    assert image[112, 112] or image[111, 111]


def test_nothing_is_cut_off(tmp_path):
    array = plain(400, 100, (0, 0, 0))
    array[:, :20] = (255, 0, 0)
    array[:, -20:] = (0, 0, 255)
    pixels = load_image(save(tmp_path / "a.png", array))
    assert tuple(pixels[112, 2]) == (255, 0, 0)
    assert tuple(pixels[112, -3]) == (0, 0, 255)


def test_grey_values_are_repeated_over_the_colours(tmp_path):
    pixels = load_image(save(tmp_path / "a.png", np.full((9, 9), 77, dtype=np.uint8)))
    assert (pixels == 77).all()


def test_16_bits_a_value_are_rounded_to_8(tmp_path):
    pixels = load_image(save(tmp_path / "a.png", np.full((9, 9), 77 * 257, dtype=np.uint16)))
    assert (pixels == 77).all()


def test_what_is_transparent_lies_on_white(tmp_path):
    array = np.zeros((10, 10, 4), dtype=np.uint8)
    array[:, :, :3] = (10, 20, 30)
    array[:5, :, 3] = 255
    pixels = load_image(save(tmp_path / "a.png", array))
    assert tuple(pixels[20, 100]) == (10, 20, 30)
    assert tuple(pixels[-20, 100]) == (255, 255, 255)


def test_a_palette_with_a_transparent_colour_lies_on_white(tmp_path):
    palette = Image.new("P", (10, 10), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.save(tmp_path / "a.png", transparency=1)
    assert (load_image(tmp_path / "a.png") == 255).all()


def test_an_image_is_turned_as_its_exif_data_say(tmp_path):
    array = plain(40, 40, (0, 0, 0))
    array[:20] = (255, 255, 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    save(tmp_path / "a.png", array, exif=exif)
    pixels = load_image(tmp_path / "a.png")
    assert (pixels[:, 150:] == 255).all()
    assert (pixels[:, :70] == 0).all()


def test_cmyk_is_read_as_colours(tmp_path):
    Image.new("CMYK", (9, 9), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    red, green, blue = load_image(tmp_path / "a.jpg")[112, 112].tolist()
    assert red > 200 > 60 > max(green, blue)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"none\.png: no such file"):
        load_image(tmp_path / "none.png")


def test_a_file_that_is_no_image_is_one_line(tmp_path):
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(UserError, match="not an image"):
        load_image(tmp_path / "a.png")
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(UserError, match="not an image"):
        load_image(tmp_path / "empty.png")


@pytest.mark.parametrize("end", ["png", "jpg"])
def test_a_file_that_ends_too_early_is_damaged(tmp_path, end):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    path = save(tmp_path / f"a.{end}", noise)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(CorruptFileError, match="damaged"):
        load_image(path)


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", plain(50, 50))
    monkeypatch.setattr(pictures, "MOST_PIXELS", 2499)
    with pytest.raises(UserError, match="50 x 50 pixels"):
        load_image(path)


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", plain(50, 50))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UserError, match="reduce the image"):
        load_image(path)


def test_an_animation_is_refused(tmp_path):
    frames = [Image.new("RGB", (9, 9), (i, 0, 0)) for i in (0, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(UserError, match="2 images"):
        load_image(tmp_path / "a.gif")


def test_numbers_without_a_known_range_are_refused(tmp_path):
    save(tmp_path / "a.tiff", np.full((9, 9), 0.5, dtype=np.float32))
    with pytest.raises(UserError, match="32-bit"):
        load_image(tmp_path / "a.tiff")


# ---- captions ----------------------------------------------------------------------------------
