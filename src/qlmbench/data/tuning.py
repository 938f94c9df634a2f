"""Encoders tuned on the training sentences of one repetition, and their features.

The loss is the supervised contrastive one (Khosla et al. 2020, arXiv 2004.11362), as in the
few-shot tuning of sentence encoders (SetFit: Tunstall et al. 2022, arXiv 2209.11055). All runs on
the CPU. Weights are hundreds of megabytes a repetition and are never written: only features are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qlmbench.data.batches import class_quotas
from qlmbench.data.cache import Progress
from qlmbench.data.digests import identity_digest
from qlmbench.data.encoders import (
    HASHING,
    check_texts,
    encode_missing,
    encoder_identity,
    encoder_names,
    take_encoder,
)
from qlmbench.data.transformer import TransformerEncoder
from qlmbench.errors import UserError
from qlmbench.spec import EncoderTuning

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CODE_VERSION = "1"
"""Raised when our code tunes to other weights from the same sentences and seed."""


def encode_tuned(
    encoder: str,
    tuning: EncoderTuning,
    sentences: Sequence[str],
    labels: Sequence[int],
    texts: Sequence[str],
    seed: int,
    *,
    progress: Progress | None = None,
    threads: int = 1,
) -> NDArray[np.float32]:
    """Return the features of texts under an encoder tuned on labelled sentences.

    Features are cached by all that decides them: the encoder, the tuning, the labelled sentences
    (in any order) and the seed. Where all texts are cached, no encoder is loaded. Where some are
    missing it is tuned again, to the same weights, and the missing ones are encoded: tuned weights
    are never written, and are gone from memory when this returns.

    Parameters
    ----------
    encoder : str
        A registered name, or the path of a folder with a sentence-transformers model.
    tuning : EncoderTuning
        Steps, batches, temperature, learning rate, layers.
    sentences : sequence of str, length n
        What to tune on.
    labels : sequence of int, length n
        Their classes.
    texts : sequence of str, length m
        What to encode; each is encoded once however often it occurs.
    seed : int
        Decides the batches and the dropout; not negative.
    progress : callable, optional
        Told the steps and the texts that are done.
    threads : int
        Number of threads. With one, equal calls on one machine give results equal to the bit.

    Returns
    -------
    ndarray of float32, shape (m, width)

    Raises
    ------
    ValueError
        If there are no texts or sentences, one is empty, or labels are not one a sentence.
    UserError
        If the encoder is unknown, cannot be fetched or cannot be tuned so, the sentences leave the
        loss without a positive pair, the tuning diverges, or the cache cannot be written.
    """
    check_texts(texts)
    pairs = _pairs(sentences, labels)
    if encoder == HASHING:
        raise UserError(
            f"encoder {HASHING!r} has no weights to tune",
            expected="a model folder or one of "
            + ", ".join(name for name in encoder_names() if name != HASHING),
            do="name another encoder or leave the tuning out",
        )
    ordered, classes = [sentence for _, sentence in pairs], [label for label, _ in pairs]
    class_quotas(classes, tuning.batch_size)  # refuses what no step could learn from

    def load() -> TransformerEncoder:
        from qlmbench.data.contrastive import tune

        own = take_encoder(encoder, progress)
        tune(own, tuning, ordered, classes, seed, progress=progress, threads=threads)
        return own

    identity = _identity(encoder, tuning, pairs, seed)
    return encode_missing(identity, texts, load, progress=progress, threads=threads)


def _pairs(sentences: Sequence[str], labels: Sequence[int]) -> list[tuple[int, str]]:
    """Sort sentences by label and text, so that the order in which they come changes nothing."""
    if len(sentences) != len(labels):
        raise ValueError(f"{len(sentences)} sentences and {len(labels)} labels; give one each")
    check_texts(sentences)
    return sorted((int(label), sentence) for label, sentence in zip(labels, sentences, strict=True))


def _identity(
    encoder: str, tuning: EncoderTuning, pairs: Sequence[tuple[int, str]], seed: int
) -> dict[str, str]:
    frozen = encoder_identity(encoder)
    rows = [field for label, sentence in pairs for field in (str(label), sentence)]
    return {
        **frozen,
        **{f"tuning.{key}": repr(value) for key, value in tuning.model_dump().items()},
        "tuning": CODE_VERSION,
        "sentences": identity_digest(*rows),
        "seed": str(seed),
        "name": f"{frozen['name']}-tuned",
    }
