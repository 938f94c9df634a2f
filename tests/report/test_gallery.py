"""The pictures of a page are the test scenes of the records, with what the arms wrote of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qlmbench.data.datasets import dataset_identity, load_dataset
from qlmbench.data.images.scenes import read_scene
from qlmbench.data.splits import positions, texts_at
from qlmbench.packing import pack_classes, pack_numbers, pack_rows, pack_texts
from qlmbench.records import Outcome, Predictions, Record, RunInfo, SplitLabels
from qlmbench.registry import get_study
from qlmbench.report.gallery import EACH, gallery_plot, gallery_table
from qlmbench.report.load import load_results
from qlmbench.store import Store

TEST = [("test", i) for i in (3, 5, 8, 13, 402, 404, 409, 500)]
ARMS = {"full": "right", "zero": "one small red star top left"}


def fill(folder, dataset="scenes", kept=None):
    """Write the records of two arms: one that is always right, one that always says the same."""
    scenes = load_dataset("scenes")
    numbers, total = positions(scenes, TEST)
    right = [read_scene(text).caption for text in texts_at(scenes, numbers)]
    split = SplitLabels(
        repetition=0,
        digest="a",
        test_digest="a",
        n_train=1,
        validation=pack_classes([0]),
        test=pack_classes([0] * len(TEST)),
        test_rows=pack_rows(numbers, total),
    )
    study = get_study("hybrid_vlm")
    store = Store(folder)
    for arm, said in ARMS.items():
        texts = right if said == "right" else [said] * len(right)
        record = Record(
            id=f"{arm}0",
            study=study.name,
            arm=arm,
            repetition=0,
            metrics={"test_cross_entropy": 1.0, "test_exact_match": float(said == "right")},
        )
        packed = pack_numbers([0.0] * len(TEST))
        predictions = Predictions(
            id=record.id, validation="", test=packed, texts=pack_texts(texts[:kept])
        )
        store.save(Outcome(record=record, predictions=predictions, split=split))
    store.consolidate()
    identity = {**dataset_identity("scenes"), "name": dataset}
    info = RunInfo(profile="default", setting="captions", dataset=identity, encoder={})
    return replace(load_results(study, folder), info=info), right


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "hybrid_vlm" / "default" / "captions"


def test_a_captioner_that_is_right_is_ticked_and_another_is_not(folder):
    results, right = fill(folder)
    data = gallery_table(results).data
    assert set(data[data["arm"] == "full"]["right"]) == {True}
    assert set(data[data["arm"] == "zero"]["right"]) == {False}
    assert set(data["scene"]) <= set(right)


def test_scenes_of_both_kinds_are_shown_the_first_ones_of_each(folder):
    results, right = fill(folder)
    shown = gallery_table(results).data["scene"].unique().tolist()
    assert shown == right[:EACH] + right[4 : 4 + EACH]


def test_only_scenes_that_were_described_are_shown(folder):
    results, right = fill(folder, kept=2)
    assert gallery_table(results).data["scene"].unique().tolist() == right[:2]


def test_the_figure_holds_every_caption_and_its_sentence_the_share_that_is_right(folder):
    results, right = fill(folder)
    plot = gallery_plot(results)
    assert plot is not None
    written = " ".join(text.get_text() for text in plot.draw().texts)
    assert f"✓ {right[0]}" in written
    assert "one small red star top left" in written
    assert "100.0 %" in plot.sentence


def test_images_that_cannot_be_drawn_again_have_no_gallery(folder):
    results, _ = fill(folder, dataset="my-pictures")
    assert gallery_plot(results) is None
    assert not len(gallery_table(results))
