"""Supervised contrastive tuning of a loaded sentence encoder, on the CPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from numpy.random import default_rng
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from qlmbench.data.batches import balanced_batches
from qlmbench.data.cache import Progress
from qlmbench.data.transformer import TransformerEncoder, equal_length_batches, used_threads
from qlmbench.errors import UserError
from qlmbench.spec import EncoderTuning

TOKENS_A_GRAPH = 1024
"""Tokens, padding included, whose activations are held at once: about 2 GB for all of MPNet."""

TOKENS_A_PIECE = 256
"""Tokens, padding included, that go through together: few, so that little of it is padding."""

SUPPORTED = ("bert", "mpnet")


def tune(
    encoder: TransformerEncoder,
    tuning: EncoderTuning,
    sentences: Sequence[str],
    labels: Sequence[int],
    seed: int,
    *,
    progress: Progress | None = None,
    threads: int = 1,
) -> None:
    """Change the weights of an encoder so that sentences of one class come to lie together.

    Dropout is on in what is trained, as the model's own configuration has it. Layers that are not
    trained run once, without dropout. The global random state is left as it was.

    Parameters
    ----------
    encoder : TransformerEncoder
        Changed in place, and back in evaluation mode afterwards.
    tuning : EncoderTuning
        Steps, batches, temperature, learning rate, layers.
    sentences : sequence of str, length n
    labels : sequence of int, length n
    seed : int
        Decides the batches and the dropout.
    progress : callable, optional
        Told the steps that are done.
    threads : int
        Number of threads that torch may use; put back to what it was afterwards.

    Raises
    ------
    UserError
        If the model is of an unsupported kind or has fewer layers than are to be trained, the
        batches are larger than the number of sentences, or the loss is no longer finite.
    """
    batches = balanced_batches(labels, tuning.batch_size, tuning.steps, default_rng(seed))
    with used_threads(threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trained = _Trained(encoder, sentences, tuning.trained_layers)
        optimiser = torch.optim.Adam(trained.parameters, lr=tuning.learning_rate, fused=True)
        with trained.training():
            for step, rows in enumerate(batches, start=1):
                embeddings, rows = trained.embed(rows)
                of = torch.tensor([labels[row] for row in rows])
                loss = supervised_contrastive(embeddings, of, tuning.temperature)
                _check_finite(loss, step, tuning)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                if progress:
                    progress("tuning the encoder", step, tuning.steps)
    for parameter in trained.parameters:
        _check_finite(parameter, tuning.steps, tuning)


def _check_finite(values: Tensor, step: int, tuning: EncoderTuning) -> None:
    if not values.detach().isfinite().all():
        raise UserError(
            f"the tuning diverged at step {step} of {tuning.steps}: not a finite number",
            do=f"lower the learning rate ({tuning.learning_rate:g}) or raise the temperature "
            f"({tuning.temperature:g})",
        )


def supervised_contrastive(embeddings: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Return the supervised contrastive loss, averaged over the anchors that have a positive.

    Parameters
    ----------
    embeddings : Tensor, shape (n, width)
        Of any length; normalised here.
    labels : Tensor of int, shape (n,)
    temperature : float
        Divides the cosine similarities.

    Returns
    -------
    Tensor, shape ()
        In nats.

    Raises
    ------
    ValueError
        If no two rows share a label.

    Notes
    -----
    Equation 2 ("out") of Khosla et al. 2020, arXiv 2004.11362: for an anchor, the mean over the
    other rows of its class of the log of the softmax over all other rows. The paper sums over
    anchors; the mean differs by a factor, to which Adam is blind.
    """
    itself = torch.eye(len(labels), dtype=torch.bool)
    positive = (labels[:, None] == labels[None, :]) & ~itself
    number = positive.sum(dim=1)
    if not number.any():
        raise ValueError(f"no two of {len(labels)} rows share a label; the loss has no pair")
    rows = torch.nn.functional.normalize(embeddings, dim=1)
    similarity = (rows @ rows.T / temperature).masked_fill(itself, -torch.inf)
    log_share = similarity.log_softmax(dim=1).masked_fill(~positive, 0.0)
    anchors = number > 0
    return -(log_share.sum(dim=1)[anchors] / number[anchors]).mean()


class _Trained:
    """The part of an encoder that is trained, and what each sentence feeds into it.

    That is its tokens where the whole encoder is trained, else the hidden states that the layers
    below give: these never change, so they are computed once, and a step costs the upper layers
    only.
    """

    def __init__(
        self, encoder: TransformerEncoder, sentences: Sequence[str], trained_layers: int | None
    ) -> None:
        self._encoder = encoder
        self._model = model = encoder.model
        if model.config.model_type not in SUPPORTED:
            raise UserError(
                f"an encoder of type {model.config.model_type!r} cannot be tuned",
                expected=" or ".join(SUPPORTED),
            )
        layers = model.encoder.layer
        self._whole = trained_layers is None
        below = 0 if trained_layers is None else len(layers) - trained_layers
        if below < 0:
            raise UserError(
                f"trained_layers {trained_layers}, but the encoder has {len(layers)} layers",
                expected=f"at most {len(layers)}",
            )
        self._upper = layers[below:]
        tokens = encoder.tokenise(sentences)
        self._inputs: list[Tensor] = (
            [torch.tensor(row) for row in tokens]
            if self._whole
            else _hidden_states(encoder, layers[:below], tokens)
        )
        self._part = model if self._whole else self._upper
        self.parameters: list[Tensor] = list(self._part.parameters())

    @contextmanager
    def training(self) -> Iterator[None]:
        """Turn gradients and dropout on where weights are trained, off everywhere else."""
        self._model.requires_grad_(False)
        self._part.requires_grad_(True)
        self._part.train()
        own = self._model.embeddings
        given = own if self._whole else _Given()
        try:
            with _swapped(self._model, given, self._upper):
                yield
        finally:
            self._model.eval()
            for parameter in self._model.parameters():
                parameter.grad = None

    def embed(self, rows: Sequence[int]) -> tuple[Tensor, list[int]]:
        """Return the embeddings of sentences, shape (n, width), and the rows in their order.

        A batch with more than `TOKENS_A_GRAPH` tokens is computed a second time, piece by piece
        and with the same dropout, when its gradient is: memory then holds one piece at a time.
        """
        lengths = [len(inputs) for inputs in self._inputs]
        pieces = _pieces(rows, lengths)
        if sum(len(piece) * lengths[piece[-1]] for piece in pieces) <= TOKENS_A_GRAPH:
            parts = [self._embed(piece) for piece in pieces]
        else:
            parts = [checkpoint(self._embed, piece, use_reentrant=False) for piece in pieces]
        return torch.cat(parts), [row for piece in pieces for row in piece]

    def _embed(self, rows: Sequence[int]) -> Tensor:
        inputs = [self._inputs[row] for row in rows]
        real = pad_sequence([torch.ones(len(i), dtype=torch.long) for i in inputs], True)
        padded = pad_sequence(inputs, True, self._encoder.padding if self._whole else 0.0)
        kind = "input_ids" if self._whole else "inputs_embeds"
        hidden = self._model(**{kind: padded}, attention_mask=real).last_hidden_state
        return self._encoder.pool(hidden, real)


def _pieces(rows: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Cut rows, shortest first, where the next one would make a piece too large."""
    pieces: list[list[int]] = [[]]
    for row in sorted(rows, key=lambda row: (lengths[row], row)):
        if pieces[-1] and (len(pieces[-1]) + 1) * lengths[row] > TOKENS_A_PIECE:
            pieces.append([])
        pieces[-1].append(row)
    return pieces


def _hidden_states(
    encoder: TransformerEncoder, layers: Any, tokens: Sequence[list[int]]
) -> list[Tensor]:
    """Run the lower layers on each sentence; no sentence is padded."""
    states: dict[int, Tensor] = {}
    model = encoder.model
    with torch.no_grad(), _swapped(model, model.embeddings, layers):
        for rows in equal_length_batches([len(row) for row in tokens]):
            ids = torch.tensor([tokens[row] for row in rows])
            hidden = model(input_ids=ids).last_hidden_state
            states.update(zip(rows, hidden, strict=True))
    return [states[row] for row in range(len(tokens))]


@contextmanager
def _swapped(model: Any, embeddings: Any, layers: Any) -> Iterator[None]:
    """Let a model run with other embeddings and some of its layers.

    Its own forward pass still builds the attention mask, and MPNet's shared position bias.
    """
    own = model.embeddings, model.encoder.layer
    model.embeddings, model.encoder.layer = embeddings, layers
    try:
        yield
    finally:
        model.embeddings, model.encoder.layer = own


class _Given(nn.Module):
    """Stands in for a model's embeddings where it is given hidden states instead of tokens."""

    def forward(self, *, inputs_embeds: Tensor, **_: object) -> Tensor:
        return inputs_embeds
