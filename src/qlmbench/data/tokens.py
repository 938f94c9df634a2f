"""Encoders that turn a text into token ids, fitted on the training texts of a repetition.

``words-<V>x<T>``: the words of the training texts, the V - 2 most frequent of them, at most T of a
text. ``token-ids-<T>``: texts that are ids already, such as "3 17 12". ``tokens-<encoder>x<T>``:
the tokens of a pretrained model, fitted on nothing; see `qlmbench.data.pretrained_tokens`.
``scenes-<image encoder>x<T>`` and ``images-<image encoder>:<language model>x<T>``: features of an
image, then the ids of its caption; see `qlmbench.data.images.scene_rows` and
`qlmbench.data.images.image_rows`. Id 0 is padding and stands only at the end of a row; with words,
id 1 is every word that is not in the vocabulary.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from qlmbench.data.cache import Progress
from qlmbench.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMS = (
    "words-<V>x<T>",
    "token-ids-<T>",
    "tokens-<encoder>x<T>",
    "scenes-<image encoder>x<T>",
    "scenes-<image encoder>",
    "images-<image encoder>:<language model>x<T>",
)

PADDING, UNKNOWN, START = "<pad>", "<unk>", "<start>"
_NAME = re.compile(
    r"words-(?P<size>[1-9]\d*)x(?P<words>[1-9]\d*)|token-ids-(?P<ids>[1-9]\d*)"
    r"|tokens-(?P<encoder>.+)x(?P<tokens>[1-9]\d*)"
)
_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")

# Raised when another id would come out of the same texts.
_VERSION = "1"


class Vocabulary(Protocol):
    """What turns texts into ids, and ids back into what people read."""

    def encode(
        self, texts: Sequence[str], progress: Progress | None = None
    ) -> NDArray[np.int32 | np.float32]:
        """Return token ids, shape (n, T), padded with 0; features of images stand before them.

        Told of its progress is whoever waits for what takes minutes; ids take none.
        """

    def word(self, token: int) -> str:
        """Return what a token stands for, for people."""


class TokenEncoder(Protocol):
    """What the name of a token encoder says."""

    @property
    def identity(self) -> dict[str, str]:
        """Everything that decides the ids, but the training texts."""

    def fit(self, texts: Iterable[str]) -> Vocabulary:
        """Make the vocabulary of training texts."""


@dataclass(frozen=True)
class WordEncoder:
    """Words, or ids that are given as they are.

    Parameters
    ----------
    kind : {"words", "ids"}
        What is read from a text.
    length : int
        T, ids of a row; longer texts are cut.
    size : int
        V, ids in all, padding and unknown among them; 0 where the texts say it.
    """

    kind: Literal["words", "ids"]
    length: int
    size: int = 0

    @property
    def identity(self) -> dict[str, str]:
        """Everything that decides the ids, but the training texts."""
        vocabulary = {"vocabulary": str(self.size)} if self.size else {}
        return {
            "weights": "none",
            "tokens": self.kind,
            **vocabulary,
            "width": str(self.length),
            "version": _VERSION,
        }

    def fit(self, texts: Iterable[str]) -> WordVocabulary:
        """Make the vocabulary of training texts."""
        if self.kind == "ids":
            return WordVocabulary((), self.length)
        counts = Counter(word for text in texts for word in words_of(text))
        ordered = sorted(counts, key=lambda word: (-counts[word], word))
        return WordVocabulary((PADDING, UNKNOWN, *ordered[: self.size - 2]), self.length)


@dataclass(frozen=True)
class WordVocabulary:
    """Words by id, and the length of a row.

    Parameters
    ----------
    words : tuple of str
        Position is the id; empty where texts are ids already.
    length : int
        T.
    """

    words: tuple[str, ...]
    length: int

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> NDArray[np.int32]:
        """Return token ids, shape (n, T), padded with 0.

        Raises
        ------
        UserError
            If a text has no token, or should be ids and is not.
        """
        import numpy as np

        index = {word: i for i, word in enumerate(self.words)}
        rows = np.zeros((len(texts), self.length), dtype=np.int32)
        for row, text in zip(rows, texts, strict=True):
            ids = [index.get(w, 1) for w in words_of(text)] if self.words else _ids_of(text)
            if not ids:
                raise UserError(f"a text without a word: {text!r}", do="leave it out of the data")
            if len(ids) > self.length and not self.words:
                raise UserError(
                    f"text {text[:60]!r} has {len(ids)} token ids",
                    expected=f"at most {self.length}, as the encoder's name says",
                )
            row[: len(ids)] = ids[: self.length]
        return rows

    def word(self, token: int) -> str:
        """Return what a token stands for, for people."""
        return self.words[token] if self.words else str(token)


def token_encoder(name: str) -> TokenEncoder | None:
    """Read the name of a token encoder; None if it names none.

    Raises
    ------
    UserError
        If the vocabulary or a row would have no room for a word, or there is no pretrained model of
        this name.
    """
    if name.startswith("scenes-"):
        from qlmbench.data.images.scene_rows import scene_rows

        return scene_rows(name)
    if name.startswith("images-"):
        from qlmbench.data.images.image_rows import image_rows

        return image_rows(name)
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    if match["encoder"]:
        from qlmbench.data.pretrained_tokens import PretrainedTokens

        return PretrainedTokens(match["encoder"], int(match["tokens"]))
    if match["ids"]:
        return WordEncoder("ids", int(match["ids"]))
    size = int(match["size"])
    if size < 3:
        raise UserError(
            f"encoder {name!r}: a vocabulary of {size}",
            expected="at least 3: padding, unknown words, and a word",
        )
    return WordEncoder("words", int(match["words"]), size)


def words_of(text: str) -> list[str]:
    """Split a text into words in lower case; each mark of punctuation is a word."""
    return _WORD.findall(text.lower())


def _ids_of(text: str) -> list[int]:
    try:
        ids = [int(token) for token in text.split()]
    except ValueError:
        ids = [-1]
    if any(i < 1 for i in ids):
        raise UserError(
            f"text {text[:60]!r} is no list of token ids",
            expected="whole numbers from 1, with blanks between",
            do="for words, choose the encoder words-<V>x<T>",
        )
    return ids
