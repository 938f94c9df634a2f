import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.tiny_models import write_model

from qlmbench.data.encoders import encode, encoder_identity, encoder_names
from qlmbench.data.transformer import (
    SENTENCES_A_BATCH,
    TOKENS_A_BATCH,
    TransformerEncoder,
    equal_length_batches,
)
from qlmbench.errors import UserError

TEXTS = ["a fine film", "the plot is poor", "dull", "a fine film", "very dull and very poor film"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_model(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record how many texts reach the model, call by call."""
    calls: list[int] = []
    real = TransformerEncoder.encode

    def counting(self: TransformerEncoder, texts: list[str], **options: int) -> object:
        calls.append(len(texts))
        return real(self, texts, **options)

    monkeypatch.setattr(TransformerEncoder, "encode", counting)
    return calls


def test_identities_are_the_same_as_ever() -> None:
    # Records and cached features name these.
    weights = {name: encoder_identity(name)["weights"][:8] for name in encoder_names()}
    assert weights == {
        "all-MiniLM-L6-v2": "53aa5117",
        "all-mpnet-base-v2": "78c0197b",
        "hashing": "none",
        "paraphrase-mpnet-base-v2": "sentence",
    }


def test_an_identity_needs_neither_numpy_nor_torch() -> None:
    code = (
        "import sys; from qlmbench.data.encoders import *; [encoder_identity(n) for n in "
        "encoder_names()]; print({'numpy', 'transformers', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_every_text_gets_its_own_row_in_the_order_asked(model: str) -> None:
    X = encode(model, TEXTS)
    assert X.shape == (5, 16)
    assert X.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(X[0], X[3])
    np.testing.assert_array_equal(encode(model, TEXTS[::-1]), X[::-1])


def test_only_texts_that_are_not_cached_reach_the_model(model: str, counted: list[int]) -> None:
    encode(model, TEXTS[:2])
    encode(model, TEXTS)
    encode(model, TEXTS)
    assert counted == [2, 2]


def test_vectors_do_not_depend_on_what_is_encoded_beside_them(
    model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    together = encode(model, TEXTS)
    monkeypatch.setenv("QLMBENCH_CACHE", str(tmp_path / "another"))
    alone = np.concatenate([encode(model, [text]) for text in TEXTS])
    np.testing.assert_array_equal(together, alone)


def test_a_changed_weight_is_another_encoder(model: str, tmp_path: Path) -> None:
    other = str(write_model(tmp_path / "tiny", seed=1))
    mine, theirs = encoder_identity(model), encoder_identity(other)
    assert mine["weights"] != theirs["weights"]
    assert {k: mine[k] for k in mine if k != "weights"} == {
        k: theirs[k] for k in theirs if k != "weights"
    }
    assert np.abs(encode(model, TEXTS) - encode(other, TEXTS)).max() > 0.01


def test_the_number_of_threads_is_put_back(model: str) -> None:
    import torch

    before = torch.get_num_threads()
    encode(model, TEXTS, jobs=before + 1)
    assert torch.get_num_threads() == before


def test_progress_counts_texts_up_to_all(model: str) -> None:
    seen: list[tuple[str, int, int]] = []
    encode(model, TEXTS, progress=lambda *what: seen.append(what))
    assert seen[-1] == ("encoding with tiny", 4, 4)


def test_a_long_text_is_cut_to_the_models_own_length(model: str) -> None:
    long = " ".join(["fine"] * 14)
    X = encode(model, [long, long + " film", long + " plot"])
    np.testing.assert_allclose(X[0], X[1], atol=1e-6)
    np.testing.assert_allclose(X[1], X[2], atol=1e-6)


def test_a_damaged_cache_file_is_named_and_computed_again(
    model: str, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = encode(model, TEXTS)
    (path,) = (cache / "features").glob("*.sqlite")
    path.write_bytes(b"rubbish" * 99)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(encode(model, TEXTS), first)
    assert str(path) in caplog.text


@pytest.mark.parametrize("mode", ["mean_tokens", "cls_token"])
@pytest.mark.slow
def test_vectors_equal_those_of_sentence_transformers(tmp_path: Path, mode: str) -> None:
    from sentence_transformers import SentenceTransformer

    folder = write_model(tmp_path / "peer", mode=mode)
    theirs = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(encode(str(folder), TEXTS), theirs, rtol=0, atol=1e-6)


def test_hashing_counts_words_and_needs_no_cache(cache: Path) -> None:
    X = encode("hashing", ["a good film", "A GOOD FILM", "bad"])
    assert X.shape == (3, 256)
    assert X.dtype == np.float32
    np.testing.assert_array_equal(X[0], X[1])
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, atol=1e-6)
    assert not cache.exists()


def test_no_texts_and_empty_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="no texts"):
        encode("hashing", [])
    with pytest.raises(ValueError, match="text 1 of 2 is empty"):
        encode("hashing", ["a", "  "])


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'all-mpnet-base-v2'"):
        encode("all-mpnet-base-v3", ["a"])
    with pytest.raises(UserError, match="no such folder"):
        encoder_identity("/nowhere/at/all")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("modules.json", "{", "not valid JSON"),
        ("modules.json", '[{"type": "x.Dense", "path": "2_Dense"}]', "'Dense' is not supported"),
        ("modules.json", '[{"type": "x.Transformer", "path": ""}]', "no Pooling"),
        ("1_Pooling/config.json", '{"pooling_mode_max_tokens": true}', "max_tokens is not supp"),
        (
            "1_Pooling/config.json",
            '{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true}',
            "is not supported",
        ),
        ("sentence_bert_config.json", '{"do_lower_case": true}', "do_lower_case"),
        ("config.json", '{"model_type": "distilbert", "dim": 16}', "no hidden_size"),
    ],
)
def test_a_model_that_we_would_get_wrong_is_refused(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    folder = write_model(tmp_path / "odd")
    (folder / name).write_text(content)
    with pytest.raises(UserError, match=message):
        encoder_identity(str(folder))


def test_pickled_weights_are_never_read(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"no model\.safetensors"):
        encode(str(folder), ["a"])


@given(st.lists(st.integers(1, 400), max_size=200))
def test_batches_hold_every_text_once_at_one_length_and_bounded(lengths: list[int]) -> None:
    batches = list(equal_length_batches(lengths))
    assert sorted(row for rows in batches for row in rows) == list(range(len(lengths)))
    for rows in batches:
        held = [lengths[row] for row in rows]
        assert len(set(held)) == 1
        assert len(rows) <= SENTENCES_A_BATCH
        assert sum(held) <= TOKENS_A_BATCH or len(rows) == 1


@pytest.mark.network
@pytest.mark.slow
def test_a_registered_encoder_tells_meanings_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QLMBENCH_CACHE")  # 80 MB: kept in the user's own cache
    X = encode("all-MiniLM-L6-v2", ["A film I loved.", "I liked this movie.", "Rain in Spain."])
    assert X[0] @ X[1] > 0.4 > X[0] @ X[2]
    assert encoder_identity("all-MiniLM-L6-v2")["width"] == "384"
