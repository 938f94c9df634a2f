"""Named text encoders: from sentences to features, through the cache.

An encoder's identity is known without importing torch and changes exactly when its vectors do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from qlmbench.data.cache import Progress, cache_folder
from qlmbench.data.digests import identity_digest, sha256_of_file
from qlmbench.data.features import FeatureCache, text_key
from qlmbench.data.numbers import NUMBERS_FORM, numbers_width, read_numbers
from qlmbench.data.sources import HubFiles, NestedArchive, RegistryPackage, fetch
from qlmbench.data.tokens import FORMS, token_encoder
from qlmbench.data.transformer import TransformerEncoder, settings_of
from qlmbench.data.weights import MINILM, MINILM_FOLDER, MPNET, MPNET_FOLDER, PARAPHRASE_MPNET
from qlmbench.errors import CorruptFileError, UserError, unknown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CODE_VERSION = "1"
"""Raised when our code gives other vectors for the same weights and text."""

SENTENCES_A_WRITE = 64
HASHING = "hashing"
HASHING_WIDTH = 256


@dataclass(frozen=True)
class _Registered:
    """An encoder that we know by name."""

    source: RegistryPackage | NestedArchive | HubFiles
    folder: str  # where in the source the model is
    settings: Mapping[str, str]

    @property
    def weights(self) -> str:
        """Hash of the weights, or the commit that stands for it where the hub states the hash."""
        known = self.source.files[f"{self.folder}model.safetensors"]
        if known is not None:
            return known
        assert isinstance(self.source, HubFiles)
        return f"{self.source.repository}@{self.source.revision}"


@dataclass(frozen=True)
class _Rule:
    """An encoder without weights: a rule that needs no cache either."""

    settings: Mapping[str, str]
    encode: Callable[[Sequence[str]], NDArray[np.float32]]


def _rule(name: str) -> _Rule | None:
    """Return the rule of this name; None if it is another encoder."""
    if name == HASHING:
        return _Rule(
            {
                "pooling": "words and pairs of words, hashed",
                "max_length": "unlimited",
                "normalise": "yes",
                "width": str(HASHING_WIDTH),
            },
            _hash,
        )
    if (width := numbers_width(name)) is not None:
        return _Rule(
            {
                "pooling": "the numbers of the text as they stand",
                "max_length": str(width),
                "normalise": "no",
                "width": str(width),
            },
            partial(read_numbers, width=width),
        )
    return None


def encoder_names() -> list[str]:
    """Return the registered names; besides, there are forms.

    They are those of `qlmbench.data.tokens` and of `qlmbench.data.numbers`.
    """
    return sorted([*_REGISTERED, HASHING])


def encoder_identity(name: str) -> dict[str, str]:
    """Return what an encoder is, without loading it, without torch and without a network.

    Parameters
    ----------
    name : str
        A registered name, or the path of a folder with a sentence-transformers model.

    Returns
    -------
    dict of str to str
        ``name``; ``weights``, a hash; ``pooling``, ``max_length``, ``normalise`` and ``width``;
        ``version`` of our code.

    Raises
    ------
    UserError
        If there is neither an encoder nor a model folder of this name.
    """
    if (rule := _rule(name)) is not None:
        return {"name": name, "weights": "none", **rule.settings, "version": CODE_VERSION}
    if (tokens := token_encoder(name)) is not None:
        return {"name": _shown(name), **tokens.identity}
    if (known := _REGISTERED.get(name)) is not None:
        shown, weights, settings = name, known.weights, known.settings
    else:
        folder = _folder(name)
        shown, weights, settings = folder.resolve().name, _weights_of(folder), settings_of(folder)
    return {"name": shown, "weights": weights, **settings, "version": CODE_VERSION}


def encode(
    name: str, texts: Sequence[str], *, progress: Progress | None = None, jobs: int = 1
) -> NDArray[np.float32]:
    """Return the features of texts; only those that the cache does not have are computed.

    Parameters
    ----------
    name : str
        A registered name, or the path of a folder with a sentence-transformers model.
    texts : sequence of str, length n
        Sentences; each is encoded once however often it occurs.
    progress : callable, optional
        Told how many texts are done.
    jobs : int
        Number of threads.

    Returns
    -------
    ndarray of float32, shape (n, width)

    Raises
    ------
    ValueError
        If there are no texts, or one of them is empty.
    UserError
        If there is no such encoder, it cannot be fetched, the cache cannot be written, or numbers
        are asked of a text that has others.
    """
    check_texts(texts)
    if (rule := _rule(name)) is not None:
        return rule.encode(texts)
    identity = encoder_identity(name)

    def load() -> TransformerEncoder:
        return _load(name, identity["weights"], progress)

    return encode_missing(identity, texts, load, progress=progress, threads=jobs)


def encoder_folder(name: str) -> Path:
    """Return the folder of an encoder, fetched if it is not there; sentence-transformers opens it.

    Parameters
    ----------
    name : str
        A registered name, or the path of a folder with a sentence-transformers model.

    Raises
    ------
    UserError
        If there is no such encoder, it has no weights, or it cannot be fetched.
    """
    if _rule(name) is not None or token_encoder(name) is not None:
        raise UserError(f"the encoder {name!r} has no weights and no folder")
    if (known := _REGISTERED.get(name)) is None:
        return _folder(name)
    return fetch(known.source)[f"{known.folder}modules.json"].parent


def check_texts(texts: Sequence[str]) -> None:
    """Refuse what has no features.

    Raises
    ------
    ValueError
        If there are no texts, or one of them is empty.
    """
    if not texts:
        raise ValueError("no texts to encode; give at least one")
    empty = [i for i, text in enumerate(texts) if not text.strip()]
    if empty:
        raise ValueError(f"text {empty[0]} of {len(texts)} is empty; every text needs a word")


def encode_missing(
    identity: Mapping[str, str],
    texts: Sequence[str],
    load: Callable[[], TransformerEncoder],
    *,
    progress: Progress | None = None,
    threads: int = 1,
) -> NDArray[np.float32]:
    """Return the features of texts; the encoder is loaded only if the cache does not have them all.

    Parameters
    ----------
    identity : mapping of str to str
        What decides the vectors, with a ``name`` to show and the ``width``; names the cache file.
    texts : sequence of str, length n
        Sentences; each is encoded once however often it occurs.
    load : callable
        Gives the encoder of this identity.
    progress : callable, optional
        Told how many texts are done.
    threads : int
        Number of threads.

    Returns
    -------
    ndarray of float32, shape (n, width)

    Raises
    ------
    UserError
        If the cache cannot be written, and what ``load`` raises.
    """
    import numpy as np

    cache = FeatureCache(_cache_file(identity), int(identity["width"]))
    keys = [text_key(text) for text in texts]
    found = cache.read(list(dict.fromkeys(keys)))
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
    if missing:
        encoder = load()
        for done in _compute(encoder, missing, threads):
            cache.write(done)
            found.update(done)
            if progress:
                progress(f"encoding with {identity['name']}", len(found), len(set(keys)))
    return np.stack([found[key] for key in keys])


def take_encoder(name: str, progress: Progress | None = None) -> TransformerEncoder:
    """Load an encoder for the caller alone, who may change its weights.

    One that `encode` has in memory is handed over, not copied; `encode` then loads its own again.

    Parameters
    ----------
    name : str
        A registered name other than "hashing", or the path of a model folder.
    progress : callable, optional
        Told what is being fetched.

    Returns
    -------
    TransformerEncoder

    Raises
    ------
    UserError
        If there is no such encoder, or it cannot be fetched.
    """
    encoder = _load(name, encoder_identity(name)["weights"], progress)
    _load_cached.cache_clear()
    return encoder


def _cache_file(identity: Mapping[str, str]) -> Path:
    what = [f"{key}={identity[key]}" for key in sorted(identity) if key != "name"]
    stem = f"{identity['name']}-{identity_digest(*what)[:16]}"
    return cache_folder() / "features" / f"{stem}.sqlite"


def _compute(
    encoder: TransformerEncoder, missing: Mapping[bytes, str], jobs: int
) -> Iterator[dict[bytes, NDArray[np.float32]]]:
    """Yield vectors by key, about `SENTENCES_A_WRITE` at a time, so that little is ever lost."""
    keys, waiting = list(missing), {}
    for rows, vectors in encoder.encode(list(missing.values()), threads=jobs):
        waiting.update({keys[row]: vector for row, vector in zip(rows, vectors, strict=True)})
        if len(waiting) >= SENTENCES_A_WRITE:
            yield waiting
            waiting = {}
    if waiting:
        yield waiting


@lru_cache(maxsize=1)  # weights are hundreds of MB: keep the encoder in use, and no other
def _load_cached(name: str, weights: str) -> TransformerEncoder:
    folder = encoder_folder(name)
    settings = settings_of(folder)
    known = _REGISTERED.get(name)
    if known is not None and settings != dict(known.settings):  # its identity would not say that
        raise CorruptFileError(f"{folder}: settings {settings}", expected=f"{dict(known.settings)}")
    return TransformerEncoder(folder, settings)


def _load(name: str, weights: str, progress: Progress | None) -> TransformerEncoder:
    if progress:
        progress(f"loading {name}", 0, 0)
        if (known := _REGISTERED.get(name)) is not None:
            fetch(known.source, progress=progress)
    return _load_cached(name, weights)


def _hash(texts: Sequence[str]) -> NDArray[np.float32]:
    """Count hashed words and pairs of words."""
    import numpy as np
    from sklearn.feature_extraction.text import HashingVectorizer

    counter = HashingVectorizer(
        n_features=HASHING_WIDTH, ngram_range=(1, 2), norm="l2", dtype=np.float32
    )
    features: NDArray[np.float32] = counter.transform(texts).toarray()
    return features


def _folder(name: str) -> Path:
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if "/" in name or "\\" in name:
        raise UserError(f"{folder}: no such folder", expected="a sentence-transformers model")
    known = [*encoder_names(), NUMBERS_FORM, *FORMS]
    raise unknown("encoder", name, known, "qlmbench, and no folder either")


def _shown(name: str) -> str:
    """Leave of a model's folder that an encoder names its own name: where it lies is no matter."""
    head, colon, tail = name.partition(":")
    if not (colon and Path(tail).expanduser().is_absolute()):
        return name
    return f"{head}:{Path(tail).name}"


def _weights_of(folder: Path) -> str:
    """Hash all in a model folder that its vectors depend on: weights, tokeniser, settings."""
    kinds = {".json", ".txt", ".safetensors", ".model"}
    files = sorted(p for p in [*folder.glob("*"), *folder.glob("*_*/*")] if p.suffix in kinds)
    return identity_digest(
        *[f"{p.relative_to(folder).as_posix()}:{sha256_of_file(p)}" for p in files if p.is_file()]
    )


def _sentence_settings(max_length: int, width: int, *, normalise: bool) -> dict[str, str]:
    return {
        "pooling": "mean",
        "max_length": str(max_length),
        "normalise": "yes" if normalise else "no",
        "width": str(width),
    }


_REGISTERED = {
    "all-MiniLM-L6-v2": _Registered(
        MINILM, MINILM_FOLDER, _sentence_settings(256, 384, normalise=True)
    ),
    "all-mpnet-base-v2": _Registered(
        MPNET, MPNET_FOLDER, _sentence_settings(384, 768, normalise=True)
    ),
    "paraphrase-mpnet-base-v2": _Registered(
        PARAPHRASE_MPNET, "", _sentence_settings(512, 768, normalise=False)
    ),
}
