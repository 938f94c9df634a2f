"""A folder of images with captions is a dataset, and its rows are a captioner's."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qlmbench.data.datasets import dataset_identity, load_dataset
from qlmbench.data.images.captioned import read_row
from qlmbench.data.images.encoders import load_image_encoder
from qlmbench.data.images.image_rows import image_rows
from qlmbench.data.images.pictures import load_image
from qlmbench.data.images.scenes import sample_scenes, scene_words
from qlmbench.errors import UserError

N_IMAGES = 40


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images of one colour each, the first of them twice, and two captions for the second."""
    monkeypatch.setenv("QLMBENCH_CACHE", str(tmp_path / "cache"))
    made = tmp_path / "pictures"
    made.mkdir()
    lines = ["image,caption"]
    for i in range(N_IMAGES):
        Image.new("RGB", (8, 4), (6 * i, 90, 200)).save(made / f"{i}.png")
        lines.append(f"{i}.png,one red circle {'left' if i % 2 else 'right'}")
    shutil.copy(made / "0.png", made / "again.png")
    lines += ["again.png,two blue stars", '1.png,"one, small"']
    (made / "captions.csv").write_text("\n".join(lines), encoding="utf-8")
    return made


@pytest.fixture
def model(tmp_path: Path) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["<pad>", "<end>", ",", *scene_words()]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, "<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    made = tmp_path / "model"
    made.mkdir()
    tokenizer.save(str(made / "tokenizer.json"))
    (made / "config.json").write_text(json.dumps({"eos_token_id": 1}))
    return made


def test_every_row_is_there_once_and_rows_of_one_image_in_one_part(folder: Path) -> None:
    dataset = load_dataset(str(folder))
    rows = {part: [read_row(t) for t in found.texts] for part, found in dataset.parts.items()}
    assert sum(map(len, rows.values())) == N_IMAGES + 2
    assert len(rows["train"]) > len(rows["test"]) > 0
    part_of = {}
    for part, found in rows.items():
        for row in found:
            assert row is not None
            part_of.setdefault(row.image.read_bytes(), set()).add(part)
    assert all(len(parts) == 1 for parts in part_of.values())
    assert len(part_of) == N_IMAGES


def test_its_identity_is_that_of_captions_and_images_and_not_of_the_path(
    folder: Path, tmp_path: Path
) -> None:
    before = dataset_identity(str(folder))["sha256"]
    copied = tmp_path / "elsewhere"
    shutil.copytree(folder, copied)
    assert dataset_identity(str(copied))["sha256"] == before
    Image.new("RGB", (8, 4)).save(copied / "3.png")
    assert dataset_identity(str(copied))["sha256"] != before
    captions = (folder / "captions.csv").read_text().replace("two blue", "two green")
    (folder / "captions.csv").write_text(captions)
    assert dataset_identity(str(folder))["sha256"] != before


def test_a_folder_of_texts_and_of_images_is_refused(folder: Path) -> None:
    (folder / "train.tsv").write_text("sentence\tlabel\na\tb\n")
    with pytest.raises(UserError, match=r"both captions\.csv and train\.tsv"):
        load_dataset(str(folder))


def test_rows_are_features_of_the_file_and_ids_of_the_caption(folder: Path, model: Path) -> None:
    encoder = image_rows(f"images-pixels-8:{model}x8")
    assert encoder is not None
    texts = load_dataset(str(folder)).parts["train"].texts[:5]
    rows = encoder.fit(texts).encode(texts)
    assert rows.shape == (5, 192 + 8)
    assert str(rows.shape[1]) == encoder.identity["width"]
    for row, text in zip(rows, texts, strict=True):
        known = read_row(text)
        assert known is not None
        expected = load_image_encoder("pixels-8")(load_image(known.image)[None])[0]
        assert np.array_equal(row[:192], expected)
        words = encoder.words.decode(map(int, row[192:]))
        assert words.replace(" ", "") == known.caption.replace(" ", "")


def test_scenes_are_rows_as_well_and_both_together_are_refused(folder: Path, model: Path) -> None:
    encoder = image_rows(f"images-pixels-8:{model}x14")
    assert encoder is not None
    scenes = [scene.text for scene in sample_scenes(3, 0, "train")]
    assert encoder.encode(scenes).shape == (3, 192 + 14)
    with pytest.raises(UserError, match="others are not"):
        encoder.encode([*scenes, *load_dataset(str(folder)).parts["train"].texts[:1]])
    with pytest.raises(UserError, match="got the scene 'a film'"):
        encoder.encode(["a film"])


def test_a_caption_that_does_not_fit_is_one_line(folder: Path, model: Path) -> None:
    encoder = image_rows(f"images-pixels-8:{model}x3")
    assert encoder is not None
    with pytest.raises(UserError, match="1 to 2, which with the end fill 3 places"):
        encoder.encode(load_dataset(str(folder)).parts["train"].texts)
    assert image_rows("images-pixels-8x14") is None
    with pytest.raises(UserError, match="unknown image encoder"):
        image_rows(f"images-resnet:{model}x8")
