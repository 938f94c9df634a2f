"""Captions as ids of a pretrained tokenizer."""

import json
from pathlib import Path
from typing import Any

import pytest

from qlmbench.data.caption_tokens import CaptionTokens, tokenizer_of
from qlmbench.data.images.image_rows import image_rows
from qlmbench.data.images.scene_rows import scene_rows
from qlmbench.data.images.scenes import sample_scenes, scene_words
from qlmbench.errors import UserError

WORDS = ["<pad>", "<end>", *scene_words()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, "<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": [1, 0]}))
    return tmp_path


def test_rows_are_captions_with_their_end_and_come_back(folder: Path) -> None:
    tokens = CaptionTokens(str(folder))
    captions = [scene.caption for scene in sample_scenes(5, 0, "train")]
    rows = tokens.encode(captions, 14)
    assert rows.shape == (5, 14)
    for row, caption in zip(rows, captions, strict=True):
        assert tokens.decode(row.tolist()) == caption
        known = row[row != 0]
        assert known[-1] == 1
        assert len(known) == len(caption.split()) + 1
    assert tokens.word(2) == "one"
    with pytest.raises(ValueError, match="999"):
        tokens.word(999)


@pytest.mark.parametrize("caption", ["", "one " * 14, "one dragon"])
def test_a_caption_that_is_no_row_is_one_line(folder: Path, caption: str) -> None:
    with pytest.raises(UserError, match="tokens of"):
        CaptionTokens(str(folder)).encode([caption], 14)


@pytest.mark.parametrize("broken", ["tokenizer.json", "config.json"])
def test_an_incomplete_folder_is_one_line(folder: Path, broken: str) -> None:
    (folder / broken).unlink()
    with pytest.raises(UserError, match="no such file"):
        tokenizer_of(folder)


@pytest.mark.parametrize(("config", "message"), [("{}", "eos_token_id"), ("{", "not valid JSON")])
def test_a_configuration_without_an_end_is_one_line(
    folder: Path, config: str, message: str
) -> None:
    (folder / "config.json").write_text(config)
    with pytest.raises(UserError, match=message):
        tokenizer_of(folder)


def test_scenes_have_rows_in_tokens_of_another_identity_than_in_words(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QLMBENCH_CACHE", str(tmp_path / "cache"))
    scenes = sample_scenes(3, 0, "train")
    tokens: Any = image_rows(f"images-pixels-8:{folder}x14")
    words: Any = scene_rows("scenes-pixels-8x14")
    rows = tokens.encode([scene.text for scene in scenes])
    found = [tokens.words.decode(map(int, row[192:])) for row in rows]
    assert found == [scene.caption for scene in scenes]
    assert (rows[:, :192] == words.encode([scene.text for scene in scenes])[:, :192]).all()
    assert tokens.identity["captions"] != words.identity["captions"]
    assert tokens.identity["width"] == str(rows.shape[1])


@pytest.mark.slow
@pytest.mark.network
def test_every_word_of_scenes_is_one_token_of_smollm2() -> None:
    """So that nats a token are nats a word."""
    tokens = CaptionTokens("SmolLM2-135M-Instruct")
    captions = [f"one {word}" for word in scene_words()]
    assert (tokens.encode(captions, 4) != 0).sum(1).tolist() == [3] * len(captions)
    starts = ["one", "two", "three"]
    assert (tokens.encode(starts, 3) != 0).sum(1).tolist() == [2, 2, 2]
