"""DistilBERT from other models' weights is the same model; its head is that of transformers."""

from typing import Any

import pytest
import torch
import transformers as hf

from qlmbench.models.distilbert import (
    distilbert_config,
    distilbert_weights,
    head_logits,
    layer_attention,
    make_classifier,
    sentence_features,
    tiny_config,
)

IDS = torch.tensor([[2, 5, 7, 9, 3], [2, 4, 3, 0, 0], [2, 8, 8, 3, 0]])
MASK = (IDS != 0).long()


def bert(**options: Any) -> Any:
    config = hf.BertConfig(
        vocab_size=20,
        hidden_size=24,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=8,
        initializer_range=0.3,
        **options,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return hf.BertModel(config).eval()


@torch.no_grad()
def test_a_converted_bert_has_the_same_hidden_states() -> None:
    model = bert()
    # A sum of two embeddings is rounded in single precision, and in double hardly.
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-13)):
        own = model.to(dtype)
        ours = make_classifier(model.config.to_dict(), own.state_dict(), 2).to(dtype)
        if dtype == torch.float64:
            ours.distilbert.load_state_dict(distilbert_weights(own.state_dict()))
        expected = own(IDS, attention_mask=MASK).last_hidden_state
        found = ours.distilbert(IDS, attention_mask=MASK).last_hidden_state
        assert torch.allclose(found[MASK == 1], expected[MASK == 1], rtol=0, atol=tolerance)


@pytest.mark.slow
@torch.no_grad()
def test_minilm_in_distilbert_form_has_the_hidden_states_of_minilm() -> None:
    from qlmbench.data.pretrained import pretrained_folder, read_pretrained
    from qlmbench.data.tokens import token_encoder

    name = "all-MiniLM-L6-v2"
    encoder = token_encoder(f"tokens-{name}x24")
    assert encoder is not None
    texts = ["a fine film .", "the plot is poor , but the cast shines throughout", "dull"]
    ids = torch.from_numpy(encoder.fit([]).encode(texts)).long()
    mask = (ids != 0).long()
    read = read_pretrained(name)
    ours = make_classifier(read.config, read.tensors, 2)
    own = hf.AutoModel.from_pretrained(pretrained_folder(name), dtype="float32").eval()
    expected = own(ids, attention_mask=mask, output_hidden_states=True).hidden_states
    found = ours.distilbert(ids, attention_mask=mask, output_hidden_states=True).hidden_states
    assert len(found) == len(expected) == 7
    for ours_, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours_[mask == 1], theirs[mask == 1], rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_whole_is_the_classifier_of_transformers() -> None:
    network = make_classifier(tiny_config(), None, 3)
    assert isinstance(network, hf.DistilBertForSequenceClassification)
    expected = network(input_ids=IDS, attention_mask=MASK).logits
    found = head_logits(network, sentence_features(network, IDS))
    assert torch.allclose(found, expected, rtol=0, atol=1e-6)
    assert network.config.seq_classif_dropout == 0.2


@torch.no_grad()
def test_a_mean_is_over_the_tokens_that_are_no_padding() -> None:
    network = make_classifier(tiny_config(), None, 2, pooling="mean")
    alone = sentence_features(network, IDS[1:2, :3])
    assert torch.allclose(sentence_features(network, IDS)[1:2], alone, rtol=0, atol=1e-6)
    hidden = network.distilbert(IDS[1:2, :3]).last_hidden_state
    assert torch.allclose(alone, hidden.mean(1), rtol=0, atol=1e-6)


def test_attention_is_that_of_transformers() -> None:
    network = make_classifier(tiny_config(), None, 2)
    eager = make_classifier(tiny_config(), None, 2)
    eager.set_attn_implementation("eager")
    with torch.no_grad():
        expected = eager.distilbert(IDS, attention_mask=MASK, output_attentions=True).attentions
    for layer in (0, 1):
        found = layer_attention(network, IDS, layer)
        assert found.shape == (3, 4, 5, 5)
        assert torch.allclose(found, expected[layer], rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="layer 2"):
        layer_attention(network, IDS, 2)


def test_files_of_distilbert_are_read_without_their_heads() -> None:
    network = make_classifier(tiny_config(), None, 2)
    model = hf.DistilBertForMaskedLM(network.config)
    ours = make_classifier(tiny_config(), model.state_dict(), 2)
    for own, theirs in zip(
        ours.distilbert.parameters(), model.distilbert.parameters(), strict=True
    ):
        assert torch.equal(own, theirs)


def test_weights_that_do_not_fit_are_named() -> None:
    weights = bert().state_dict()
    missing = {k: v for k, v in weights.items() if "layer.1.attention.self.query" not in k}
    with pytest.raises(ValueError, match=r"layer\.1\.attention\.q_lin"):
        make_classifier(bert().config.to_dict(), missing, 2)
    with pytest.raises(ValueError, match="do not fit"):
        make_classifier(tiny_config(), weights, 2)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "mpnet"}, "mpnet"),
        ({"model_type": "bert", "layer_norm_eps": 1e-5}, "layer_norm_eps"),
        ({"model_type": "bert", "position_embedding_type": "relative_key"}, "relative_key"),
    ],
)
def test_what_distilbert_cannot_do_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        distilbert_config(config)


def test_a_seed_decides_the_head_and_nothing_else_is_drawn() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    weights = bert().state_dict()
    config = bert().config.to_dict()
    one, same, other = (make_classifier(config, weights, 2, seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.classifier.weight, same.classifier.weight)
    assert not torch.equal(one.classifier.weight, other.classifier.weight)
    assert torch.equal(
        one.distilbert.embeddings.word_embeddings.weight,
        other.distilbert.embeddings.word_embeddings.weight,
    )
