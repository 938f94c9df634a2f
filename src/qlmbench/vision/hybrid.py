"""A language model that is shown an image as one token in front of a prompt."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qlmbench.vision import IMAGE_ENCODER
from qlmbench.vision.retrieval import distractors, share_of_choice
from qlmbench.vision.tokenizers import Tokenizer

IGNORED = -100
"""Label of a place that counts in no loss."""


class CaptionLikelihoods(NamedTuple):
    """How likely captions are, and how much of them would be said word by word."""

    log_likelihoods: Tensor
    """Of captions and their ends, in nats, ``[B]``."""
    n_tokens: Tensor
    """Tokens that counted, ends among them, ``[B]``."""
    n_right: Tensor
    """How many of these are the likeliest given the right ones before, ``[B]``."""


class HybridVisionLanguageModel(nn.Module):
    """Projection of image features to one token, then a causal language model.

    The sequence is the image's token, the prompt, the caption and its end. Only caption and end
    count in the loss.

    Parameters
    ----------
    language_model : torch.nn.Module
        A causal language model of Hugging Face, also one with adapters, or a `SmallDecoder`:
        ``get_input_embeddings()`` and a call with ``inputs_embeds`` that returns ``logits``, of the
        last ``logits_to_keep`` places where that is asked.
    projection : torch.nn.Module
        From features ``[B, F]`` to tokens ``[B, d]``, such as `QuantumProjection`.
    tokenizer : Tokenizer
        Of the language model.
    image_encoder : str
        Name of the image encoder that features come from; see `qlmbench.data.images.encoders`.

    Raises
    ------
    ValueError
        If the projection says that its tokens are not as wide as the model's vectors.
    """

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(
        self,
        language_model: nn.Module,
        projection: nn.Module,
        tokenizer: Tokenizer,
        image_encoder: str = IMAGE_ENCODER,
    ) -> None:
        super().__init__()
        self.language_model, self.projection = language_model, projection
        self.tokenizer, self.image_encoder = tokenizer, image_encoder
        self.register_buffer("feature_mean", torch.zeros(1))
        self.register_buffer("feature_scale", torch.ones(1))
        width = getattr(projection, "hidden_size", self.hidden_size)
        if width != self.hidden_size:
            raise ValueError(
                f"got a projection to {width} values for a language model whose vectors have "
                f"{self.hidden_size}; expected equal ones: pass hidden_size={self.hidden_size}"
            )

    @property
    def hidden_size(self) -> int:
        """Width of the language model's vectors, as it says itself."""
        return hidden_size_of(self.language_model)

    def standardise(self, features: Tensor) -> None:
        """Take mean and spread of training features ``[n, F]``; rows get a length of about 1.

        Without it, features are used as they are.

        Raises
        ------
        ValueError
            If there are fewer than two rows.
        """
        if features.dim() != 2 or len(features) < 2:
            raise ValueError(
                f"got features of shape {list(features.shape)}; expected [rows, features] with at "
                "least two rows"
            )
        spread = features.std(0, correction=0)
        known = torch.where(spread > 0, spread, torch.ones_like(spread))
        self.feature_mean = features.mean(0).to(self.feature_mean)
        self.feature_scale = (known * features.shape[1] ** 0.5).to(self.feature_scale)

    # ---- training --------------------------------------------------------------------------

    def loss(self, features: Tensor, captions: Sequence[str], prompt: str = "") -> Tensor:
        """Mean cross-entropy of the captions' tokens given image, prompt and tokens before.

        Parameters
        ----------
        features : Tensor, ``[B, F]``
        captions : sequence of str, length B
        prompt : str
            The same for all; may be empty.

        Returns
        -------
        Tensor
            A number, in nats a token, with gradient; the exponential is the perplexity.
        """
        logits, labels = self._logits(features, captions, prompt)
        return _cross_entropies(logits, labels).sum() / (labels != IGNORED).sum()

    @torch.no_grad()
    def log_likelihoods(
        self, features: Tensor, captions: Sequence[str], prompt: str = ""
    ) -> tuple[Tensor, Tensor]:
        """Return the log-probability of each caption and its number of tokens, ``[B]`` each."""
        found = self.score(features, captions, prompt)
        return found.log_likelihoods, found.n_tokens

    @torch.no_grad()
    def score(
        self, features: Tensor, captions: Sequence[str], prompt: str = ""
    ) -> CaptionLikelihoods:
        """Score each token of captions given image, prompt and the right tokens before it."""
        with self._evaluating():
            logits, labels = self._logits(features, captions, prompt)
        counted = labels != IGNORED
        right = (logits.argmax(-1) == labels) & counted
        losses = _cross_entropies(logits, labels)
        return CaptionLikelihoods(-losses.sum(1), counted.sum(1), right.sum(1))

    def retrieval(
        self,
        features: Tensor,
        captions: Sequence[str],
        prompt: str = "",
        n_candidates: int = 10,
        random_state: int = 0,
    ) -> NDArray[np.float64]:
        """Say whether the right image makes a caption likelier than other images do, shape (B,).

        As `qlmbench.vision.captioner.Captioner.retrieval` says it.
        """
        _, kinds = np.unique(list(captions), return_inverse=True)
        others = distractors(kinds[:, None], n_candidates - 1, random_state)

        def likelihoods(rows: Tensor) -> NDArray[np.float64]:
            return self.log_likelihoods(rows, captions, prompt)[0].double().cpu().numpy()

        rivals = [likelihoods(features[column]) for column in others.T]
        return share_of_choice(likelihoods(features), np.stack(rivals, 1))

    def forward(self, features: Tensor, ids: Tensor) -> Tensor:
        """Return logits of what follows each place.

        Parameters
        ----------
        features : Tensor, ``[B, F]``
        ids : Tensor of int64, ``[B, T]``
            Prompt and caption; T may be 0.

        Returns
        -------
        Tensor, ``[B, 1 + T, V]``
        """
        logits: Tensor = self.language_model(inputs_embeds=self._vectors(features, ids)).logits
        return logits

    def _logits(
        self, features: Tensor, captions: Sequence[str], prompt: str
    ) -> tuple[Tensor, Tensor]:
        """Logits of captions and ends alone, ``[B, T, V]``, and the right ids, ``[B, T]``.

        The output layer is not asked what follows the places of the prompt, nor is the model shown
        the last id, which nothing follows.
        """
        if len(features) != len(captions):
            raise ValueError(f"got {len(features)} images and {len(captions)} captions")
        ids, labels = self.sequences(captions, prompt)
        labels = labels[:, len(self.tokenizer.encode(prompt)) :]
        logits: Tensor = self.language_model(
            inputs_embeds=self._vectors(features, ids[:, :-1]),
            logits_to_keep=labels.shape[1],
            use_cache=False,
        ).logits
        return logits.float(), labels

    def sequences(self, captions: Sequence[str], prompt: str = "") -> tuple[Tensor, Tensor]:
        """Return ids and labels of prompt, caption and end, ``[B, T]`` each.

        What fills up shorter rows has the id of the end and, as the prompt, the label -100.

        Raises
        ------
        ValueError
            If there are no captions, or one has no token.
        """
        start, end = self.tokenizer.encode(prompt), self.tokenizer.end
        rows = [self.tokenizer.encode(caption) for caption in captions]
        if not rows or not all(rows):
            raise ValueError(
                f"got {len(rows)} captions, {sum(not row for row in rows)} of them without a "
                "token; expected at least one, each with a word"
            )
        length = len(start) + max(map(len, rows)) + 1
        ids = torch.full((len(rows), length), end)
        labels = torch.full((len(rows), length), IGNORED)
        for i, row in enumerate(rows):
            known = torch.tensor([*start, *row, end])
            ids[i, : len(known)] = known
            labels[i, len(start) : len(known)] = known[len(start) :]
        return ids.to(self._device), labels.to(self._device)

    # ---- writing ---------------------------------------------------------------------------

    @torch.no_grad()
    def generate(self, features: Tensor, prompt: str = "", max_new_tokens: int = 32) -> list[str]:
        """Write a caption for each image, always the likeliest token, up to the end.

        Parameters
        ----------
        features : Tensor, ``[B, F]``
        prompt : str
            The same for all; may be empty.
        max_new_tokens : int
            After so many a caption stops without an end, and where the language model has no place
            left.

        Raises
        ------
        ValueError
            If no token is to be written, or the prompt leaves no place for one.
        """
        if max_new_tokens < 1:
            raise ValueError(f"got max_new_tokens={max_new_tokens}; expected at least 1")
        start = torch.tensor(self.tokenizer.encode(prompt), dtype=torch.long, device=self._device)
        with self._evaluating():
            vectors = self._vectors(features, start.expand(len(features), -1))
            steps = int(min(max_new_tokens, self._places_from(vectors.shape[1])))
            columns = list(self._write(vectors, steps))
        rows = torch.stack(columns, 1).tolist()
        return [self.tokenizer.decode(_until(row, self.tokenizer.end)) for row in rows]

    def _write(self, vectors: Tensor, steps: int) -> Iterator[Tensor]:
        """Yield the next ids, ``[B]`` each; a model with a cache reads each vector once."""
        done = torch.zeros(len(vectors), dtype=torch.bool, device=vectors.device)
        memory: Any = None
        for _ in range(steps):
            extra = {} if memory is None else {"past_key_values": memory}
            out = self.language_model(
                inputs_embeds=vectors, use_cache=True, logits_to_keep=1, **extra
            )
            best: Tensor = out.logits[:, -1].argmax(-1)
            yield best
            done |= best == self.tokenizer.end
            if done.all():
                return
            new = self._embed(best[:, None])
            memory = getattr(out, "past_key_values", None)
            vectors = torch.cat([vectors, new], 1) if memory is None else new

    # ---- inside ----------------------------------------------------------------------------

    def _vectors(self, features: Tensor, ids: Tensor) -> Tensor:
        scaled = (features.to(self.feature_mean) - self.feature_mean) / self.feature_scale
        words = self._embed(ids)
        # A projection may compute in another type than the language model.
        token = self.projection(scaled).to(words)
        return torch.cat([token[:, None], words], 1)

    def _embed(self, ids: Tensor) -> Tensor:
        embedding: Callable[[Tensor], Tensor] = self.language_model.get_input_embeddings()  # type: ignore[operator]
        return embedding(ids)

    def _places_from(self, known: int) -> float:
        """Tokens that can follow so many vectors; the last one needs no place of its own.

        Infinitely many for a language model that names no largest number of places.
        """
        configured = getattr(self.language_model, "config", None)
        places: Any = getattr(configured, "max_position_embeddings", None)
        if places is None:
            places = getattr(self.language_model, "n_places", math.inf)
        if known > places:
            raise ValueError(
                f"got an image and a prompt of {known - 1} tokens for a language model of {places} "
                "places; expected a shorter prompt"
            )
        return float(places) - known + 1

    @property
    def _device(self) -> torch.device:
        return next(self.language_model.parameters()).device

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Switch dropout off for a while."""
        were = [(module, module.training) for module in self.modules()]
        self.eval()
        try:
            yield
        finally:
            for module, training in were:
                module.training = training


def _cross_entropies(logits: Tensor, labels: Tensor) -> Tensor:
    """In nats, ``[B, T]``; 0 where nothing counts."""
    losses = nn.functional.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return losses.view_as(labels)


def hidden_size_of(language_model: nn.Module) -> int:
    """Return the width of a language model's vectors, whatever its configuration calls it."""
    embedding = language_model.get_input_embeddings()  # type: ignore[operator]
    device = next(language_model.parameters()).device
    with torch.no_grad():
        return int(embedding(torch.zeros(1, 1, dtype=torch.long, device=device)).shape[-1])


def _until(ids: Sequence[int], end: int) -> list[int]:
    return list(ids[: ids.index(end)]) if end in ids else list(ids)
