"""Captions as the token ids of a pretrained language model, which no special id is added to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlmbench.data.gguf_model import CONFIG, TOKENIZER
from qlmbench.data.pretrained import pretrained_folder, tokenizer_sha256
from qlmbench.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PADDING = 0


class PretrainedTokenizer:
    """The ``tokenizer.json`` of a pretrained model; no special id is added.

    Parameters
    ----------
    path : Path
        The file.
    end : int
        Id that ends a caption, from the model's configuration.
    """

    def __init__(self, path: Path, end: int) -> None:
        from tokenizers import Tokenizer as Fast

        self._fast: Any = Fast.from_file(str(path))
        self._fast.no_truncation()
        self._fast.no_padding()
        self._end = end

    @property
    def end(self) -> int:
        """Id that ends a caption."""
        return self._end

    def encode(self, text: str) -> list[int]:
        """Return ids, without an end and without a start."""
        ids: list[int] = self._fast.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids."""
        text: str = self._fast.decode([i for i in ids if i != self._end])
        return text

    def word(self, token: int) -> str:
        """Return what a token stands for, for people."""
        found: str | None = self._fast.id_to_token(token)
        if found is None:
            raise ValueError(f"got the token id {token}; expected one of the tokenizer")
        return found


def tokenizer_of(folder: Path) -> PretrainedTokenizer:
    """Read the tokenizer of a model's folder, and from its ``config.json`` how texts end.

    Raises
    ------
    UserError
        If a file is missing or not valid, or the configuration names no end.
    """
    for name in (CONFIG, TOKENIZER):
        if not (folder / name).is_file():
            raise UserError(f"{folder / name}: no such file", expected="a language model's folder")
    path = folder / CONFIG
    try:
        end = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id")
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON: {error}") from None
    end = end[0] if isinstance(end, list) and end else end
    if not isinstance(end, int):
        raise UserError(f"{path}: no 'eos_token_id'", expected="the id that ends a text")
    return PretrainedTokenizer(folder / TOKENIZER, end)


@dataclass(frozen=True)
class CaptionTokens:
    """Captions as rows of a pretrained model's ids, each with its end, padded with 0.

    Parameters
    ----------
    name : str
        A language model that `qlmbench.data.pretrained` knows, or the path of its folder.
    """

    name: str

    @property
    def identity(self) -> str:
        """Hash of what decides the ids."""
        return tokenizer_sha256(self.name)

    def encode(self, captions: Sequence[str], length: int) -> NDArray[np.int64]:
        """Return ids of captions, shape (n, length).

        Raises
        ------
        UserError
            If a caption has no token, does not fit with its end, or contains the token of id 0.
        """
        import numpy as np

        tokenizer = self._tokenizer()
        rows = np.full((len(captions), length), PADDING, dtype=np.int64)
        for row, caption in zip(rows, captions, strict=True):
            ids = tokenizer.encode(caption)
            if not 0 < len(ids) < length or PADDING in ids:
                raise UserError(
                    f"the caption {caption[:60]!r} has {len(ids)} tokens of {self.name}",
                    expected=f"1 to {length - 1}, which with the end fill {length} places, none of "
                    f"them {tokenizer.word(PADDING)!r}",
                )
            row[: len(ids) + 1] = [*ids, tokenizer.end]
        return rows

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of a row."""
        return self._tokenizer().decode(i for i in ids if i != PADDING)

    def word(self, token: int) -> str:
        """Return what a token stands for, for people."""
        return self._tokenizer().word(token)

    def _tokenizer(self) -> PretrainedTokenizer:
        return _load(self.name, self.identity)


@lru_cache(maxsize=2)
def _load(name: str, sha256: str) -> PretrainedTokenizer:
    return tokenizer_of(pretrained_folder(name))
