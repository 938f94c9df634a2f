"""What trials keep beside their records: predictions, captions, where their attention goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qlmbench.packing import holds_classes
from qlmbench.records import AttentionMap, Predictions, Record, SplitLabels
from qlmbench.report import unpacked
from qlmbench.report.wording import plural
from qlmbench.store import Store


def correct_rows(
    records: list[Record],
    predictions: dict[str, Predictions],
    splits: dict[int, SplitLabels],
    folder: Path,
) -> dict[str, dict[int, NDArray[np.bool_]]]:
    """Compare the stored predictions with the true labels of their repetition.

    Returns
    -------
    dict
        By arm and repetition, which test rows were predicted right; without trials whose
        predictions are missing, of other rows, or no classes.
    """
    truth = {
        r: unpacked.classes(split.test, f"{folder}, repetition {r}")
        for r, split in splits.items()
        if split.test
    }
    correct: dict[str, dict[int, NDArray[np.bool_]]] = {}
    for record in records:
        stored = predictions.get(record.id)
        if stored is None or not stored.test or record.repetition not in truth:
            continue
        if not holds_classes(stored.test):  # a language model's are no classes
            continue
        where = f"{folder}, {record.arm}, repetition {record.repetition}"
        predicted = unpacked.classes(stored.test, where)
        if len(predicted) == len(truth[record.repetition]):
            right = predicted == truth[record.repetition]
            correct.setdefault(record.arm, {})[record.repetition] = right
    return correct


def without_predictions(
    records: list[Record], correct: dict[str, dict[int, NDArray[np.bool_]]]
) -> list[str]:
    """Say how many trials have no usable predictions, where others have them."""
    n = sum(record.repetition not in correct.get(record.arm, {}) for record in records)
    if not correct or n == 0:
        return []
    return [f"{plural(n, 'record')} without predictions that fit the test rows: no row bootstrap"]


def written_texts(
    records: list[Record], predictions: dict[str, Predictions], folder: Path
) -> dict[str, dict[int, list[str]]]:
    """Return what models wrote for their test rows, by arm and repetition."""
    written: dict[str, dict[int, list[str]]] = {}
    for record in records:
        stored = predictions.get(record.id)
        if stored is not None and stored.texts:
            where = f"{folder}, {record.arm}, repetition {record.repetition}"
            texts = unpacked.texts(stored.texts, where)
            written.setdefault(record.arm, {})[record.repetition] = texts
    return written


def attention_maps(records: list[Record], store: Store) -> dict[str, dict[int, list[AttentionMap]]]:
    """Return the stored maps of attention by arm and repetition."""
    stored = store.attention()
    found: dict[str, dict[int, list[AttentionMap]]] = {}
    for record in records:
        if record.id in stored:
            found.setdefault(record.arm, {})[record.repetition] = stored[record.id].maps
    return found
