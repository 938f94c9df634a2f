"""What turns prompts and captions into the ids of a language model, and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

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
