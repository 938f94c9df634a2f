import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.data.tiny_models import LABELS, NEW, SENTENCES, gap, write_model

from qlmbench.data import contrastive
from qlmbench.data.cache import cache_folder
from qlmbench.data.encoders import encode, take_encoder
from qlmbench.data.transformer import TransformerEncoder
from qlmbench.data.tuning import encode_tuned
from qlmbench.errors import UserError
from qlmbench.spec import EncoderTuning

QUICK = EncoderTuning(steps=3, learning_rate=1e-3)


@pytest.fixture(scope="module", params=["bert", "mpnet"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_model(tmp_path_factory.mktemp("models") / request.param, request.param))


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_model(tmp_path_factory.mktemp("models") / "bert"))


@pytest.fixture
def no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("an encoder was loaded")

    monkeypatch.setattr("qlmbench.data.tuning.take_encoder", refuse)


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


def tuned(
    model: str, texts: list[str] = NEW, seed: int = 0, tuning: EncoderTuning = QUICK
) -> NDArray[np.float32]:
    return encode_tuned(model, tuning, SENTENCES, LABELS, texts, seed)


# A tiny random model needs warmer similarities and larger steps than a pretrained one.
THOROUGH = EncoderTuning(steps=40, learning_rate=3e-3, temperature=0.5)


@pytest.mark.parametrize("trained_layers", [None, 2])
@pytest.mark.parametrize("batch_size", [None, 6])
def test_tuned_features_tell_the_classes_apart(
    model: str, trained_layers: int | None, batch_size: int | None
) -> None:
    update = {"trained_layers": trained_layers, "batch_size": batch_size}
    X = tuned(model, SENTENCES, tuning=THOROUGH.model_copy(update=update))
    assert gap(encode(model, SENTENCES), LABELS) < 0.3
    assert gap(X, LABELS) > 1


def test_a_tuned_encoder_tells_the_classes_of_other_sentences_apart(tmp_path: Path) -> None:
    model = str(write_model(tmp_path / "mpnet", "mpnet"))
    starts = ["", "a", "very", "is", "the film is", "the plot is", "a very", "the film and plot is"]
    sentences = [f"{start} {word}" for start in starts for word in ("fine", "dull", "poor")]
    new, labels = ["and fine", "a film is dull", "poor plot", "fine film"], [1, 0, 0, 1]
    X = encode_tuned(model, THOROUGH, sentences, [1, 0, 0] * len(starts), new, 0)
    assert gap(encode(model, new), labels) < 0.3
    assert gap(X, labels) > 1


@pytest.mark.parametrize("trained_layers", [None, 2])
def test_a_seed_decides_the_features_to_the_bit(
    model: str, trained_layers: int | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tuning = EncoderTuning(steps=3, learning_rate=1e-3, trained_layers=trained_layers, batch_size=6)
    first = tuned(model, tuning=tuning)
    assert np.abs(tuned(model, seed=1, tuning=tuning) - first).max() > 1e-5
    monkeypatch.setenv("QLMBENCH_CACHE", str(tmp_path / "another"))
    torch.rand(7)  # the global random state is no part of it
    np.testing.assert_array_equal(tuned(model, tuning=tuning), first)


@pytest.mark.slow
def test_another_process_computes_the_same_bits(bert: str, tmp_path: Path) -> None:
    code = (
        "import numpy as np\nfrom qlmbench.data.tuning import encode_tuned\n"
        "from qlmbench.spec import EncoderTuning\n"
        f"X = encode_tuned({bert!r}, EncoderTuning(steps=3, learning_rate=1e-3), {SENTENCES!r}, "
        f"{LABELS!r}, {NEW!r}, 0)\nnp.save({str(tmp_path / 'x.npy')!r}, X)"
    )
    environment = os.environ | {"QLMBENCH_CACHE": str(tmp_path / "theirs")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), tuned(bert))


def test_global_state_is_left_as_it_was(bert: str) -> None:
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    encode_tuned(bert, QUICK, SENTENCES, LABELS, NEW, 0, threads=threads + 1)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)


def test_frozen_features_are_unaffected_by_a_tuning_in_the_same_process(
    model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = encode(model, NEW)
    assert np.abs(tuned(model) - before).max() > 1e-4
    monkeypatch.setenv("QLMBENCH_CACHE", str(tmp_path / "another"))
    np.testing.assert_array_equal(encode(model, NEW), before)


@pytest.mark.parametrize("trained_layers", [None, 1, 3])
def test_a_tuning_without_a_step_size_gives_the_frozen_features(
    model: str, trained_layers: int | None
) -> None:
    tuning = EncoderTuning(steps=2, learning_rate=1e-30, trained_layers=trained_layers)
    np.testing.assert_array_equal(tuned(model, tuning=tuning), encode(model, NEW))


@pytest.mark.parametrize("trained_layers", [None, 2])
def test_a_batch_computed_in_pieces_tunes_the_same(
    tmp_path: Path, trained_layers: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(write_model(tmp_path / "bert", dropout=0.0))
    tuning = EncoderTuning(steps=2, learning_rate=1e-3, trained_layers=trained_layers)
    at_once = tuned(folder, tuning=tuning)
    monkeypatch.setenv("QLMBENCH_CACHE", str(tmp_path / "another"))
    monkeypatch.setattr(contrastive, "TOKENS_A_PIECE", 12)
    monkeypatch.setattr(contrastive, "TOKENS_A_GRAPH", 12)
    np.testing.assert_allclose(tuned(folder, tuning=tuning), at_once, rtol=0, atol=1e-4)


def test_pieces_recomputed_for_their_gradient_see_the_same_dropout(
    bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contrastive, "TOKENS_A_PIECE", 12)
    kept = tuned(bert)
    monkeypatch.setenv("QLMBENCH_CACHE", str(tmp_path / "another"))
    monkeypatch.setattr(contrastive, "TOKENS_A_GRAPH", 12)
    np.testing.assert_allclose(tuned(bert), kept, rtol=0, atol=1e-6)


def test_a_cached_call_loads_neither_torch_nor_transformers(bert: str, cache: Path) -> None:
    tuned(bert)
    code = (
        "import sys\nfrom qlmbench.data.tuning import encode_tuned\n"
        "from qlmbench.spec import EncoderTuning\n"
        f"encode_tuned({bert!r}, EncoderTuning(steps=3, learning_rate=1e-3), {SENTENCES!r}, "
        f"{LABELS!r}, {NEW!r}, 0)\nprint({{'torch', 'transformers'}} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_only_missing_texts_are_encoded_and_equal_those_of_one_call(
    bert: str, counted: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    parts = [tuned(bert, NEW[:2]), tuned(bert, NEW)[2:], tuned(bert, NEW[:1])]
    assert counted == [2, 2]
    monkeypatch.setenv("QLMBENCH_CACHE", str(tmp_path / "another"))
    np.testing.assert_array_equal(np.concatenate(parts[:2]), tuned(bert, NEW))


@pytest.mark.usefixtures("no_encoder")
def test_the_order_of_texts_and_of_sentences_changes_nothing(
    bert: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as allowed:
        allowed.setattr("qlmbench.data.tuning.take_encoder", take_encoder)
        X = tuned(bert)
    np.testing.assert_array_equal(tuned(bert, NEW[::-1]), X[::-1])
    again = encode_tuned(bert, QUICK, SENTENCES[::-1], np.array(LABELS[::-1]).tolist(), NEW, 0)
    np.testing.assert_array_equal(again, X)


@pytest.mark.parametrize(
    "other",
    [
        {"labels": [0, *LABELS[1:]]},
        {"sentences": ["very fine", *SENTENCES[1:]]},
        {"seed": 1},
        *(
            {"tuning": QUICK.model_copy(update=update)}
            for update in (
                {"steps": 4},
                {"batch_size": 8},
                {"temperature": 0.1},
                {"learning_rate": 2e-3},
                {"trained_layers": 3},
            )
        ),
    ],
    ids=lambda other: next(iter(other)),
)
@pytest.mark.usefixtures("no_encoder")
def test_whatever_decides_the_weights_is_another_entry(
    bert: str, other: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    call: dict[str, Any] = {
        "tuning": QUICK, "sentences": SENTENCES, "labels": LABELS, "texts": NEW, "seed": 0
    }  # fmt: skip
    with monkeypatch.context() as allowed:
        allowed.setattr("qlmbench.data.tuning.take_encoder", take_encoder)
        encode_tuned(bert, **call)
    encode_tuned(bert, **call)
    with pytest.raises(AssertionError, match="an encoder was loaded"):
        encode_tuned(bert, **call | other)


def test_tuned_and_frozen_features_are_kept_apart_and_no_weights_are_written(
    bert: str, cache: Path
) -> None:
    encode(bert, NEW)
    tuned(bert)
    files = [path for path in cache.rglob("*") if path.is_file()]
    assert len([path for path in files if path.suffix == ".sqlite"]) == 2
    assert not [path for path in files if path.suffix in {".safetensors", ".pt", ".bin"}]


def test_progress_counts_the_steps_and_then_the_texts(bert: str) -> None:
    seen: list[tuple[str, int, int]] = []
    encode_tuned(bert, QUICK, SENTENCES, LABELS, NEW, 0, progress=lambda *what: seen.append(what))
    assert seen[-2:] == [
        ("tuning the encoder", 3, 3),
        ("encoding with bert-tuned", 4, 4),
    ]


def test_an_encoder_without_weights_cannot_be_tuned() -> None:
    with pytest.raises(UserError, match=r"'hashing' has no weights.*all-MiniLM-L6-v2"):
        tuned("hashing")


def test_an_unsupported_kind_of_model_is_refused(tmp_path: Path) -> None:
    folder = str(write_model(tmp_path / "other", "roberta"))
    with pytest.raises(UserError, match="type 'roberta' cannot be tuned; expected bert or mpn"):
        tuned(folder)


def test_more_layers_than_there_are_is_refused(bert: str) -> None:
    with pytest.raises(UserError, match="trained_layers 4, but the encoder has 3 layers"):
        tuned(bert, tuning=QUICK.model_copy(update={"trained_layers": 4}))


def test_a_tuning_that_diverges_is_refused_and_leaves_nothing(bert: str, cache: Path) -> None:
    with pytest.raises(UserError, match=r"diverged at step .* of 3.*lower the learning rate"):
        tuned(bert, tuning=EncoderTuning(steps=3, learning_rate=1e38))
    assert not list(cache.rglob("*.sqlite"))


def test_labels_that_are_not_one_a_sentence_are_refused(bert: str) -> None:
    with pytest.raises(ValueError, match="8 sentences and 7 labels"):
        encode_tuned(bert, QUICK, SENTENCES, LABELS[1:], NEW, 0)
    with pytest.raises(ValueError, match="text 0 of 8 is empty"):
        encode_tuned(bert, QUICK, ["", *SENTENCES[1:]], LABELS, NEW, 0)


@pytest.mark.network
@pytest.mark.slow
def test_a_registered_encoder_learns_from_eight_sentences(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as users:  # weights come from the user's own cache
        users.delenv("QLMBENCH_CACHE")
        sources = cache_folder() / "sources"
    sources.mkdir(parents=True, exist_ok=True)
    cache.mkdir()
    (cache / "sources").symlink_to(sources)
    tuning = EncoderTuning(steps=4, learning_rate=1e-4, trained_layers=2)
    frozen, better = (
        gap(X, [1, 0, 0, 1])
        for X in (encode("all-MiniLM-L6-v2", NEW), tuned("all-MiniLM-L6-v2", tuning=tuning))
    )
    assert better > frozen
