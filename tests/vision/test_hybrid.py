"""An image as one token in front of a prompt, for any causal language model."""

import json

import numpy as np
import pytest
import torch
import transformers as hf
from PIL import Image
from torch import nn

from qlmbench.data.images.vocabulary import CaptionVocabulary
from qlmbench.errors import UserError
from qlmbench.vision import loading
from qlmbench.vision.decoder import SmallDecoder
from qlmbench.vision.hybrid import IGNORED, HybridVisionLanguageModel, hidden_size_of
from qlmbench.vision.loading import LoRA, add_lora, generate_caption, load_models
from qlmbench.vision.projection import QuantumProjection
from qlmbench.vision.projectors import ClassicalProjection
from qlmbench.vision.tokenizers import WordTokenizer

VOCABULARY = CaptionVocabulary(("describe", "a", "red", "blue", "small", "large", "circle"))
TOKENS = WordTokenizer(VOCABULARY)
CAPTIONS = ["a red circle", "a small blue circle", "large"]
PROMPT = "Describe "


def llama(**options):
    sizes = {
        "vocab_size": len(VOCABULARY),
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "intermediate_size": 32,
        "max_position_embeddings": 64,
        "initializer_range": 0.3,
        "eos_token_id": 1,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return hf.LlamaForCausalLM(hf.LlamaConfig(**{**sizes, **options})).eval()


def small():
    return SmallDecoder(len(VOCABULARY), 24, width=24, n_heads=2)


def hybrid(language_model, dtype=torch.float32):
    projection = QuantumProjection(6, hidden_size_of(language_model), n_qubits=2)
    return HybridVisionLanguageModel(language_model.to(dtype), projection, TOKENS)


def features(n=3, seed=0):
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=["llama", "small"])
def model(request):
    return hybrid({"llama": llama, "small": small}[request.param]())


def test_the_hidden_size_is_the_model_s_own(model):
    assert hidden_size_of(llama(hidden_size=48, num_attention_heads=4)) == 48
    assert model.hidden_size == 24
    with pytest.raises(ValueError, match="pass hidden_size=24"):
        HybridVisionLanguageModel(model.language_model, QuantumProjection(6, 4096), TOKENS)


@pytest.mark.parametrize("prompt", ["", PROMPT])
def test_image_and_prompt_count_in_no_loss_and_the_end_does(model, prompt):
    ids, labels = model.sequences(CAPTIONS, prompt)
    start = len(TOKENS.encode(prompt))
    assert (labels[:, :start] == IGNORED).all()
    for row, caption in zip(labels, CAPTIONS, strict=True):
        counted = row[row != IGNORED].tolist()
        assert counted == [*TOKENS.encode(caption), TOKENS.end]
    kept = labels != IGNORED
    assert torch.equal(ids[kept], labels[kept])


@pytest.mark.parametrize("prompt", ["", PROMPT])
def test_the_loss_is_that_of_transformers(prompt):
    model = hybrid(llama())
    ids, labels = model.sequences(CAPTIONS, prompt)
    vectors = torch.cat(
        [model.projection(features())[:, None], model.language_model.get_input_embeddings()(ids)], 1
    )
    with_image = torch.cat([torch.full((3, 1), IGNORED), labels], 1)
    theirs = model.language_model(inputs_embeds=vectors, labels=with_image).loss
    torch.testing.assert_close(model.loss(features(), CAPTIONS, prompt), theirs)


def test_captions_do_not_depend_on_their_neighbours(model):
    together, n = model.log_likelihoods(features(), CAPTIONS, PROMPT)
    assert n.tolist() == [4, 5, 2]
    for i, caption in enumerate(CAPTIONS):
        alone, _ = model.log_likelihoods(features()[i : i + 1], [caption], PROMPT)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-4)
    mean = -together.sum() / n.sum()
    torch.testing.assert_close(model.eval().loss(features(), CAPTIONS, PROMPT).detach(), mean)


class Numbers:
    """Ids as they are."""

    end = 1

    def encode(self, text):
        return [int(word) for word in text.split()]

    def decode(self, ids):
        return " ".join(map(str, ids))


@pytest.mark.parametrize("prompt", ["", "3 5"])
def test_writing_chooses_the_likeliest_token_each_time(model, prompt):
    """With a cache or without: as the logits of the whole sequence say."""
    model.eval()
    model.tokenizer = Numbers()
    written = model.generate(features(), prompt, max_new_tokens=5)
    start = model.tokenizer.encode(prompt)
    for i, text in enumerate(written):
        chosen = model.tokenizer.encode(text)
        row = torch.tensor([[*start, *chosen]], dtype=torch.long)
        best = model(features()[i : i + 1], row)[0].argmax(-1)[len(start) :].tolist()
        assert best[: len(chosen)] == chosen
        assert len(chosen) == 5 or best[len(chosen)] == 1


def test_writing_stops_where_the_language_model_has_no_place_left(model):
    model.language_model = small()  # 24 places, one of them the image's
    model.tokenizer = Numbers()
    model.tokenizer.end = -1
    assert len(model.generate(features(1), "3 5", max_new_tokens=99)[0].split()) == 22
    with pytest.raises(ValueError, match="shorter prompt"):
        model.generate(features(1), " ".join(["3"] * 24), max_new_tokens=1)


def test_an_image_alone_is_enough_to_begin(model):
    assert model(features(), torch.zeros(3, 0, dtype=torch.long)).shape == (3, 1, len(VOCABULARY))


def test_it_learns_captions_of_images_and_dropout_comes_back(model):
    model.train()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        optimiser.zero_grad()
        model.loss(features(), CAPTIONS, PROMPT).backward()
        optimiser.step()
    assert model.generate(features(), PROMPT, max_new_tokens=8) == CAPTIONS
    assert all(module.training for module in model.modules())
    right, _ = model.log_likelihoods(features(), CAPTIONS, PROMPT)
    wrong, _ = model.log_likelihoods(features().roll(1, 0), CAPTIONS, PROMPT)
    assert (right > wrong).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_language_model_in_any_type_takes_the_token(dtype):
    model = hybrid(llama(), dtype)
    loss = model.loss(features(), CAPTIONS)
    loss.backward()
    assert loss.isfinite()
    assert model.projection.reduce.weight.grad.isfinite().all()
    assert len(model.generate(features().double(), "", 3)) == 3


def test_standardised_features_have_rows_of_length_one():
    model = hybrid(llama())
    known = 5 + 3 * features(200)
    known[:, 0] = 1.0
    model.standardise(known)
    scaled = (known - model.feature_mean) / model.feature_scale
    assert scaled.square().sum(1).mean() == pytest.approx(5 / 6, abs=1e-4)
    assert "feature_mean" in model.state_dict()
    with pytest.raises(ValueError, match="at least two rows"):
        model.standardise(known[:1])


def test_wrong_captions_and_lengths_are_refused(model):
    with pytest.raises(ValueError, match="without a token"):
        model.loss(features(), ["a", " ", "red"])
    with pytest.raises(ValueError, match="3 images and 2 captions"):
        model.loss(features(), CAPTIONS[:2])
    with pytest.raises(ValueError, match="at least 1"):
        model.generate(features(), max_new_tokens=0)


# ---- adapters, and loading by name -------------------------------------------------------------


def test_with_adapters_only_they_and_the_projection_train_and_nothing_changes_at_first():
    plain = llama()
    before = hybrid(plain).eval().loss(features(), CAPTIONS)
    state = torch.get_rng_state()
    adapted = hybrid(add_lora(llama(), LoRA(r=2), seed=0)).eval()
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(adapted.loss(features(), CAPTIONS), before)
    trained = [name for name, p in adapted.named_parameters() if p.requires_grad]
    assert all("lora" in name or name.startswith("projection.") for name in trained)
    n_lora = sum(p.numel() for n, p in adapted.named_parameters() if "lora" in n)
    assert n_lora == 2 * 2 * ((24 + 24) + (24 + 12))
    adapted.loss(features(), CAPTIONS).backward()
    assert adapted.projection.circuit.weights.grad is not None
    assert len(adapted.generate(features(), "", 3)) == 3


def write_folder(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: i for i, word in enumerate(("<pad>", "<end>", "<unk>", *VOCABULARY.words))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    llama().save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_a_folder_with_a_language_model_is_loaded(tmp_path, capfd):
    folder = write_folder(tmp_path)
    capfd.readouterr()
    model = load_models(str(folder), lora=LoRA(r=2), n_qubits=3)
    assert capfd.readouterr() == ("", ""), "a log has lines of progress, and no bars"
    assert model.hidden_size == 24
    assert model.projection.in_features == 1280
    loss = model.eval().loss(torch.zeros(1, 1280), ["a red circle"], "describe")
    assert loss.isfinite()
    assert model.tokenizer.encode("a red circle") == TOKENS.encode("a red circle")
    assert model.tokenizer.decode([*TOKENS.encode("a red"), TOKENS.end]) == "a red"


def test_an_incomplete_folder_is_one_line(tmp_path):
    folder = write_folder(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    del config["eos_token_id"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="eos_token_id"):
        load_models(str(folder))
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"tokenizer\.json: no such file"):
        load_models(str(folder))


@pytest.mark.parametrize("kind", ["published", "noncommuting", "frozen", "linear", "full", "zero"])
def test_every_projection_is_there_for_the_small_decoder(kind):
    model = load_models(projector=kind)
    expected = ClassicalProjection if kind in ("linear", "full", "zero") else QuantumProjection
    assert isinstance(model.projection, expected)
    assert isinstance(model.language_model, nn.Module)
    trained = any(p.requires_grad for p in model.projection.parameters())
    assert trained == (kind not in ("frozen", "zero"))
    assert model.loss(torch.zeros(1, 1280), ["one small red circle top left"]).isfinite()


@pytest.mark.parametrize("prompt", ["Describe the image: ", ""])
def test_a_file_gets_a_caption(tmp_path, monkeypatch, prompt):
    Image.fromarray(np.zeros((9, 9, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    monkeypatch.setattr(
        loading, "image_features", lambda name, images: np.ones((len(images), 1280), np.float32)
    )
    caption = generate_caption(load_models(), tmp_path / "a.png", prompt, max_new_tokens=4)
    assert isinstance(caption, str)
    with pytest.raises(UserError, match="no such file"):
        generate_caption(load_models(), tmp_path / "b.png")


def test_unknown_names_and_adapters_of_the_small_decoder_are_refused():
    with pytest.raises(UserError, match="unknown image encoder"):
        load_models(image_encoder="resnet")
    with pytest.raises(ValueError, match="lora=None"):
        load_models(lora=LoRA())
    with pytest.raises(UserError, match="unknown pretrained model"):
        load_models("gpt5")


@pytest.mark.slow
@pytest.mark.network
def test_the_pretrained_model_of_the_registry_reads_a_caption():
    model = load_models("SmolLM2-135M-Instruct", lora=LoRA()).eval()
    assert model.hidden_size == 576
    trained = sum(p.numel() for p in model.language_model.parameters() if p.requires_grad)
    assert trained == 30 * 8 * ((576 + 576) + (576 + 192))
    blank = torch.zeros(1, 1280)
    sense, _ = model.log_likelihoods(blank, ["a cat sits on a mat"], "Describe the image: ")
    nonsense, _ = model.log_likelihoods(blank, ["mat sits a on a cat"], "Describe the image: ")
    assert sense > nonsense
