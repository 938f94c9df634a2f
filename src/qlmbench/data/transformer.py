"""Sentence encoders from a folder in the sentence-transformers form, run on the CPU in float32.

Only what such folders need in practice is supported: a transformer, mean or first-token pooling,
and normalisation; anything else is refused by name. Weights are read from safetensors, never
unpickled. Importing sentence-transformers would cost every cold start about four seconds more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlmbench.errors import CorruptFileError, UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

TOKENS_A_BATCH = 1024
SENTENCES_A_BATCH = 32
_POOLINGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "first"}


def settings_of(folder: Path) -> dict[str, str]:
    """Read how a model folder turns a sentence into a vector.

    Parameters
    ----------
    folder : Path
        A sentence-transformers model.

    Returns
    -------
    dict of str to str
        ``pooling`` (mean or first), ``max_length`` in tokens, ``normalise`` (yes or no), ``width``.

    Raises
    ------
    UserError
        If a file is missing or not valid, or the model has a part that is not supported.
    """
    pooling, normalise = "", "no"
    for module in _json(folder / "modules.json"):
        kind = str(module["type"]).rsplit(".", 1)[-1]
        if kind == "Pooling":
            pooling = _pooling(folder / module["path"] / "config.json")
        elif kind == "Normalize":
            normalise = "yes"
        elif kind != "Transformer":
            raise UserError(
                f"{folder}: module {kind!r} is not supported",
                expected="Transformer, Pooling and Normalize",
            )
    if not pooling:
        raise UserError(f"{folder}/modules.json: no Pooling module")
    text = _json(folder / "sentence_bert_config.json")
    if text.get("do_lower_case"):
        raise UserError(f"{folder}/sentence_bert_config.json: do_lower_case is not supported")
    return {
        "pooling": pooling,
        "max_length": str(text["max_seq_length"]),
        "normalise": normalise,
        "width": str(_width(folder / "config.json")),
    }


def _width(path: Path) -> int:
    config = _json(path)
    if "hidden_size" not in config:
        raise UserError(f"{path}: no hidden_size", expected="a model of the BERT family")
    return int(config["hidden_size"])


def _pooling(path: Path) -> str:
    config = _json(path)
    chosen = sorted(k for k, v in config.items() if k.startswith("pooling_mode") and v is True)
    names = [_POOLINGS[mode] for mode in chosen if mode in _POOLINGS]
    if len(chosen) != 1 or not names:
        raise UserError(
            f"{path}: pooling {', '.join(chosen) or 'none'} is not supported",
            expected="exactly one of " + ", ".join(sorted(_POOLINGS)),
        )
    return names[0]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file", expected="a sentence-transformers model") from None
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON: {error}") from None


class TransformerEncoder:
    """A loaded sentence encoder.

    Parameters
    ----------
    folder : Path
        A sentence-transformers model with safetensors weights.
    settings : dict of str to str
        As `settings_of` gives them.

    Attributes
    ----------
    model : transformers.PreTrainedModel
        From tokens to hidden states; in evaluation mode.
    padding : int
        The token that fills up the shorter sentences of a batch.

    Raises
    ------
    UserError
        If the folder holds no safetensors weights.
    CorruptFileError
        If a file is not what transformers can read.
    """

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        from transformers import AutoModel, AutoTokenizer

        if not (folder / "model.safetensors").is_file():
            raise UserError(f"{folder}: no model.safetensors; other formats are never read")
        self._settings = settings
        try:
            with no_progress_bar():
                self._tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
                model = AutoModel.from_pretrained(
                    str(folder), use_safetensors=True, local_files_only=True, dtype="float32"
                )
        except Exception as error:  # whatever damaged files make its readers raise
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise CorruptFileError(
                f"{folder}: transformers cannot read this model: {first}"
            ) from error
        self.model = model.eval()
        self.padding: int = self._tokenizer.pad_token_id

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each text; longer texts are cut to the model's ``max_length``."""
        tokens: list[list[int]] = self._tokenizer(
            list(texts), truncation=True, max_length=int(self._settings["max_length"])
        )["input_ids"]
        return tokens

    def pool(self, hidden: Tensor, real: Tensor | None = None) -> Tensor:
        """Turn the hidden states of a sentence's tokens into one vector, not normalised.

        Parameters
        ----------
        hidden : Tensor, shape (n, tokens, width)
        real : Tensor of 0 and 1, shape (n, tokens), optional
            Which tokens are not padding; default all.

        Returns
        -------
        Tensor, shape (n, width)
        """
        if self._settings["pooling"] == "first":
            return hidden[:, 0]
        if real is None:
            return hidden.mean(dim=1)
        weight = real.to(hidden.dtype).unsqueeze(2)
        return (hidden * weight).sum(dim=1) / weight.sum(dim=1)

    def encode(
        self, texts: Sequence[str], *, threads: int = 1
    ) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
        """Encode texts, shortest first, in batches.

        A batch holds texts of one length only. No vector is then changed by padding, so vectors do
        not depend on which texts are encoded together, and on a CPU nothing is faster.

        Parameters
        ----------
        texts : sequence of str
            What to encode; longer texts are cut to the model's own ``max_length``.
        threads : int
            Number of threads that torch may use; put back to what it was afterwards.

        Yields
        ------
        rows : list of int
            Positions in ``texts``.
        vectors : ndarray of float32, shape (len(rows), width)
        """
        tokens = self.tokenise(texts)
        with used_threads(threads):
            for rows in equal_length_batches([len(t) for t in tokens]):
                yield rows, self._forward([tokens[row] for row in rows])

    def _forward(self, tokens: list[list[int]]) -> NDArray[np.float32]:
        import torch

        # A lone short text goes twice: kernels for a few rows sum in another order.
        rows = tokens * 2 if len(tokens) == 1 else tokens
        with torch.inference_mode():
            pooled = self.pool(self.model(input_ids=torch.tensor(rows)).last_hidden_state)
            if self._settings["normalise"] == "yes":
                pooled = torch.nn.functional.normalize(pooled, dim=1)
        vectors: NDArray[np.float32] = pooled[: len(tokens)].numpy()
        return vectors


def equal_length_batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Group positions by length, shortest first, into batches of bounded size.

    Parameters
    ----------
    lengths : sequence of int
        Number of tokens of each text.

    Yields
    ------
    list of int
        Positions of equal length; at most `SENTENCES_A_BATCH`, and at most `TOKENS_A_BATCH` tokens
        together unless a single text has more.
    """
    groups: dict[int, list[int]] = {}
    for position, length in enumerate(lengths):
        groups.setdefault(length, []).append(position)
    for length in sorted(groups):
        step = max(1, min(SENTENCES_A_BATCH, TOKENS_A_BATCH // max(1, length)))
        for start in range(0, len(groups[length]), step):
            yield groups[length][start : start + step]


@contextmanager
def used_threads(number: int) -> Iterator[None]:
    """Let torch use so many threads, and put their number back to what it was afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def no_progress_bar() -> Iterator[None]:
    """Keep the bars of transformers off terminals and logs while weights are loaded."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
