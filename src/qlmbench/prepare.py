"""What a run needs before it trains: rows drawn, texts encoded, encoders tuned."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from qlmbench.packing import pack_classes, pack_rows
from qlmbench.plan import Plan
from qlmbench.progress import Say, throttled
from qlmbench.records import SplitLabels
from qlmbench.seeding import seed_for

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qlmbench.data.cache import Progress
    from qlmbench.data.datasets import Dataset
    from qlmbench.data.splits import Rows
    from qlmbench.data.tokens import TokenEncoder, Vocabulary
    from qlmbench.experiment import RepetitionData
    from qlmbench.spec import EncoderTuning

Data = dict[int, "RepetitionData"]
"""Data by repetition."""


def prepare(plan: Plan, repetitions: Sequence[int], say: Say, jobs: int = 1) -> Data:
    """Draw the rows of repetitions and encode the texts they hold.

    Parameters
    ----------
    plan : Plan
        Names the dataset, the encoder and the split.
    repetitions : sequence of int
        Which repetitions.
    say : callable
        Receives lines of progress.
    jobs : int
        Processes for tuning encoders, where the setting asks for that.

    Returns
    -------
    dict of int to RepetitionData
    """
    from qlmbench.data.datasets import load_dataset
    from qlmbench.data.encoders import encode
    from qlmbench.data.splits import draw
    from qlmbench.data.tokens import token_encoder

    progress = throttled(say)
    dataset = load_dataset(plan.dataset, progress=progress)
    split = plan.protocol.split
    drawn = {
        r: draw(dataset, split, seed_for("data", dataset=dataset.sha256, repetition=r))
        for r in repetitions
    }
    tuning = plan.protocol.encoder_tuning
    if tuning is not None:
        return _tuned(plan, tuning, dataset, drawn, say, jobs)
    tokens = token_encoder(plan.encoder)
    if tokens is not None:
        return {r: _tokenised(tokens, dataset, r, rows, progress) for r, rows in drawn.items()}
    texts = sorted({text for rows in drawn.values() for text in _texts(dataset, rows)})
    features = encode(plan.encoder, texts, progress=progress, jobs=os.cpu_count() or 1)
    index = {text: i for i, text in enumerate(texts)}
    return {r: _repetition(r, dataset, rows, index, features) for r, rows in drawn.items()}


def _tuned(
    plan: Plan,
    tuning: EncoderTuning,
    dataset: Dataset,
    drawn: dict[int, Rows],
    say: Say,
    jobs: int,
) -> Data:
    """Tune an encoder in each repetition, on its training rows, and encode its rows with that."""
    from joblib import Parallel, delayed

    work = (
        delayed(_tuned_repetition)(plan.encoder, tuning, dataset, r, rows)
        for r, rows in drawn.items()
    )
    results: Data = {}
    for result in Parallel(n_jobs=jobs, return_as="generator_unordered")(work):
        results |= result
        say(f"encoders tuned: {len(results)} of {len(drawn)} repetitions")
    return results


def _tuned_repetition(
    encoder: str, tuning: EncoderTuning, dataset: Dataset, repetition: int, rows: Rows
) -> Data:
    from qlmbench.data.splits import select
    from qlmbench.data.tuning import encode_tuned

    sentences, labels = select(dataset, rows.train)
    texts = sorted(set(_texts(dataset, rows)))
    seed = seed_for("encoder", repetition=repetition)
    features = encode_tuned(encoder, tuning, sentences, labels.tolist(), texts, seed)
    index = {text: i for i, text in enumerate(texts)}
    return {repetition: _repetition(repetition, dataset, rows, index, features)}


def _tokenised(
    encoder: TokenEncoder, dataset: Dataset, repetition: int, rows: Rows, progress: Progress
) -> RepetitionData:
    """Make the vocabulary of the training texts, and turn all texts into ids with it."""
    from qlmbench.data.splits import select

    vocabulary = encoder.fit(select(dataset, rows.train)[0])
    texts = sorted(set(_texts(dataset, rows)))
    index = {text: i for i, text in enumerate(texts)}
    ids = vocabulary.encode(texts, progress)
    return _repetition(repetition, dataset, rows, index, ids, vocabulary)


def _repetition(
    repetition: int,
    dataset: Dataset,
    rows: Rows,
    index: dict[str, int],
    features: NDArray[np.float32 | np.int32],
    vocabulary: Vocabulary | None = None,
) -> RepetitionData:
    """Collect where the features of each role stand, and its labels."""
    import numpy as np

    from qlmbench.data.splits import positions, select
    from qlmbench.experiment import RepetitionData

    places, labels = {}, {}
    for role in ("train", "validation", "test"):
        texts, labels[role] = select(dataset, getattr(rows, role))
        places[role] = np.array([index[text] for text in texts])
    split = SplitLabels(
        repetition=repetition,
        digest=rows.digest,
        test_digest=rows.test_digest,
        n_train=len(rows.train),
        validation=pack_classes(labels["validation"].tolist()),
        test=pack_classes(labels["test"].tolist()),
        test_rows=pack_rows(*positions(dataset, rows.test)),
    )
    return RepetitionData(features, places, labels, split, len(dataset.classes), vocabulary)


def _texts(dataset: Dataset, rows: Rows) -> Iterator[str]:
    for keys in (rows.train, rows.validation, rows.test):
        for part, i in keys:
            yield dataset.parts[part].texts[i]
