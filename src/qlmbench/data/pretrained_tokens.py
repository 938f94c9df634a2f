"""The token ids of a pretrained model, for models that train on from its weights.

``tokens-<encoder>x<T>``, for example ``tokens-all-MiniLM-L6-v2x64``: the ids of the model's own
tokenizer with its special tokens, longer texts cut to T. The encoder is a name or a folder that
`qlmbench.data.pretrained` knows.

Id 0 fills up rows. In models of the BERT family that is their padding. In SmolLM2, as in GPT-2, it
is the symbol between two texts: a row is the text alone, and the symbol before it, from which its
first token is predicted, is again id 0. There, no text can contain a special token: one that is
written out in a text is read as any other word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlmbench.data.cache import Progress
from qlmbench.data.gguf_model import TOKENIZER
from qlmbench.data.pretrained import pretrained_folder, tokenizer_sha256
from qlmbench.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PADDING, BETWEEN_TEXTS = "[PAD]", "<|endoftext|>"

# Raised when another id would come out of the same texts.
_VERSION = "1"


@dataclass(frozen=True)
class PretrainedTokens:
    """Encoder to the ids of a pretrained tokenizer; it is its own vocabulary.

    Parameters
    ----------
    name : str
        A registered model, or the path of a folder with ``tokenizer.json``.
    length : int
        T, ids of a row, special tokens among them; longer texts lose their end.

    Raises
    ------
    UserError
        If T leaves no room for a token between the special ones.
    """

    name: str
    length: int

    def __post_init__(self) -> None:
        if self.length < 3:
            raise UserError(
                f"encoder 'tokens-{self.name}x{self.length}': {self.length} tokens a text",
                expected="at least 3: room for two special tokens and one of the text",
            )

    @property
    def identity(self) -> dict[str, str]:
        """Everything that decides the ids, and a name without the path of a folder."""
        return {
            "name": f"tokens-{Path(self.name).name}x{self.length}",
            "weights": "none",
            "tokens": "pretrained",
            "tokenizer": tokenizer_sha256(self.name),
            "width": str(self.length),
            "version": _VERSION,
        }

    def fit(self, texts: Iterable[str]) -> PretrainedTokens:
        """Return itself: a pretrained tokenizer learns nothing of the training texts."""
        return self

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> NDArray[np.int32]:
        """Return token ids, shape (n, T), padded with 0.

        Raises
        ------
        UserError
            If a text has no token, or the tokenizer cannot be had or its id 0 stands for a word.
        """
        import numpy as np

        tokenizer, rows = self._tokenizer(), np.zeros((len(texts), self.length), dtype=np.int32)
        for row, text in zip(rows, texts, strict=True):
            found = tokenizer.encode(text)  # a batch would take all cores
            if all(found.special_tokens_mask):
                raise UserError(f"a text without a token: {text!r}", do="leave it out of the data")
            row[: len(found.ids)] = found.ids
        return rows

    def word(self, token: int) -> str:
        """Return the piece of a word, or the special token, that an id stands for.

        Raises
        ------
        ValueError
            If there is no such id.
        """
        found: str | None = self._tokenizer().id_to_token(token)
        if found is None:
            raise ValueError(f"got the token id {token}; expected one of the tokenizer {self.name}")
        return found

    def text(self, ids: Iterable[int]) -> str:
        """Return the text that token ids stand for, without special tokens."""
        found: str = self._tokenizer().decode(list(ids))
        return found

    def _tokenizer(self) -> Any:
        return _load(self.name, tokenizer_sha256(self.name), self.length)


@lru_cache(maxsize=4)
def _load(name: str, sha256: str, length: int) -> Any:
    from tokenizers import Tokenizer

    path = pretrained_folder(name) / TOKENIZER
    tokenizer = Tokenizer.from_file(str(path))
    first = tokenizer.id_to_token(0)
    if first not in (PADDING, BETWEEN_TEXTS):
        raise UserError(
            f"{path}: id 0 is {first!r}",
            expected=f"{PADDING}, as in models of the BERT family, or {BETWEEN_TEXTS}",
        )
    tokenizer.encode_special_tokens = first == BETWEEN_TEXTS
    tokenizer.no_padding()
    tokenizer.enable_truncation(length)
    return tokenizer
