"""A pretrained causal language model whose last layers are adapted to texts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch.nn.functional import cross_entropy

from qlmbench.data.pretrained_tokens import PretrainedTokens
from qlmbench.models.alone import SINGLE_LAST_STATE, OwnTraining
from qlmbench.models.llama import START, SplitLlama
from qlmbench.models.token_rows import PADDING, check_texts, choose, text_draws
from qlmbench.models.training import FloatArray, IntArray, Problem
from qlmbench.ranges import check_share
from qlmbench.records import Parameters

from .causal_states import TINY, batch_of, blocks, logits_of, split_of
from .causal_training import Adaptation, adapt
from .counts import parameters_of
from .estimator import UpdateMixin
from .update import put_into

_LOOKED_AT = 2  # rows whose logits are compared with the base before the first step


class AdaptedLanguageModel(OwnTraining, UpdateMixin):
    """Predicts each token of a text from those before it, by a pretrained model that is adapted.

    All layers below the adapted ones are frozen, so their hidden states are computed once for each
    text and shared by all models of a process. The first token is predicted from the symbol that
    stands between texts, id 0; that symbol is a possible prediction, and never a target. AdamW in
    single precision; the learning rate rises linearly in the warm-up and then falls linearly to
    zero; the state after the last step is kept. Two models with one random state meet the same
    batches, whatever is put into them.

    Parameters
    ----------
    weights : str, default="SmolLM2-135M-Instruct"
        A Llama model: a name or a folder that `qlmbench.data.pretrained` knows, or "tiny", a model
        of 2 layers and 32 dimensions with random weights, for 1,000 tokens.
    n_adapted : int, default=4
        Layers, counted from the last one, that stand above the frozen ones.
    targets : str, default="q_proj|v_proj"
        Which linear layers of these are adapted: a regular expression for the last part of their
        names.
    warmup : float, default=0.1
        Share of the steps in which the learning rate rises.
    epochs : int, default=1
        Passes over the training texts.
    batch_size : int or None, default=8
        Texts a step; a batch is cut to its longest one. None for all texts at once.
    learning_rate : float, default=3e-3
        Largest one, of AdamW.
    precision, restore_best, init_scale, patience
        Fixed: "single", False, 1 and None; anything else is refused.
    **options
        See `UpdateMixin`; ``weight_decay`` and ``random_state`` as in
        `qlmbench.models.stacked_model.StackedModel`.

    Attributes
    ----------
    n_features_in_ : int
        T, ids of a row.
    network_ : transformers.LlamaForCausalLM
        The adapted layers, which take the hidden states below as ``inputs_embeds``.
    start_difference_ : float
        Largest difference of a logit to the frozen model before the first step.
    history_ : History or None
        Loss and accuracy by epoch; None where nothing was trained.
    """

    fixed = SINGLE_LAST_STATE

    def __init__(
        self,
        *,
        weights: str = "SmolLM2-135M-Instruct",
        n_adapted: int = 4,
        targets: str = "q_proj|v_proj",
        warmup: float = 0.1,
        epochs: int = 1,
        batch_size: int | None = 8,
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
        self.weights = weights
        self.n_adapted = n_adapted
        self.targets = targets
        self.warmup = warmup

    # ---- scoring ---------------------------------------------------------------------------

    def fit(
        self, X: FloatArray, y: Any = None, X_val: FloatArray | None = None, y_val: Any = None
    ) -> Self:
        """Train on texts.

        Parameters
        ----------
        X : array-like of shape (n, T)
            Token ids, then padding.
        y, X_val, y_val : ignored
            The tokens are the targets, and the state after the last step is kept.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an argument is out of its range or has no effect, an id is out of range, padding
            stands before a token, or a row is nothing but padding.
        """
        return super().fit(X, y, X_val, y_val)

    def log_likelihoods(self, X: FloatArray) -> FloatArray:
        """Return the log-probability of each token given those before it.

        Parameters
        ----------
        X : array-like of shape (n, T)
            Token ids, then padding.

        Returns
        -------
        ndarray of float64, shape (n, T)
            In nats; 0 at padding.
        """
        return self._scores(X).log_likelihoods

    def predict(self, X: FloatArray) -> IntArray:
        """Return the most likely token at each place given those before it.

        Parameters
        ----------
        X : array-like of shape (n, T)
            Token ids, then padding.

        Returns
        -------
        ndarray of int64, shape (n, T)
            -1 at padding.
        """
        return self._scores(X).predicted

    def sample(self, prompt: str, n: int = 1, length: int = 40, random_state: int = 0) -> list[str]:
        """Draw continuations of a text, token by token.

        Parameters
        ----------
        prompt : str
            How each of them begins; may be empty.
        n : int
            Number of texts. The first ones do not depend on how many there are.
        length : int
            Tokens of the continuation, at most; it ends where the model ends the text.
        random_state : int
            Seed.

        Returns
        -------
        list of str
            Prompt and continuation.
        """
        if self.weights == TINY:
            raise ValueError("weights='tiny' has no words; ask sample_ids for ids")
        # A token is a byte at least, and a character four bytes at most: nothing is cut.
        tokens = PretrainedTokens(self.weights, max(3, 4 * len(prompt)))
        ids = tokens.encode([prompt])[0] if prompt else np.zeros(0, dtype=np.int32)
        start = ids[ids != PADDING]
        drawn = self.sample_ids(start.tolist(), n, length, random_state)
        return [tokens.text([*start.tolist(), *row[row != PADDING].tolist()]) for row in drawn]

    @torch.no_grad()
    def sample_ids(self, prompt: Sequence[int], n: int, length: int, random_state: int) -> IntArray:
        """Draw continuations of token ids; see `sample`.

        Returns
        -------
        ndarray of int64, shape (n, length)
            Token ids, then padding from where the model ended the text.
        """
        from transformers import DynamicCache

        check_is_fitted(self)
        if n < 1 or length < 1:
            raise ValueError(f"got n={n}, length={length}; expected at least 1")
        draws = text_draws(n, length, random_state)
        split, below, above = self._split(), DynamicCache(), DynamicCache()
        ids, ended = np.zeros((n, length), dtype=np.int64), np.zeros(n, dtype=bool)
        given = torch.tensor([START, *prompt]).expand(n, -1)
        for t in range(length):
            state = split.lower(input_ids=given, past_key_values=below, use_cache=True)
            logits = self.network_(
                inputs_embeds=state.last_hidden_state,
                past_key_values=above,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
            drawn = choose(logits.double().softmax(-1).numpy(), draws[:, t])
            ended |= np.isin(drawn, [START, split.config.eos_token_id])
            ids[:, t] = np.where(ended, PADDING, drawn)
            if ended.all():
                break
            given = torch.from_numpy(ids[:, t, None])
        return ids

    # ---- what the tables say of it ---------------------------------------------------------

    def diagnostics(self, X: FloatArray) -> dict[str, float]:
        """Say where the training began.

        Returns
        -------
        dict of str to float
            ``start_difference``: largest difference of a logit to the frozen model before the
            first step.
        """
        return {"start_difference": self.start_difference_}

    def count_parameters(self) -> Parameters:
        """Count what is trained of the adapted layers."""
        check_is_fitted(self)
        return parameters_of(self.network_)

    # ---- training --------------------------------------------------------------------------

    @property
    def n_outputs(self) -> int:
        """Number of tokens that can be predicted."""
        return self._split().vocab_size

    def _check_options(self) -> None:
        super()._check_options()
        self._check_fixed()
        check_share("warmup", self.warmup, below_one=True)

    def _check(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> Problem:
        self._check_options()
        ids = check_texts(X, self._split().vocab_size, type(self).__name__)
        self.n_features_in_ = ids.shape[1]
        return Problem(ids.astype(np.float64), ids)

    def _split(self) -> SplitLlama:
        return split_of(self.weights, self.n_adapted).model

    def _fit_alone(self, problem: Problem) -> Exception | None:
        shared = split_of(self.weights, self.n_adapted)
        texts, network = shared.texts(problem.y), shared.model.upper()
        first = batch_of(texts[:_LOOKED_AT])
        # Whatever layers are made of: nothing is drawn from the global random state.
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            before = logits_of(network, first)
            put_into(network, self.update, [f".*({self.targets})"])
            difference = logits_of(network, first) - before
        if network.model.embed_tokens.weight.requires_grad:  # all models share them
            raise ValueError(
                f"targets={self.targets!r} trains the output layer, which is the embeddings; "
                "expected layers of attention and feed-forward"
            )
        self.start_difference_ = float(difference.abs().max())
        self.network_: Any = network
        self._seen: dict[bytes, _Scores] = {}
        self.history_ = adapt(network, texts, self._adaptation(len(texts)))
        return self._ended()

    def _adaptation(self, n_texts: int) -> Adaptation:
        return Adaptation(
            epochs=self.epochs,
            batch_size=self.batch_size or n_texts,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            warmup=self.warmup,
            seed=int(self.random_state),
        )

    # ---- inside --------------------------------------------------------------------------

    def _scores(self, X: Any) -> _Scores:
        """Score rows in one pass, and keep what was found: it is asked for more than once."""
        check_is_fitted(self)
        name = type(self).__name__
        ids = check_texts(X, self._split().vocab_size, name, self.n_features_in_)
        key = hashlib.sha256(ids.tobytes()).digest()
        if key not in self._seen:
            self._seen[key] = self._score(ids)
        return self._seen[key]

    @torch.no_grad()
    def _score(self, ids: IntArray) -> _Scores:
        texts = split_of(self.weights, self.n_adapted).texts(ids)
        found = _Scores(np.zeros(ids.shape), np.full(ids.shape, -1, dtype=np.int64))
        for places in blocks([len(text.ids) for text in texts]):
            batch = batch_of([texts[place] for place in places])
            logits = logits_of(self.network_, batch)
            losses = cross_entropy(logits, batch.targets, reduction="none")
            rows = np.repeat(places, [len(texts[place].ids) for place in places])
            columns = np.concatenate([np.arange(len(texts[place].ids)) for place in places])
            found.log_likelihoods[rows, columns] = -losses.double().numpy()
            found.predicted[rows, columns] = logits.argmax(-1).numpy()
        return found


@dataclass(frozen=True)
class _Scores:
    """What a model says of rows, ``(n, T)``."""

    log_likelihoods: FloatArray
    predicted: IntArray
