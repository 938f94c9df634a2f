"""What turns prompts and captions into the ids of a language model, and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from qlmbench.data.images.vocabulary import END, CaptionVocabulary


class Tokenizer(Protocol):
    """Text to ids and back."""

    @property
    def end(self) -> int:
        """Id that ends a caption."""

    def encode(self, text: str) -> list[int]:
        """Return ids, without an end and without a start."""

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids."""


@dataclass(frozen=True)
class WordTokenizer:
    """Words of a vocabulary.

    Parameters
    ----------
    vocabulary : CaptionVocabulary
    """

    vocabulary: CaptionVocabulary

    @property
    def end(self) -> int:
        """Id that ends a caption."""
        return END

    def encode(self, text: str) -> list[int]:
        """Return ids, without an end and without a start."""
        return self.vocabulary.ids_of(text)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids."""
        return self.vocabulary.decode(ids)


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
