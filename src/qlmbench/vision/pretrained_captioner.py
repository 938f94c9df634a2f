"""A pretrained language model that is shown an image as one token, as an estimator."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import check_array, check_is_fitted
from torch import Tensor, nn

from qlmbench.data.images.vocabulary import PADDING, CaptionVocabulary
from qlmbench.metrics import FloatArray, IntArray
from qlmbench.models.alone import SINGLE_LAST_STATE, OwnTraining
from qlmbench.models.llama import random_weights, tiny_config
from qlmbench.models.training import Problem
from qlmbench.quantum.qubits import QubitCircuit
from qlmbench.ranges import check_positive, check_share, check_whole
from qlmbench.records import Cost, Parameters
from qlmbench.vision import PROMPT
from qlmbench.vision.caption_counts import count_hybrid, training_cost
from qlmbench.vision.caption_rows import split_rows
from qlmbench.vision.hybrid import HybridVisionLanguageModel
from qlmbench.vision.hybrid_training import CaptionTraining, train_captions
from qlmbench.vision.loading import LoRA, add_lora, load_language_model, make_projection
from qlmbench.vision.projectors import CIRCUITS, ConstantToken, Projector, check_projector
from qlmbench.vision.retrieval import distractors, share_of_choice
from qlmbench.vision.tokenizers import Tokenizer, WordTokenizer

TINY = "tiny"
"""Name that stands for a Llama model of 2 layers with random weights, on the words of scenes."""

_TOGETHER = 16  # rows that are scored or written together, of about the same length


@dataclass(frozen=True)
class RowScores:
    """What a captioner says of rows, ``(n,)`` each.

    Parameters
    ----------
    log_likelihoods : ndarray of float64
        Of the captions and their ends, in nats.
    n_tokens, n_right : ndarray of int64
        Tokens that counted, ends among them; and those that are the likeliest, given the right ones
        before.
    """

    log_likelihoods: FloatArray
    n_tokens: IntArray
    n_right: IntArray


class PretrainedCaptioner(OwnTraining):
    """A pretrained language model with low-rank adapters, and a projection of images to a token.

    X has the shape (n, F + T): the features of an image, then the ids that the language model has
    for its caption, with the end and padded with 0 (see `CaptionTokens`). The sequence is the
    image's token, the prompt, the caption and its end; caption and end count in the loss. Adapters
    and projection are trained by AdamW, whose learning rate falls linearly to zero, and all else is
    frozen and shared by the models of a process. The state after the last step is kept.

    Parameters
    ----------
    n_image_features : int, default=1280
        F. Each is centred and scaled by its mean and spread in the training rows, so that a row has
        a length of about 1.
    language_model : str, default="SmolLM2-135M-Instruct"
        See `load_models`; or "tiny", a Llama model of 2 layers and 32 dimensions with random
        weights, whose ids are those of the words of scenes.
    projector : str, default="published"
        See `StackedProjector`; "zero" is a `ConstantToken`.
    n_qubits : int, default=4
        n, width of the projector's middle.
    n_layers : int, default=3
        Layers of its circuit.
    prompt : str
        Between image and caption; default that of the public example.
    r, alpha : int, default=8, 16
        Width of the adapters of queries and values in every layer; their result is scaled by
        alpha / r.
    dropout : float, default=0.1
        Of what an adapter reads, in training.
    gradient_clip : float or None, default=1.0
        Largest norm of the gradient.
    epochs : int, default=1
        Passes over the training rows.
    batch_size : int, default=16
        Rows a step, of captions of about the same length.
    learning_rate : float, default=3e-3
        Of the first step.
    precision, restore_best, init_scale, patience
        Fixed: "single", False, 1 and None; anything else is refused.
    **options
        ``weight_decay`` and ``random_state`` as in `StackedModel`.

    Attributes
    ----------
    n_features_in_ : int
        F + T.
    network_ : HybridVisionLanguageModel
        Trained.
    """

    fixed = SINGLE_LAST_STATE

    def __init__(
        self,
        *,
        n_image_features: int = 1280,
        language_model: str = "SmolLM2-135M-Instruct",
        projector: Projector = "published",
        n_qubits: int = 4,
        n_layers: int = 3,
        prompt: str = PROMPT,
        r: int = 8,
        alpha: int = 16,
        dropout: float = 0.1,
        gradient_clip: float | None = 1.0,
        epochs: int = 1,
        batch_size: int = 16,
        learning_rate: float = 3e-3,
        precision: str = "single",
        restore_best: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            precision=precision,
            restore_best=restore_best,
            **options,
        )
        self.n_image_features = n_image_features
        self.language_model = language_model
        self.projector = projector
        self.n_qubits = n_qubits
        self.n_layers = n_layers
        self.prompt = prompt
        self.r = r
        self.alpha = alpha
        self.dropout = dropout
        self.gradient_clip = gradient_clip

    # ---- scoring ---------------------------------------------------------------------------

    def fit(
        self, X: FloatArray, y: Any = None, X_val: FloatArray | None = None, y_val: Any = None
    ) -> Self:
        """Train on rows.

        Parameters
        ----------
        X : array-like of shape (n, F + T)
            Features and ids.
        y, X_val, y_val : ignored
            Captions are the targets, and the state after the last step is kept.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an argument is out of its range, or the ids of a row are no caption of the language
            model.
        """
        return super().fit(X, y, X_val, y_val)

    def captions(self, X: FloatArray) -> list[str]:
        """Return the right captions of rows.

        Raises
        ------
        ValueError
            If the ids of a row are not those that the language model has for a text and its end.
        """
        _, ids = self._split_rows(X)
        tokenizer = self._tokenizer()
        found = []
        for row in ids:
            known = row[row != PADDING].tolist()
            text = tokenizer.decode(known)
            if not text or known != [*tokenizer.encode(text), tokenizer.end]:
                raise ValueError(
                    f"got the ids {known}; expected a caption in the tokens of "
                    f"{self.language_model!r}, and its end"
                )
            found.append(text)
        return found

    def score_rows(self, X: FloatArray, images: IntArray | None = None) -> RowScores:
        """Score each token of the captions given an image and the right tokens before it.

        Parameters
        ----------
        X : array-like of shape (n, F + T)
        images : ndarray of int64, shape (n,), optional
            Row whose image is shown with each caption; default its own.
        """
        check_is_fitted(self)
        shown = None if self.projector == "zero" else images  # all images are the same to it
        X = np.asarray(X, dtype=np.float64)
        key = hashlib.sha256(X.tobytes() + (b"" if shown is None else shown.tobytes())).digest()
        if key not in self._seen:  # validation rows are asked for more than once
            self._seen[key] = self._score(X, shown)
        return self._seen[key]

    def generate(self, X: FloatArray) -> list[str]:
        """Write a caption for each image, always the likeliest token; the ids in X play no role.

        A caption of more than T tokens stops there.

        Parameters
        ----------
        X : array-like of shape (n, F + T)
        """
        check_is_fitted(self)
        features, ids = self._split_rows(X)
        if self.projector == "zero":
            return self._write(features[:1], ids.shape[1]) * len(ids)
        blocks = (features[i : i + _TOGETHER] for i in range(0, len(ids), _TOGETHER))
        return [text for block in blocks for text in self._write(block, ids.shape[1])]

    def retrieval(
        self,
        X: FloatArray,
        n_candidates: int = 10,
        random_state: int = 0,
        n_rows: int | None = None,
    ) -> FloatArray:
        """Say whether the right image makes a caption likelier than other images do.

        Parameters
        ----------
        X : array-like of shape (n, F + T)
        n_candidates, random_state : int
            As in `Captioner.retrieval`, whose candidates are the same.
        n_rows : int, optional
            Look at the captions of so many rows alone, the first ones; images are those of all.

        Returns
        -------
        ndarray of float64, shape (n_rows,)
            As `Captioner.retrieval` says it.
        """
        X = np.asarray(X, dtype=np.float64)
        _, kinds = np.unique(self.captions(X), return_inverse=True)
        others = distractors(kinds[:, None], n_candidates - 1, random_state)[:n_rows]
        if self.projector == "zero":
            return np.full(len(others), 1 / n_candidates)
        sought, own = len(others), self.score_rows(X).log_likelihoods
        rivals = []
        for column in others.T:
            rows = X[:sought].copy()
            rows[:, : self.n_image_features] = X[column, : self.n_image_features]
            rivals.append(self.score_rows(rows).log_likelihoods)
        return share_of_choice(own[:sought], np.stack(rivals, 1))

    # ---- what the tables say of it ---------------------------------------------------------

    def count_parameters(self) -> Parameters:
        """Count what is trained of projection and adapters; see `count_hybrid`."""
        check_is_fitted(self)
        return count_hybrid(self.network_, self.projector, self.n_qubits, self.n_layers)

    def hardware_cost(self, n_train: int) -> Cost | None:
        """Circuit evaluations that this training would take on a processor; None without circuits.

        See `training_cost`.
        """
        if self.projector not in CIRCUITS:
            return None
        circuit = self.network_.projection.circuit
        assert isinstance(circuit, QubitCircuit)
        return training_cost(self.projector, circuit, self.n_iter_ * n_train, None)

    # ---- training --------------------------------------------------------------------------

    @property
    def n_outputs(self) -> int:
        """Number of tokens that can be predicted."""
        network: Any = _base(self.language_model)[0]
        return int(network.config.vocab_size)

    def _check_options(self) -> None:
        super()._check_options()
        check_projector(self.projector, False, self.n_qubits, self.n_layers)
        self._check_fixed()
        for name in ("n_image_features", "r", "alpha", "batch_size"):
            check_whole(name, getattr(self, name))
        check_share("dropout", self.dropout, below_one=True)
        check_positive("gradient_clip", self.gradient_clip, or_none=True)

    def _check(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> Problem:
        self._check_options()
        X = check_array(X, dtype=np.float64, ensure_min_samples=2)
        self.n_features_in_ = X.shape[1]
        _, ids = self._split_rows(X)
        return Problem(X, ids)

    def _fit_alone(self, problem: Problem) -> Exception | None:
        captions, features = self.captions(problem.X), self._features(problem.X)
        self.network_ = self._untrained()
        self.network_.standardise(features)
        self._seen: dict[bytes, RowScores] = {}
        assert self.batch_size is not None  # as was checked
        how = CaptionTraining(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            gradient_clip=self.gradient_clip,
            prompt=self.prompt,
            by_length=True,
            seed=int(self.random_state),
        )
        self.history_ = train_captions(self.network_, (features, captions), how)
        return self._ended()

    def _untrained(self) -> HybridVisionLanguageModel:
        base, tokenizer = _base(self.language_model)
        seed, lora = int(self.random_state), LoRA(self.r, self.alpha, self.dropout)
        adapted = add_lora(_sharing(base), lora, seed)
        embedding: nn.Embedding = base.get_input_embeddings()  # type: ignore[operator]
        width = embedding.embedding_dim
        if self.projector == "zero":
            constant = ConstantToken(self.n_image_features, embedding.weight)
            return HybridVisionLanguageModel(adapted, constant, tokenizer)
        projection = make_projection(
            self.projector, self.n_image_features, width, self.n_qubits, self.n_layers, seed
        )
        return HybridVisionLanguageModel(adapted, projection, tokenizer)

    # ---- inside ----------------------------------------------------------------------------

    @torch.no_grad()
    def _score(self, X: FloatArray, images: IntArray | None) -> RowScores:
        captions, features = self.captions(X), self._features(X)
        shown = features if images is None else features[torch.from_numpy(images)]
        found = np.zeros((3, len(captions)))
        for places in self._blocks(captions):
            some = [captions[place] for place in places]
            scores = self.network_.score(shown[places], some, self.prompt)
            found[:, places] = [values.double().numpy() for values in scores]
        counts = found[1:].astype(np.int64)
        return RowScores(found[0], counts[0], counts[1])

    def _write(self, features: FloatArray, length: int) -> list[str]:
        shown = torch.tensor(features, dtype=torch.float32)
        return self.network_.generate(shown, self.prompt, max_new_tokens=length)

    def _blocks(self, captions: Sequence[str]) -> Iterator[list[int]]:
        """Places of captions of about the same length: little is computed for padding."""
        lengths = [len(self._tokenizer().encode(caption)) for caption in captions]
        order = np.argsort(lengths, kind="stable").tolist()
        yield from (order[i : i + _TOGETHER] for i in range(0, len(order), _TOGETHER))

    def _tokenizer(self) -> Tokenizer:
        return _base(self.language_model)[1]

    def _features(self, X: FloatArray) -> Tensor:
        return torch.tensor(X[:, : self.n_image_features], dtype=torch.float32)

    def _split_rows(self, X: Any) -> tuple[FloatArray, IntArray]:
        features, ids = split_rows(X, self.n_image_features, self.n_features_in_)
        return features, ids.astype(np.int64)


@lru_cache(maxsize=1)  # hundreds of MB: the model in use, and no other
def _base(name: str) -> tuple[nn.Module, Tokenizer]:
    """Load a language model, frozen, with its tokenizer."""
    if name != TINY:
        network, tokenizer = load_language_model(name)
        return network.requires_grad_(False).eval(), tokenizer
    from transformers import LlamaConfig, LlamaForCausalLM

    words = CaptionVocabulary.of_scenes(PROMPT)
    config = {**tiny_config(), "vocab_size": len(words)}
    with torch.random.fork_rng(devices=[]):
        tiny = LlamaForCausalLM(LlamaConfig(**config))
    tiny.load_state_dict(random_weights(config, 0), strict=False)
    tiny.tie_weights()
    frozen: nn.Module = tiny.requires_grad_(False).eval()
    return frozen, WordTokenizer(words)


def _sharing(network: nn.Module) -> nn.Module:
    """Copy the modules of a network, but not its weights, which are many and stay as they are."""
    return copy.deepcopy(network, {id(p): p for p in network.parameters()})
