"""The captions of a folder of images are read whole, or the line at fault is named."""

import pytest

from qlmbench.data.images.captions_file import CaptionedImage, read_captions
from qlmbench.errors import UserError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.png").write_bytes(b"image")
    (tmp_path / "sub" / "b.png").write_bytes(b"image")
    return tmp_path


def write(folder, text, encoding="utf-8"):
    (folder / "captions.csv").write_bytes(text.encode(encoding))


def test_captions_are_read_in_their_order(folder):
    write(folder, 'image,caption\na.png,"a dog,  black"\n\nsub/b.png,ein Hündchen\na.png,a cat\n')
    assert read_captions(folder) == [
        CaptionedImage(folder / "a.png", "a dog, black"),
        CaptionedImage(folder / "sub" / "b.png", "ein Hündchen"),
        CaptionedImage(folder / "a.png", "a cat"),
    ]


def test_columns_may_come_in_any_order_and_with_a_mark_in_front(folder):
    write(folder, "caption,image\r\na dog,a.png\r\n", "utf-8-sig")
    assert read_captions(folder) == [CaptionedImage(folder / "a.png", "a dog")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("image,caption\n", "no rows"),
        ("image,text\na.png,x\n", "expected the columns image,caption"),
        ("image,caption\na.png,a dog, black\n", "line 2: 3 fields"),
        ("image,caption\na.png\n", "line 2: 1 fields"),
        ("image,caption\na.png,  \n", "line 2: no caption"),
        ("image,caption\n,a dog\n", "line 2: no image"),
        ("image,caption\nc.png,a dog\n", "line 2: no image 'c.png'"),
        ("image,caption\n../a.png,a dog\n", "leads out of the folder"),
        ("image,caption\na.png,a dog\na.png,a dog\n", "line 3: the same as line 2"),
        ('image,caption\na.png,"a dog\n', "line 2"),
    ],
)
def test_a_wrong_captions_file_is_one_line_that_says_where(folder, text, message):
    write(folder, text)
    with pytest.raises(UserError, match=message) as error:
        read_captions(folder)
    assert "captions.csv" in str(error.value)


def test_a_captions_file_in_another_encoding_is_one_line(folder):
    write(folder, "image,caption\na.png,Hündchen\n", "latin-1")
    with pytest.raises(UserError, match="not UTF-8"):
        read_captions(folder)


def test_a_missing_captions_file_is_one_line(folder):
    with pytest.raises(UserError, match=r"no captions\.csv"):
        read_captions(folder)
    with pytest.raises(UserError, match="no such folder"):
        read_captions(folder / "none")
