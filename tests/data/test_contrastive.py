import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.data.tiny_models import LABELS, SENTENCES, write_model

from qlmbench.data import contrastive
from qlmbench.data.contrastive import supervised_contrastive, tune
from qlmbench.data.encoders import encode, take_encoder
from qlmbench.data.transformer import TransformerEncoder
from qlmbench.spec import EncoderTuning

QUICK = EncoderTuning(steps=3, learning_rate=1e-3)


@pytest.fixture(scope="module", params=["bert", "mpnet"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_model(tmp_path_factory.mktemp("models") / request.param, request.param))


def test_the_loss_of_perfect_clusters_is_known() -> None:
    # Two rows a class on two orthogonal axes: softmax over one cosine of 1 and two of 0.
    rows = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    loss = supervised_contrastive(3 * rows, torch.tensor([0, 0, 1, 1]), temperature=0.5)
    assert float(loss) == pytest.approx(math.log(1 + 2 * math.exp(-2)), abs=1e-6)


def test_the_loss_of_equal_rows_is_that_of_chance() -> None:
    loss = supervised_contrastive(torch.ones(6, 3), torch.tensor([0, 0, 0, 1, 1, 1]), 0.07)
    assert float(loss) == pytest.approx(math.log(5), abs=1e-6)


def slow_loss(rows: NDArray[np.float64], labels: list[int], temperature: float) -> float:
    """Equation 2 of the paper, term by term."""
    z = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    per_anchor = []
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        positives = [p for p in others if labels[p] == labels[i]]
        if not positives:
            continue
        total = math.log(sum(math.exp(z[i] @ z[a] / temperature) for a in others))
        per_anchor.append(-np.mean([z[i] @ z[p] / temperature - total for p in positives]))
    return float(np.mean(per_anchor))


def drawn(seed: int) -> tuple[NDArray[np.float64], list[int]]:
    rng = np.random.default_rng(seed)
    number = int(rng.integers(4, 9))
    labels = [0, 0, *(int(label) for label in rng.integers(0, 4, number - 2))]
    return rng.normal(size=(number, 5)), labels


@given(st.integers(0, 10_000), st.sampled_from([0.07, 0.5, 2.0]))
@settings(deadline=None, max_examples=25)
def test_the_loss_equals_a_slow_double_loop_and_anchors_alone_are_left_out(
    seed: int, temperature: float
) -> None:
    rows, labels = drawn(seed)
    ours = supervised_contrastive(torch.tensor(rows), torch.tensor(labels), temperature)
    assert float(ours) == pytest.approx(slow_loss(rows, labels, temperature), rel=1e-9)


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=20)
def test_the_loss_knows_no_order_and_no_length(seed: int, random: Any) -> None:
    rows, labels = drawn(seed)
    order = list(range(len(labels)))
    random.shuffle(order)
    lengths = np.random.default_rng(seed).uniform(0.5, 2, (len(labels), 1))
    first = supervised_contrastive(torch.tensor(rows), torch.tensor(labels), 0.1)
    second = supervised_contrastive(
        torch.tensor((rows * lengths)[order]), torch.tensor([labels[i] for i in order]), 0.1
    )
    assert float(first) == pytest.approx(float(second), rel=1e-9)


def test_the_gradient_of_the_loss_is_finite_and_right() -> None:
    rows, labels = drawn(3)
    point = torch.tensor(rows, requires_grad=True)
    of = torch.tensor(labels)
    assert torch.autograd.gradcheck(lambda x: supervised_contrastive(x, of, 0.3), (point,))


@pytest.mark.slow
def test_the_loss_equals_that_of_setfit() -> None:
    from setfit.losses import SupConLoss

    rows, labels = torch.tensor(drawn(5)[0], dtype=torch.float32), torch.tensor([0, 1] * 2)
    theirs = SupConLoss(lambda features: {"sentence_embedding": features})
    expected = theirs([rows[:4]], labels)
    ours = supervised_contrastive(rows[:4], labels, 0.07)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)


def test_a_loss_without_a_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="no two of 2 rows share a label"):
        supervised_contrastive(torch.eye(2), torch.tensor([0, 1]), 0.07)


def test_only_the_trained_layers_change(model: str) -> None:
    encoder = take_encoder(model)
    before = {name: p.clone() for name, p in encoder.model.named_parameters()}
    tune(encoder, QUICK.model_copy(update={"trained_layers": 2}), SENTENCES, LABELS, 0)
    changed = {n for n, p in encoder.model.named_parameters() if not torch.equal(p, before[n])}
    assert {".".join(name.split(".")[:3]) for name in changed} == {
        "encoder.layer.1",
        "encoder.layer.2",
    }
    assert not encoder.model.training
    assert all(p.grad is None for p in encoder.model.parameters())


def test_with_all_layers_trained_the_first_step_is_that_of_the_whole_encoder(
    tmp_path: Path,
) -> None:
    # Without dropout, training on given hidden states and training on tokens are one thing.
    folder = str(write_model(tmp_path / "mpnet", "mpnet", dropout=0.0))
    whole, layers = take_encoder(folder), take_encoder(folder)
    one = EncoderTuning(steps=1, learning_rate=1e-3)
    tune(whole, one, SENTENCES, LABELS, 0)
    tune(layers, one.model_copy(update={"trained_layers": 3}), SENTENCES, LABELS, 0)
    for ours, theirs in zip(
        whole.model.encoder.layer.parameters(),
        layers.model.encoder.layer.parameters(),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5)


def embeddings_of(
    encoder: TransformerEncoder, rows: list[int], trained_layers: int | None
) -> dict[int, torch.Tensor]:
    trained = contrastive._Trained(encoder, SENTENCES, trained_layers)
    with trained.training(), torch.no_grad():
        encoder.model.eval()
        vectors, order = trained.embed(rows)
    return dict(zip(order, vectors, strict=True))


@pytest.mark.parametrize("trained_layers", [None, 1])
def test_a_padded_batch_gives_what_single_sentences_give(
    model: str, trained_layers: int | None
) -> None:
    encoder = take_encoder(model)
    together = embeddings_of(encoder, list(range(8)), trained_layers)
    for row in range(8):
        alone = embeddings_of(encoder, [row], trained_layers)[row]
        torch.testing.assert_close(together[row], alone, rtol=0, atol=2e-6)
    unit = torch.nn.functional.normalize(torch.stack([together[row] for row in range(8)]), dim=1)
    np.testing.assert_allclose(unit.numpy(), encode(model, SENTENCES), rtol=0, atol=2e-6)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=80))
@settings(deadline=None, max_examples=40)
def test_pieces_hold_every_row_once_and_are_bounded(lengths: list[int]) -> None:
    pieces = contrastive._pieces(range(len(lengths)), lengths)
    assert sorted(row for piece in pieces for row in piece) == list(range(len(lengths)))
    for piece in pieces:
        longest = max(lengths[row] for row in piece)
        assert len(piece) * longest <= contrastive.TOKENS_A_PIECE or len(piece) == 1
