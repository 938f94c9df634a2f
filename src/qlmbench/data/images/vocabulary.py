"""Words of captions as token ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qlmbench.data.images.scenes import scene_words
from qlmbench.data.tokens import words_of

PADDING, END, UNKNOWN = 0, 1, 2
SPECIAL = ("<pad>", "<end>", "<unk>")


@dataclass(frozen=True)
class CaptionVocabulary:
    """Words by id: padding 0, the end of a caption 1, any word that is not here 2, then the words.

    Parameters
    ----------
    words : tuple of str
        In lower case, without the special ones.
    """

    words: tuple[str, ...]

    @classmethod
    def of_scenes(cls, prompt: str = "") -> CaptionVocabulary:
        """Return the words of the scenes' grammar, and those of a prompt."""
        return cls(tuple(dict.fromkeys([*scene_words(), *words_of(prompt)])))

    @classmethod
    def fit(cls, captions: Iterable[str], size: int = 2000) -> CaptionVocabulary:
        """Take the most frequent words of captions; equally frequent ones by the alphabet.

        Parameters
        ----------
        captions : iterable of str
            Of the training.
        size : int
            Ids in all, at least 4.
        """
        if size <= len(SPECIAL):
            raise ValueError(f"got size={size}; expected at least {len(SPECIAL) + 1}")
        counts = Counter(word for caption in captions for word in words_of(caption))
        ordered = sorted(counts, key=lambda word: (-counts[word], word))
        return cls(tuple(ordered[: size - len(SPECIAL)]))

    def __len__(self) -> int:
        return len(SPECIAL) + len(self.words)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words, start=len(SPECIAL))}

    def ids_of(self, text: str) -> list[int]:
        """Return the ids of the words of a text, without an end."""
        return [self._index.get(word, UNKNOWN) for word in words_of(text)]

    def encode(self, captions: Sequence[str], length: int) -> NDArray[np.int64]:
        """Return ids of captions, each with its end, shape (n, length), padded with 0.

        Raises
        ------
        ValueError
            If a caption has no word, or does not fit with its end.
        """
        rows = np.full((len(captions), length), PADDING, dtype=np.int64)
        for row, caption in zip(rows, captions, strict=True):
            ids = self.ids_of(caption)
            if not 0 < len(ids) < length:
                raise ValueError(
                    f"got the caption {caption[:60]!r} of {len(ids)} words; expected 1 to "
                    f"{length - 1}, which with the end fill {length} places"
                )
            row[: len(ids) + 1] = [*ids, END]
        return rows

    def decode(self, ids: Iterable[int]) -> str:
        """Return the words up to the end, with blanks between; padding is left out."""
        words = []
        for i in ids:
            if i == END:
                break
            if i != PADDING:
                words.append(self.word(int(i)))
        return " ".join(words)

    def word(self, token: int) -> str:
        """Return what a token stands for, for people."""
        return (SPECIAL + self.words)[token]
