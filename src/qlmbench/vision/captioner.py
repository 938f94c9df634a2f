"""A captioner trained from scratch: a projection, its token, and a small decoder after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self, Unpack, get_args

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from qlmbench.data.images.vocabulary import END, PADDING
from qlmbench.metrics import FloatArray, IntArray
from qlmbench.models.measurement import Measurement, check_noise, check_shots
from qlmbench.models.stacked_model import ModelOptions, StackedModel
from qlmbench.models.token_attention import check_heads
from qlmbench.models.token_layers import AttentionKind
from qlmbench.models.training import Problem, Schedule
from qlmbench.ranges import check_choice, check_positive, check_whole
from qlmbench.records import Cost, Parameters
from qlmbench.vision.caption_counts import count_captioner, training_cost
from qlmbench.vision.caption_network import CaptionNetwork
from qlmbench.vision.caption_rows import check_captions, feature_scale, split_rows
from qlmbench.vision.decoder import StackedDecoder
from qlmbench.vision.projectors import CIRCUITS, Projector, StackedProjector, check_projector
from qlmbench.vision.retrieval import distractors, share_of_choice

ImageShown = Literal["own", "another", "none"]

# Rows whose logits are held at once.
_BLOCK = 256


class Captioner(StackedModel):
    """Says what an image shows: one token made of its features, then a decoder word by word.

    X has the shape (n, F + T): the features of an image, then the ids of its caption with its end,
    padded with 0 (see `CaptionVocabulary`). The decoder starts from the image's token alone and is
    trained on each word given the image and the right words before it; y is ignored.

    Parameters
    ----------
    n_image_features : int, default=1280
        F.
    scale_features : bool, default=True
        Centre each feature and scale it by its spread in the training rows, so that a row has a
        length of about 1; otherwise features are taken as they are.
    vocab_size : int, default=29
        V, ids; the default is that of scenes.
    projector : str, default="published"
        See `StackedProjector`.
    n_qubits : int, default=4
        n, width of the projector's middle.
    n_layers : int, default=3
        Layers of its circuit.
    gate : bool, default=False
        Put a classical linear map to 512 in front of it.
    embedding_dim, n_blocks, num_heads, feedforward : int
        Of the decoder: d, layers, heads, hidden width.
    attention : {"classical", "quantum"}
        Of the decoder; quantum scores are overlaps of states.
    gradient_clip : float or None, default=1.0
        Largest norm of the gradient.
    shots : int or None, default=None
        Measurements of each circuit, in training with gradients by parameter shift, and in
        evaluation, where a row's shots depend on `random_state` and on the row alone.
    depolarizing : float, default=0.0
        Of the evaluation only: probability of a Pauli error on each qubit after each gate.
    n_trajectories : int or None, default=None
        Error patterns that the noise is averaged over.
    image : {"own", "another", "none"}, default="own"
        Of the evaluation only: which image is shown; that of the next row, or a token of zeros.
    **training
        See `StackedModel`. With ``restore_best`` the state of the lowest validation loss is kept.

    Attributes
    ----------
    mean_, scale_ : ndarray of shape (F,)
        Of the features in training.
    """

    #: A copy of the training rows each.
    max_stack: ClassVar[int] = 5

    def __init__(
        self,
        n_image_features: int = 1280,
        scale_features: bool = True,
        vocab_size: int = 29,
        projector: Projector = "published",
        n_qubits: int = 4,
        n_layers: int = 3,
        gate: bool = False,
        embedding_dim: int = 64,
        n_blocks: int = 2,
        num_heads: int = 4,
        feedforward: int = 256,
        attention: AttentionKind = "classical",
        gradient_clip: float | None = 1.0,
        shots: int | None = None,
        depolarizing: float = 0.0,
        n_trajectories: int | None = None,
        image: ImageShown = "own",
        **training: Unpack[ModelOptions],
    ) -> None:
        super().__init__(**training)
        self.n_image_features = n_image_features
        self.scale_features = scale_features
        self.vocab_size = vocab_size
        self.projector = projector
        self.n_qubits = n_qubits
        self.n_layers = n_layers
        self.gate = gate
        self.embedding_dim = embedding_dim
        self.n_blocks = n_blocks
        self.num_heads = num_heads
        self.feedforward = feedforward
        self.attention = attention
        self.gradient_clip = gradient_clip
        self.shots = shots
        self.depolarizing = depolarizing
        self.n_trajectories = n_trajectories
        self.image = image

    # ---- the network -----------------------------------------------------------------------

    @classmethod
    def build(
        cls, heads: Sequence[Self], n_features: int, n_classes: int, dtype: torch.dtype
    ) -> nn.Module:
        """Make the network; see `StackedModel.build`."""
        first, seeds = heads[0], [h.random_state for h in heads]
        scales = [h.init_scale for h in heads]
        projector = StackedProjector(
            first.projector,
            first.n_image_features,
            first.embedding_dim,
            n_qubits=first.n_qubits,
            n_layers=first.n_layers,
            gate=first.gate,
            shots=first.shots,
            seeds=seeds,
            scales=scales,
            dtype=dtype,
        )
        decoder = StackedDecoder(
            first.vocab_size,
            n_features - first.n_image_features,
            width=first.embedding_dim,
            n_blocks=first.n_blocks,
            n_heads=first.num_heads,
            feedforward=first.feedforward,
            attention=first.attention,
            seeds=seeds,
            scales=scales,
            dtype=dtype,
        )
        return CaptionNetwork(projector, decoder, first.n_image_features)

    @property
    def n_outputs(self) -> int:
        """Number of ids that can be predicted: all but padding."""
        return self.vocab_size - 1

    @property
    def conditions(self) -> frozenset[str]:
        """Arguments that `under` may change."""
        circuit = {"shots", "depolarizing", "n_trajectories", "random_state"}
        return frozenset({"image"} | (circuit if self.projector in CIRCUITS else set()))

    def schedule(self) -> Schedule:
        """Say how the stack is trained; see `StackedModel.schedule`."""
        how = super().schedule()
        return replace(how, best="loss", look_size=_BLOCK, gradient_clip=self.gradient_clip)

    # ---- the estimator ---------------------------------------------------------------------

    def log_likelihoods(self, X: FloatArray) -> FloatArray:
        """Return the log-probability of each word of the captions given image and words before it.

        Parameters
        ----------
        X : array-like of shape (n, F + T)
            Features and ids.

        Returns
        -------
        ndarray of float64, shape (n, T)
            In nats; 0 at padding.
        """
        features, ids = self._rows(X)
        return self._log_likelihoods(self._tokens(features), ids)

    def predict(self, X: FloatArray) -> IntArray:
        """Return the most likely id at each place given image and the right words before it.

        Parameters
        ----------
        X : array-like of shape (n, F + T)

        Returns
        -------
        ndarray of int64, shape (n, T)
            -1 at padding.
        """
        features, ids = self._rows(X)
        blocks = zip(_split(self._tokens(features)), _split(ids), strict=True)
        best = [self._decode(token, block).argmax(-1) for token, block in blocks]
        return np.where(ids.numpy() == PADDING, -1, torch.cat(best).numpy() + 1)

    @torch.no_grad()
    def generate(self, X: FloatArray) -> IntArray:
        """Write a caption for each image, always the most likely word; the ids in X play no role.

        Parameters
        ----------
        X : array-like of shape (n, F + T)

        Returns
        -------
        ndarray of int64, shape (n, T)
            Ids, the end among them where it comes within T, then 0.
        """
        features, ids = self._rows(X)
        written = torch.zeros_like(ids)
        done = torch.zeros(len(ids), dtype=torch.bool)
        tokens = self._tokens(features)
        for t in range(ids.shape[1]):
            known = zip(_split(tokens), _split(written[:, : t + 1]), strict=True)
            best = torch.cat([self._decode(*block)[:, -1].argmax(-1) for block in known])
            written[:, t] = torch.where(done, PADDING, best + 1)
            done |= written[:, t] == END
            if done.all():
                break
        return np.asarray(written.numpy())

    @torch.no_grad()
    def retrieval(self, X: FloatArray, n_candidates: int = 10, random_state: int = 0) -> FloatArray:
        """Say whether the right image makes a caption likelier than other images do.

        Parameters
        ----------
        X : array-like of shape (n, F + T)
        n_candidates : int, default=10
            Images for each caption, its own among them. Another image with the very same caption
            is no candidate.
        random_state : int, default=0
            Of the choice of the others.

        Returns
        -------
        ndarray of float64, shape (n,)
            1 where the caption's own image is the best, 0 where it is not, and 1 / k where k
            images are equally good: ``1 / n_candidates`` for a model that sees none.

        Raises
        ------
        ValueError
            If there are too few rows with other captions.
        """
        features, ids = self._rows(X)
        tokens = self._tokens(features)
        others = distractors(ids.numpy(), n_candidates - 1, random_state)
        own = self._log_likelihoods(tokens, ids).sum(1)
        rivals = [self._log_likelihoods(tokens[column], ids).sum(1) for column in others.T]
        return share_of_choice(own, np.stack(rivals, 1))

    # ---- what the tables say of it -----------------------------------------------------------

    def count_parameters(self) -> Parameters:
        """Count parameters, and those that can do anything; see `count_captioner`."""
        check_is_fitted(self)
        fresh = clone(self).set_params(shots=None, random_state=0, init_scale=1.0)
        network = self.build([fresh], self.n_features_in_, self.n_outputs, torch.float64)
        assert isinstance(network, CaptionNetwork)
        return count_captioner(network, self.n_features_in_ - self.n_image_features)

    @property
    def inert(self) -> dict[str, int]:
        """Number of parameters without effect that a captioner has by design, by name.

        The decoder's table has a row for padding, and a softmax over keys does not see what is
        added to all of them.
        """
        found = {"decoder.words.values": self.embedding_dim}
        if self.attention == "classical":
            for block in range(self.n_blocks):
                found[f"decoder.blocks.{block}.attention.key.bias"] = self.embedding_dim
        return found

    def hardware_cost(self, n_train: int) -> Cost | None:
        """Circuit evaluations that this training would take on a processor; None without circuits.

        See `training_cost`.
        """
        if self.projector not in CIRCUITS:
            return None
        circuit = self.network_.projector.circuit
        return training_cost(self.projector, circuit, self.n_iter_ * n_train, self.shots)

    # ---- inside ----------------------------------------------------------------------------

    @torch.no_grad()
    def _tokens(self, features: Tensor) -> Tensor:
        """Make the tokens ``[n, d]`` of the images that are shown."""
        self.network_.eval()
        shown = features.roll(-1, 0) if self.image == "another" else features
        parts = [self.network_.projector(block[None])[0] for block in _split(shown)]
        tokens = torch.cat(parts)
        return torch.zeros_like(tokens) if self.image == "none" else tokens

    @torch.no_grad()
    def _decode(self, tokens: Tensor, ids: Tensor) -> Tensor:
        logits: Tensor = self.network_.decode(tokens[None], ids[None])[0]
        return logits

    def _log_likelihoods(self, tokens: Tensor, ids: Tensor) -> FloatArray:
        # Padding takes the first logit and is then set to zero.
        each = [
            self._decode(token, block)
            .log_softmax(-1)
            .gather(-1, (block - 1).clamp(min=0)[..., None])[..., 0]
            for token, block in zip(_split(tokens), _split(ids), strict=True)
        ]
        return np.where(ids.numpy() == PADDING, 0.0, torch.cat(each).numpy())

    def _rows(self, X: Any) -> tuple[Tensor, Tensor]:
        check_is_fitted(self)
        features, ids = self._split_rows(X, self.n_features_in_)
        return torch.from_numpy((features - self.mean_) / self.scale_), torch.from_numpy(ids)

    def _split_rows(self, X: Any, width: int | None = None) -> tuple[FloatArray, IntArray]:
        features, ids = split_rows(X, self.n_image_features, width)
        return features, check_captions(ids, self.vocab_size)

    def _check(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> Problem:
        self._check_options()
        features, ids = self._split_rows(X)
        self.n_features_in_ = features.shape[1] + ids.shape[1]
        self.mean_, self.scale_ = (
            feature_scale(features)
            if self.scale_features
            else (np.zeros(features.shape[1]), np.ones(features.shape[1]))
        )
        train = self._standardised(features, ids)
        if X_val is None:
            return Problem(train, ids - 1)
        features, seen = self._split_rows(X_val, self.n_features_in_)
        return Problem(train, ids - 1, self._standardised(features, seen), seen - 1)

    def _standardised(self, features: FloatArray, ids: IntArray) -> FloatArray:
        scaled = (features - self.mean_) / self.scale_
        rows: FloatArray = np.concatenate([scaled, ids.astype(np.float64)], 1)
        return rows

    def _check_options(self) -> None:
        check_projector(self.projector, self.gate, self.n_qubits, self.n_layers)
        for name, least in (
            ("n_image_features", 1),
            ("vocab_size", 3),
            ("embedding_dim", 1),
            ("n_blocks", 1),
            ("feedforward", 1),
        ):
            check_whole(name, getattr(self, name), least)
        check_heads(self.embedding_dim, self.num_heads)
        check_choice("attention", self.attention, get_args(AttentionKind))
        check_positive("gradient_clip", self.gradient_clip, or_none=True)
        if self.depolarizing or self.image != "own":
            raise ValueError(
                f"fit with depolarizing={self.depolarizing}, image={self.image!r}; expected 0 and "
                "'own': these are conditions of the evaluation, see under()"
            )
        super()._check_options()

    def _check_conditions(self) -> None:
        check_shots(self.shots)
        check_noise(self.depolarizing, self.n_trajectories)
        check_choice("image", self.image, get_args(ImageShown))
        if self.shots is not None and self.projector not in CIRCUITS:
            raise ValueError(
                f"shots={self.shots} with projector={self.projector!r}; expected None, for there "
                "is no circuit to measure"
            )

    def _evaluation_network(self) -> nn.Module:
        exact = clone(self).set_params(shots=None)
        network = self.build([exact], self.n_features_in_, self.n_outputs, torch.float64)
        network.eval()
        if self.shots is not None or self.depolarizing > 0:
            assert isinstance(network, CaptionNetwork)
            network.projector.measurement = Measurement(
                self.random_state, self.shots, self.depolarizing, self.n_trajectories
            )
        return network


def _split(rows: Tensor) -> Sequence[Tensor]:
    return torch.split(rows, _BLOCK)
