"""Damage anywhere in what we keep is named; it is made again or refused, never used."""

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.data.conftest import sha256, write_wheel
from tests.trust.faults import RUN, SETTING, call, contents, damage, flipped, write_study

from qlmbench.data.archives import extract
from qlmbench.data.digests import sha256_of_file
from qlmbench.data.features import FeatureCache, text_key
from qlmbench.data.sources import RegistryPackage, fetch
from qlmbench.errors import CorruptFileError, UserError
from qlmbench.records import (
    AttentionMap,
    AttentionMaps,
    Condition,
    Conditions,
    Curves,
    Outcome,
    Predictions,
    Record,
    RunInfo,
    SplitLabels,
    Tuning,
    environment_id,
)
from qlmbench.store import Store
from qlmbench.tensor_files import load_tensors, save_tensors

Damage = Callable[[bytes], bytes]
FEW = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
MANY = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

# ---- records -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the cheap study once; tests copy what they break."""
    folder = write_study(tmp_path_factory.mktemp("finished"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert call(*RUN, "--jobs", "1").exit_code == 0
    return folder / SETTING


TABLES = ("records.jsonl", "predictions.jsonl", "splits.jsonl", "tuning.jsonl")


def copied(run: Path, folder: Path) -> Path:
    folder.mkdir(parents=True)
    for file in run.iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    return folder


def rows_of(store: Store) -> list[dict[object, object]]:
    return [
        {record.id: record for record in store.records()},
        dict(store.predictions()),
        dict(store.splits()),
        dict(store.tuning()),
    ]


def check_damaged_table(run: Path, folder: Path, table: str, change: Damage) -> None:
    sound = rows_of(Store(run))
    path = copied(run, folder) / table
    raw = path.read_bytes()
    after = change(raw)
    path.write_bytes(after)
    store = Store(folder)
    for whole, left in zip(sound, rows_of(store), strict=True):
        assert left.items() <= whole.items(), "what is used is what was written"
    # A file that ends between two rows has lost trials, which run again, and has no damaged row.
    between = after and raw.startswith(after) and b"\n" in (after[-1:], raw[len(after) :][:1])
    assert between or any(str(path) in problem for problem in store.problems), "it is named"


@FEW
@given(table=st.sampled_from(TABLES), change=damage())
def test_a_damaged_table_gives_sound_rows_alone_and_is_named(
    finished_run: Path, tmp_path_factory: pytest.TempPathFactory, table: str, change: Damage
) -> None:
    check_damaged_table(finished_run, tmp_path_factory.mktemp("t") / "r", table, change)


@pytest.mark.slow
@MANY
@given(table=st.sampled_from(TABLES), change=damage())
def test_a_table_damaged_anywhere_gives_sound_rows_alone_and_is_named(
    finished_run: Path, tmp_path_factory: pytest.TempPathFactory, table: str, change: Damage
) -> None:
    check_damaged_table(finished_run, tmp_path_factory.mktemp("t") / "r", table, change)


@pytest.mark.slow
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(table=st.sampled_from(TABLES), change=damage())
def test_a_run_over_damage_ends_with_the_records_of_an_undisturbed_one(
    finished_run: Path, tmp_path_factory: pytest.TempPathFactory, table: str, change: Damage
) -> None:
    work = write_study(tmp_path_factory.mktemp("again"))
    path = copied(finished_run, work / SETTING) / table
    path.write_bytes(change(path.read_bytes()))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work)
        assert call(*RUN, "--jobs", "1").exit_code == 0
    again, whole = contents(work / SETTING), contents(finished_run)
    assert again == whole


def outcomes() -> list[Outcome]:
    """Make trials that leave a row in every table there is."""
    made = []
    for i in range(6):
        key = f"{i + 0xA0:016x}"
        record = Record(id=key, study="s", arm=f"arm{i % 2}", repetition=i, metrics={"m": 0.1 * i})
        attention = AttentionMap(tokens=["a", "ä"], weights=[[1.0, 0.0], [0.5, 0.5]])
        made.append(
            Outcome(
                record=record,
                predictions=Predictions(id=key, validation="1:2:gA==", test="1:2:QA==", texts="ä"),
                curves=Curves(id=key, epochs=[1, 2], values={"train_loss": [1.0, 0.1 * i]}),
                tuning=Tuning(
                    id=key,
                    configurations=[{"C": 1}],
                    validation_accuracy=[0.5],
                    validation_loss=[1],
                ),
                conditions=Conditions(id=key, rows=[Condition(name="n", value=i, metrics={})]),
                attention=AttentionMaps(id=key, maps=[attention]),
                split=SplitLabels(
                    repetition=i, digest="d", test_digest="t", n_train=4, validation="", test="1"
                ),
            )
        )
    failed = Record(id="f" * 16, study="s", arm="arm0", repetition=9, status="failed", error="no")
    return [*made, Outcome(record=failed)]


def filled(folder: Path, pending: int) -> Store:
    """Save all trials, the last ones of them after the tables were written."""
    store = Store(folder)
    for left, outcome in zip(range(7, 0, -1), outcomes(), strict=True):
        if left == pending:
            store.consolidate()
        store.save(outcome)
    if not pending:
        store.consolidate()
    return store


def of_all(store: Store) -> list[dict[Any, Any]]:
    return [
        *rows_of(store),
        {record.id: record for record in store.failures()},
        dict(store.curves()),
        dict(store.conditions()),
        dict(store.attention()),
    ]


def check_damaged_store(folder: Path, which: int, pending: int, change: Damage) -> None:
    whole = of_all(filled(folder / "whole", 0))
    store = filled(folder / "r", pending)
    files = sorted([*store.folder.glob("*.jsonl"), *store.folder.glob("trials/*.json")])
    assert len(files) == 8 - (pending > 0) + pending, "every table has rows"
    path = files[which % len(files)]
    path.write_bytes(change(path.read_bytes()))
    for left, sound in zip(of_all(store), whole, strict=True):
        assert left.items() <= sound.items(), "what is used is what was written"
    finished = store.finished()
    for outcome in outcomes():  # what a run does with those that are missing
        if outcome.record.id not in finished:
            store.save(outcome)
    store.consolidate()
    assert of_all(Store(store.folder)) == whole, path.name


WHICH = {"which": st.integers(0, 100), "pending": st.sampled_from([0, 0, 3]), "change": damage()}


@FEW
@given(**WHICH)
def test_what_is_damaged_among_tables_and_single_trials_is_not_used_and_made_again(
    tmp_path_factory: pytest.TempPathFactory, which: int, pending: int, change: Damage
) -> None:
    check_damaged_store(tmp_path_factory.mktemp("any"), which, pending, change)


@pytest.mark.slow
@MANY
@given(**WHICH)
def test_whatever_is_damaged_among_tables_and_single_trials_is_not_used_and_made_again(
    tmp_path_factory: pytest.TempPathFactory, which: int, pending: int, change: Damage
) -> None:
    check_damaged_store(tmp_path_factory.mktemp("any"), which, pending, change)


@FEW
@given(position=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_in_what_a_run_says_of_itself_is_named_and_not_used(
    tmp_path_factory: pytest.TempPathFactory, position: int, bit: int
) -> None:
    store = Store(tmp_path_factory.mktemp("info"))
    info = RunInfo(
        profile="smoke", setting="main", dataset={"name": "ä", "sha256": "0f"}, encoder={"w": "1"}
    )
    store.save_info(info)
    path = store.folder / "run.json"
    path.write_bytes(flipped(path.read_bytes(), position, bit))
    found = Store(store.folder)
    assert found.info() is None
    assert any(str(path) in problem for problem in found.problems)
    found.save_info(info)
    assert Store(store.folder).info() == info


def test_what_a_run_said_of_itself_before_it_had_a_checksum_is_read(tmp_path: Path) -> None:
    info = RunInfo(profile="smoke", setting="main", dataset={"name": "d"}, encoder={"name": "e"})
    (tmp_path / "run.json").write_text(info.model_dump_json(indent=1), encoding="utf-8")
    assert Store(tmp_path).info() == info


@FEW
@given(position=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_in_an_environment_is_named_and_not_shown(
    tmp_path_factory: pytest.TempPathFactory, position: int, bit: int
) -> None:
    store = Store(tmp_path_factory.mktemp("environment"))
    described = {"python": "3.11", "commit": "abc"}
    path = store.folder / "environments.json"
    path.write_text(json.dumps({environment_id(described): described}), encoding="utf-8")
    assert store.environments() == {environment_id(described): described}
    path.write_bytes(flipped(path.read_bytes(), position, bit))
    assert store.environments() == {}
    assert any(str(path) in problem for problem in store.problems)


@FEW
@example("told\u2028in\u2029two\x85lines\x0b\x0c")
@given(st.text(max_size=30))
def test_a_failure_is_kept_whatever_its_message_holds(
    tmp_path_factory: pytest.TempPathFactory, message: str
) -> None:
    store = Store(tmp_path_factory.mktemp("message"))
    failed = Record(id="0", study="s", arm="a", repetition=0, status="failed", error=message)
    store.save(Outcome(record=failed))
    store.consolidate()
    assert store.failures() == [failed]
    assert store.problems == []


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
