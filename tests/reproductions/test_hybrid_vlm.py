"""The captioner of the hybrid vision-language study is scored as its tables say."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from qlmbench.data.datasets import load_dataset
from qlmbench.data.encoders import encoder_identity
from qlmbench.data.images.image_rows import image_rows
from qlmbench.data.images.scene_rows import scene_rows
from qlmbench.data.images.scenes import sample_scenes
from qlmbench.models.llama import tiny_config
from qlmbench.registry import get_study, model_class
from qlmbench.spec.metrics import metrics_of
from qlmbench.tasks import score

SMALL = {"n_image_features": 192, "embedding_dim": 8, "num_heads": 2, "n_blocks": 1}
SceneCaptioner: Any = model_class("hybrid_vlm", "captioner:SceneCaptioner")
PretrainedSceneCaptioner: Any = model_class("hybrid_vlm", "language:PretrainedSceneCaptioner")
TINY = {"language_model": "tiny", "n_image_features": 192, "n_sought": 4, "epochs": 1}


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.setenv("QLMBENCH_CACHE", str(tmp_path))
    scenes = sample_scenes(12, 0, "test") + sample_scenes(12, 0, "test", "held out")
    encoder = scene_rows("scenes-pixels-8x14")
    assert encoder is not None
    return encoder.encode([scene.text for scene in scenes]).astype(float)


@pytest.fixture(params=["small", "pretrained"])
def fitted(request, rows):
    def fit(projector):
        if request.param == "small":
            return SceneCaptioner(**SMALL, projector=projector, epochs=1).fit(rows, None)
        return PretrainedSceneCaptioner(**TINY, projector=projector).fit(rows, None)

    return fit


def test_every_score_of_test_rows_is_one_that_a_claim_may_name(rows, fitted):
    scored = score("captioning", "test", fitted("published"), (rows, None), 5)
    named = {metric for metric in metrics_of("captioning") if metric.startswith("test_")}
    assert set(scored.metrics) == named


def test_scores_without_writing_are_those_with_it(rows, fitted):
    model = fitted("linear")
    words, per_row, none = model.caption_scores(rows, written=False)
    scores, again, texts = model.caption_scores(rows, written=True)
    assert words == {name: scores[name] for name in words}
    assert (per_row == again).all()
    assert (len(none), len(texts)) == (0, len(rows))


def test_another_image_matters_to_what_sees_images_and_to_nothing_else(rows, fitted):
    for projector, matters in (("full", True), ("zero", False)):
        scores, *_ = fitted(projector).caption_scores(rows, written=True)
        assert (scores["image_gain"] != 0) == matters
        assert scores["cross_entropy_other_image"] - scores["cross_entropy"] == pytest.approx(
            scores["image_gain"], abs=1e-12
        )
    assert scores["retrieval"] == pytest.approx(0.1)


@pytest.mark.parametrize("fitted", ["small"], indirect=True)
def test_a_condition_changes_what_sees_images_and_nothing_else(rows, fitted):
    for model, changes in ((fitted("full"), True), (fitted("zero"), False)):
        own = model.caption_scores(rows, written=False)[1]
        other = model.under(image="another").caption_scores(rows, written=False)[1]
        assert np.array_equal(own, other) != changes


def test_the_classifier_of_features_is_not_told_the_caption():
    study = get_study("hybrid_vlm")
    for profile in ("smoke", "default"):
        encoder = study.protocol(profile, "diagnostic").encoder
        captions = study.protocol(profile, "captions").encoder
        assert captions == f"{encoder}x14"


def test_every_arm_of_a_width_differs_in_the_projector_alone():
    study = get_study("hybrid_vlm")
    four = [arm for arm in study.arms if arm.name in ("linear-4", "published-4", "noncommuting-4")]
    shared = [{k: v for k, v in arm.params.items() if k != "projector"} for arm in four]
    assert shared[0] == shared[1] == shared[2]
    assert {tuple(arm.tune["learning_rate"]) for arm in four} == {(1e-3, 3e-3, 1e-2)}


def test_losses_are_in_nats_a_word_and_the_end_is_one(rows):
    model = PretrainedSceneCaptioner(**TINY).fit(rows, None)
    metrics, per_row, _ = model.caption_scores(rows, written=False)
    likelihoods = model.score_rows(rows).log_likelihoods
    words = np.array([len(caption.split()) + 1 for caption in model.captions(rows)])
    assert np.allclose(per_row * words, likelihoods)
    assert metrics["cross_entropy"] == pytest.approx(-likelihoods.sum() / words.sum())
    assert metrics["perplexity"] == pytest.approx(np.exp(metrics["cross_entropy"]))


def test_arms_of_the_language_model_differ_in_the_projector_alone():
    study = get_study("hybrid_vlm")
    arms = [arm for arm in study.arms if arm.name.startswith("lm-")]
    shared = [
        {k: v for k, v in arm.params.items() if k not in ("projector", "n_qubits")} for arm in arms
    ]
    assert all(params == shared[0] for params in shared)
    kinds = ["zero", "full", "linear", "published"]
    assert [arm.params["projector"] for arm in arms] == kinds
    assert not any(arm.tune for arm in arms)


def test_other_settings_do_not_run_arms_of_the_language_model():
    study = get_study("hybrid_vlm")
    for setting in ("captions", "width", "diagnostic"):
        protocol = study.protocol("default", setting)
        run = [arm.name for arm in study.arms if protocol.runs(arm.name)]
        assert not any(name.startswith("lm-") for name in run)


@pytest.mark.parametrize("profile", ["default", "paper"])
def test_rows_of_the_language_model_hold_its_own_tokens(profile):
    study = get_study("hybrid_vlm")
    protocol = study.protocol(profile, "language-model")
    arm = study.arm("lm-published")
    params = {**arm.params, **protocol.overrides}
    rows = image_rows(protocol.encoder)  # known without a network
    assert rows.tokens == params["language_model"]
    assert int(rows.identity["width"]) == params["n_image_features"] + rows.length


@pytest.fixture
def model_folder(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM

    words = ["<pad>", "<end>", *(f"w{i}" for i in range(30))]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, "<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    folder = tmp_path / "model"
    sizes = {"vocab_size": len(words), "eos_token_id": 1, "bos_token_id": None}
    with torch.random.fork_rng():
        LlamaForCausalLM(LlamaConfig(**{**tiny_config(), **sizes})).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_what_is_written_down_of_a_language_model_s_folder_is_its_name(model_folder):
    encoder = f"images-pixels-8:{model_folder}x6"
    identity = encoder_identity(encoder)
    assert identity == {"name": "images-pixels-8:modelx6", **image_rows(encoder).identity}
    assert not any(str(model_folder.parent) in value for value in identity.values())


def test_a_folder_of_images_is_captioned_by_a_folder_s_language_model(
    tmp_path, monkeypatch, model_folder
):
    """Captions that are of no scenes have no attributes; everything else is scored."""
    monkeypatch.setenv("QLMBENCH_CACHE", str(tmp_path / "cache"))
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(30):
        Image.new("RGB", (8, 8), (8 * i, 0, 0)).save(pictures / f"{i}.png")
    lines = ["image,caption", *(f"{i}.png,w{i} w1 w2" for i in range(30))]
    (pictures / "captions.csv").write_text("\n".join(lines))
    texts = [text for part in load_dataset(str(pictures)).parts.values() for text in part.texts]
    rows = image_rows(f"images-pixels-8:{model_folder}x6").encode(texts).astype(float)
    options = {**TINY, "language_model": str(model_folder), "prompt": "w5"}
    model = PretrainedSceneCaptioner(**options).fit(rows, None)
    metrics, per_row, captions = model.caption_scores(rows, written=True)
    assert {"bleu", "image_gain", "retrieval", "exact_match"} <= set(metrics)
    assert not any(name.endswith("_accuracy") for name in set(metrics) - {"token_accuracy"})
    assert per_row.shape == (30,)
    assert len(captions) == 30
