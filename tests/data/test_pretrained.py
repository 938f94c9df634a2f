"""Pretrained models are found by name or folder, checked, and tokenised as by their tokenizer."""

import hashlib
import inspect
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.data.tiny_models import SENTENCES, WORDS, write_model

from qlmbench.data import pretrained
from qlmbench.data.encoders import encoder_identity
from qlmbench.data.pretrained import pretrained_folder, read_pretrained, tokenizer_sha256
from qlmbench.data.sources import HubFiles
from qlmbench.data.tokens import token_encoder
from qlmbench.errors import CorruptFileError, UserError

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def write_bert(folder: Path, special: list[str] = SPECIAL) -> Path:
    """Make a tiny BERT model whose tokenizer numbers tokens in this order."""
    from transformers import BertTokenizerFast

    write_model(folder)
    tokens = [*special, *WORDS, "##s"]
    (folder / "vocab.txt").write_text("\n".join(tokens), encoding="utf-8")
    # transformers 4 reads the file, 5 takes the tokens.
    older = "vocab_file" in inspect.signature(BertTokenizerFast.__init__).parameters
    given = str(folder / "vocab.txt") if older else {token: i for i, token in enumerate(tokens)}
    BertTokenizerFast(**{"vocab_file" if older else "vocab": given}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert(tmp_path_factory.mktemp("models") / "tiny")


def test_ids_are_those_of_the_models_own_tokenizer(folder: Path) -> None:
    from transformers import AutoTokenizer

    texts = [*SENTENCES, "a film of unknown words", "films " * 20]
    encoder = token_encoder(f"tokens-{folder}x9")
    assert encoder is not None
    vocabulary = encoder.fit(["what it is fitted on changes nothing"])
    ids = vocabulary.encode(texts)
    own = AutoTokenizer.from_pretrained(str(folder))(
        texts, truncation=True, max_length=9, padding="max_length"
    )["input_ids"]
    assert ids.dtype == np.int32
    assert ids.tolist() == own
    assert [vocabulary.word(i) for i in ids[0, :5]] == ["[CLS]", "a", "fine", "film", "[SEP]"]


def test_a_long_text_loses_its_end_and_keeps_its_special_tokens(folder: Path) -> None:
    vocabulary = token_encoder(f"tokens-{folder}x4").fit([])  # type: ignore[union-attr]
    words = [vocabulary.word(i) for i in vocabulary.encode(["a fine film and plot"])[0]]
    assert words == ["[CLS]", "a", "fine", "[SEP]"]


def test_a_vocabulary_goes_to_other_processes(folder: Path) -> None:
    vocabulary = token_encoder(f"tokens-{folder}x9").fit([])  # type: ignore[union-attr]
    again = pickle.loads(pickle.dumps(vocabulary))  # noqa: S301
    assert again.encode(SENTENCES).tolist() == vocabulary.encode(SENTENCES).tolist()


def test_identity_is_the_tokenizer_and_the_length_and_not_the_folder(
    folder: Path, tmp_path: Path
) -> None:
    identity = encoder_identity(f"tokens-{folder}x9")
    assert identity["name"] == "tokens-tinyx9"
    assert str(folder.parent) not in str(identity)
    copied = write_bert(tmp_path / "other")
    (copied / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    other = encoder_identity(f"tokens-{copied}x9")
    assert {**other, "name": ""} == {**identity, "name": ""}
    assert encoder_identity(f"tokens-{folder}x8") != identity
    (copied / "tokenizer.json").write_text("{}")
    assert encoder_identity(f"tokens-{copied}x9")["tokenizer"] != identity["tokenizer"]


def test_registered_identities_need_no_files() -> None:
    names = ["tokens-all-MiniLM-L6-v2x64", "tokens-distilbert-base-uncasedx128"]
    assert [encoder_identity(name)["tokenizer"][:8] for name in names] == ["be50c362", "ce64fce7"]
    assert [encoder_identity(name)["width"] for name in names] == ["64", "128"]


def test_a_tokenizer_that_pads_with_another_id_is_refused(tmp_path: Path) -> None:
    other = write_bert(tmp_path / "other", ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"])
    with pytest.raises(UserError, match=r"expected \[PAD\]"):
        token_encoder(f"tokens-{other}x9").encode(["a film"])  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tokens-all-MiniLM-L6-v3x64", "did you mean 'all-MiniLM-L6-v2'"),
        ("tokens-no/such/folderx64", "no such folder"),
        ("tokens-all-MiniLM-L6-v2x2", "at least 3"),
    ],
)
def test_a_name_that_names_no_tokenizer_is_one_clear_error(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        encoder_identity(name)


@pytest.mark.parametrize("text", ["", "  "])
def test_a_text_without_a_token_is_refused(folder: Path, text: str) -> None:
    with pytest.raises(UserError, match="without a token"):
        token_encoder(f"tokens-{folder}x9").encode([text])  # type: ignore[union-attr]


def test_there_is_no_id_beyond_the_tokenizers(folder: Path) -> None:
    with pytest.raises(ValueError, match="99"):
        token_encoder(f"tokens-{folder}x9").word(99)  # type: ignore[union-attr]


# ---- weights ----------------------------------------------------------------------------


def test_weights_of_a_folder_are_read_and_a_change_is_seen(tmp_path: Path) -> None:
    own = write_bert(tmp_path / "own")
    first = read_pretrained(str(own))
    assert first.config["model_type"] == "bert"
    assert read_pretrained(str(own)) is first
    save_file({"x": torch.ones(2)}, own / "model.safetensors")
    assert list(read_pretrained(str(own)).tensors) == ["x"]


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_a_missing_file_is_named(tmp_path: Path, file: str) -> None:
    own = write_bert(tmp_path / "own")
    (own / file).unlink()
    with pytest.raises(UserError, match=file):
        read_pretrained(str(own))


FILES = {
    "config.json": json.dumps({"model_type": "distilbert"}).encode(),
    "model.safetensors": b"weights",
    "tokenizer.json": b"{}",
}
REVISION = "b" * 40


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Know one model of the hub, of which all hashes are known."""
    files = {name: hashlib.sha256(raw).hexdigest() for name, raw in FILES.items()}
    known = pretrained._Registered(HubFiles("some/model", REVISION, files), "")
    monkeypatch.setattr(pretrained, "_REGISTERED", {"some-model": known})


def test_a_model_of_the_hub_comes_from_the_hubs_cache(
    registered: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    snapshot = tmp_path / "hub" / "models--some--model" / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    for name, raw in FILES.items():
        (snapshot / name).write_bytes(raw)
    assert pretrained_folder("some-model") == snapshot


def test_without_a_network_it_is_told_where_files_may_be_put(
    registered: None, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    with pytest.raises(UserError, match="no network") as told:
        pretrained_folder("some-model")
    assert str(cache / "models" / "some-model") in str(told.value)


def test_a_model_may_be_put_into_the_cache_by_hand(registered: None, cache: Path) -> None:
    own = cache / "models" / "some-model"
    own.mkdir(parents=True)
    for name, raw in FILES.items():
        (own / name).write_bytes(raw)
    assert pretrained_folder("some-model") == own
    assert tokenizer_sha256("some-model") == hashlib.sha256(b"{}").hexdigest()
    (own / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(CorruptFileError, match=r"model\.safetensors"):
        pretrained_folder("some-model")
    (own / "config.json").unlink()
    with pytest.raises(UserError, match=r"config\.json: no such file"):
        pretrained_folder("some-model")
