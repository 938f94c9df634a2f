"""Damage in features, downloads and weights: named, made again or refused, never used."""

import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.data.conftest import sha256, write_wheel
from tests.trust.faults import FEW, MANY, Damage, call, damage, flipped

from qlmbench.data.archives import extract
from qlmbench.data.digests import sha256_of_file
from qlmbench.data.features import FeatureCache, text_key
from qlmbench.data.sources import RegistryPackage, fetch
from qlmbench.errors import CorruptFileError, UserError
from qlmbench.tensor_files import load_tensors, save_tensors

# ---- features ----------------------------------------------------------------------------------


def check_damaged_features(folder: Path, change: Damage) -> None:
    vectors = {
        text_key(str(i)): np.random.default_rng(i).normal(size=6).astype(np.float32)
        for i in range(30)
    }
    FeatureCache(folder / "f.sqlite", 6).write(vectors)
    path = folder / "f.sqlite"
    path.write_bytes(change(path.read_bytes()))
    cache = FeatureCache(path, 6)
    for _ in range(3):  # damage may show only when what it stands in is read or written again
        found = cache.read(list(vectors))
        assert all(found[key].tobytes() == vectors[key].tobytes() for key in found)
        cache.write({key: value for key, value in vectors.items() if key not in found})
    assert FeatureCache(path, 6).read(list(vectors)).keys() == vectors.keys()


def test_every_flipped_bit_in_a_feature_is_seen(tmp_path: Path) -> None:
    vector = np.arange(1, 7, dtype=np.float32)
    path = tmp_path / "f.sqlite"
    FeatureCache(path, 6).write({text_key("a"): vector})
    raw = path.read_bytes()
    at = raw.index(vector.tobytes())
    for bit in range(8 * 4 * 6):
        path.write_bytes(flipped(raw, at + bit // 8, bit % 8))
        assert FeatureCache(path, 6).read([text_key("a")]) == {}


@FEW
@given(change=damage())
def test_damaged_features_are_computed_again_and_never_used(
    tmp_path_factory: pytest.TempPathFactory, change: Damage
) -> None:
    check_damaged_features(tmp_path_factory.mktemp("features"), change)


@pytest.mark.slow
@MANY
@given(change=damage())
def test_features_damaged_anywhere_are_computed_again_and_never_used(
    tmp_path_factory: pytest.TempPathFactory, change: Damage
) -> None:
    check_damaged_features(tmp_path_factory.mktemp("features"), change)


# ---- what is fetched -----------------------------------------------------------------------------

TEXT = b"".join(b"a line of text, number %d\n" % i for i in range(300))
MEMBER = "set/data.csv"


def packed(folder: Path) -> tuple[Path, RegistryPackage]:
    wheel = write_wheel(folder, "some-set", "1.0", {MEMBER: TEXT})
    known = {MEMBER: sha256(TEXT)}
    return wheel, RegistryPackage(
        "some-set", "1.0", known, archive_sha256=sha256(wheel.read_bytes())
    )


def test_a_fetched_file_with_a_flipped_bit_is_named_and_fetched_again(
    index: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, source = packed(index)
    path = fetch(source)[MEMBER]
    path.write_bytes(flipped(TEXT, 1000, 3))
    with caplog.at_level(logging.WARNING):
        assert fetch(source)[MEMBER].read_bytes() == TEXT
    assert str(path) in caplog.text


def test_a_large_file_that_takes_another_s_place_is_hashed_though_the_clock_stands_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qlmbench.data.digests.LARGE", 100)
    path = tmp_path / "w.bin"
    for raw in (TEXT, flipped(TEXT, 5000, 1), TEXT):
        beside = tmp_path / "beside"
        beside.write_bytes(raw)
        os.utime(beside, ns=(10**18, 10**18))
        beside.replace(path)
        assert sha256_of_file(path) == sha256_of_file(path) == sha256(raw)


@pytest.mark.parametrize("change", [lambda raw: flipped(raw, 777, 2), lambda raw: raw[:-40]])
def test_a_damaged_wheel_is_refused_in_one_line_and_leaves_no_file(
    index: Path, cache: Path, change: Damage
) -> None:
    wheel, source = packed(index)
    wheel.write_bytes(change(wheel.read_bytes()))
    with pytest.raises(UserError, match=r"some-set 1\.0") as caught:
        fetch(source)
    assert "\n" not in str(caught.value)
    assert not list(cache.rglob("*.csv"))


@FEW
@given(change=damage())
def test_of_a_damaged_archive_comes_the_right_file_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, change: Damage
) -> None:
    folder = tmp_path_factory.mktemp("wheel")
    wheel, _ = packed(folder)
    wheel.write_bytes(change(wheel.read_bytes()))
    out = folder / "out"
    try:
        extract(wheel, {MEMBER: sha256(TEXT)}, out)
    except CorruptFileError:
        assert not [path for path in out.rglob("*") if path.is_file()]
    else:
        assert (out / MEMBER).read_bytes() == TEXT


# ---- weights -------------------------------------------------------------------------------------

TENSORS = {
    "b": torch.tensor([1.5, -2.0]),
    "a": torch.arange(6.0).reshape(2, 3),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "n": torch.tensor(7),
}


def check_damaged_tensors(folder: Path, change: Damage) -> None:
    path = folder / "w.safetensors"
    save_tensors(TENSORS, path)
    raw = path.read_bytes()
    path.write_bytes(change(raw))
    with pytest.raises(CorruptFileError, match=r"w\.safetensors") as caught:
        load_tensors(path)
    assert "\n" not in str(caught.value)
    try:
        found = load_tensors(path, must_be_ours=False)
    except CorruptFileError:
        return
    assert all(torch.equal(found[name], value) for name, value in TENSORS.items())


@FEW
@given(change=damage())
def test_damaged_weights_are_refused(
    tmp_path_factory: pytest.TempPathFactory, change: Damage
) -> None:
    check_damaged_tensors(tmp_path_factory.mktemp("weights"), change)


@pytest.mark.parametrize("bit", range(8))
@pytest.mark.parametrize("word", [b"format", b"pt", b"qlmbench", b"__metadata__", b'"b"', b"F32"])
def test_weights_with_a_flipped_bit_in_what_is_said_of_them_are_refused(
    tmp_path: Path, word: bytes, bit: int
) -> None:
    def change(raw: bytes) -> bytes:
        assert word in raw
        return flipped(raw, raw.index(word) + 1, bit)

    check_damaged_tensors(tmp_path, change)


@pytest.mark.slow
@MANY
@given(change=damage())
def test_weights_damaged_anywhere_are_refused(
    tmp_path_factory: pytest.TempPathFactory, change: Damage
) -> None:
    check_damaged_tensors(tmp_path_factory.mktemp("weights"), change)


def test_weights_come_back_with_their_types_and_shapes(tmp_path: Path) -> None:
    save_tensors(TENSORS, tmp_path / "new" / "w.safetensors")
    found = load_tensors(tmp_path / "new" / "w.safetensors")
    assert found.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["w.safetensors"]


def test_another_program_s_weights_have_no_checksum_and_are_taken_where_that_is_meant(
    tmp_path: Path,
) -> None:
    from safetensors.torch import save_file

    save_file(TENSORS, tmp_path / "theirs.safetensors")
    assert (
        load_tensors(tmp_path / "theirs.safetensors", must_be_ours=False).keys() == TENSORS.keys()
    )
    with pytest.raises(CorruptFileError, match="no checksum"):
        load_tensors(tmp_path / "theirs.safetensors")


def test_damaged_caption_weights_are_refused_and_trained_again_by_the_command_it_names(
    tmp_path: Path,
) -> None:
    image = pytest.importorskip("PIL.Image")
    from qlmbench.vision.trained_captions import TrainedCaptions

    image.new("RGB", (30, 30), (200, 30, 30)).save(tmp_path / "red.png")
    captions = TrainedCaptions(n_qubits=2, image_encoder="pixels-8")
    with pytest.MonkeyPatch.context() as patch:  # no training is needed to break its weights
        patch.setattr("qlmbench.vision.trained_captions.train_captions", lambda *_: _Untrained())
        captions.train(4, 1)
    given = ("caption", "--image_encoder", "pixels-8", "--n_qubits", "2", "--image_path")
    sound = call(*given, str(tmp_path / "red.png"))
    assert sound.exit_code == 0, sound.output
    raw = captions.path.read_bytes()
    for position in (len(raw) - 5, len(raw) // 2, 40):
        captions.path.write_bytes(flipped(raw, position, 4))
        result = call(*given, str(tmp_path / "red.png"))
        assert result.exit_code == 2
        assert str(captions.path) in result.stderr
        assert "--train 1000" in result.stderr
        assert result.stderr.count("\n") == 1
    captions.path.write_bytes(raw)
    assert call(*given, str(tmp_path / "red.png")).stdout == sound.stdout


class _Untrained:
    diverged_at = None


def test_a_damaged_adapter_is_refused_and_the_model_stays_as_it_was(tmp_path: Path) -> None:
    from qlmbench.adapters.config import QuantumLoRAConfig
    from qlmbench.adapters.model import QuantumLoRAModel, get_quantum_lora_model

    def base() -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(4, 4))

    model = get_quantum_lora_model(base(), QuantumLoRAConfig(r=2, target_modules=["0"]))
    model.save_pretrained(tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    raw = path.read_bytes()
    for position in (len(raw) - 3, len(raw) - 20):
        path.write_bytes(flipped(raw, position, 5))
        with pytest.raises(ValueError, match="damaged"):
            QuantumLoRAModel.from_pretrained(base(), tmp_path)
    path.write_bytes(raw)
    QuantumLoRAModel.from_pretrained(base(), tmp_path)


@pytest.mark.parametrize("listing", [b"[]", b"3", b"null", b"{", b"\xff", b'{"config.json": 1}'])
def test_a_damaged_list_of_hashes_of_a_converted_model_is_no_sound_model(
    tmp_path: Path, listing: bytes
) -> None:
    from qlmbench.data.gguf_model import FILES, LIST, is_sound

    for name in FILES:
        (tmp_path / name).write_bytes(b"content")
    hashes = {name: sha256(b"content") for name in FILES}
    (tmp_path / LIST).write_text(json.dumps(hashes), encoding="utf-8")
    assert is_sound(tmp_path)
    (tmp_path / LIST).write_bytes(listing)
    assert not is_sound(tmp_path)


@FEW
@given(change=damage(), which=st.integers(0, 3))
def test_damage_anywhere_in_a_converted_model_is_seen(
    tmp_path_factory: pytest.TempPathFactory, change: Damage, which: int
) -> None:
    from qlmbench.data.gguf_model import FILES, LIST, is_sound

    folder = tmp_path_factory.mktemp("converted")
    for name in FILES:
        (folder / name).write_bytes(name.encode() * 20)
    hashes = {name: sha256(name.encode() * 20) for name in FILES}
    (folder / LIST).write_text(json.dumps(hashes), encoding="utf-8")
    path = folder / [*FILES, LIST][which]
    path.write_bytes(change(path.read_bytes()))
    assert not is_sound(folder)


def test_a_folder_s_damaged_weights_are_one_line(tmp_path: Path) -> None:
    from tests.data.tiny_models import write_model

    from qlmbench.data.encoders import encode
    from qlmbench.data.pretrained import read_pretrained

    folder = write_model(tmp_path / "model")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    for read in (
        lambda: encode(str(folder), ["a fine film"]),
        lambda: read_pretrained(str(folder)),
    ):
        with pytest.raises(CorruptFileError, match="model") as caught:
            read()
        assert "\n" not in str(caught.value)
