"""Stored entries as data frames."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from qlmbench.records import Conditions, Curves, Record, Tuning
from qlmbench.spec import SECONDS_PER_EPOCH


def records_frame(records: list[Record]) -> pd.DataFrame:
    """Put records in a frame: one row each, metrics and counts as columns."""
    columns = ["id", "study", "arm", "repetition", "seconds", "environment", "finished", "error"]
    rows = [_row(record) for record in records]
    frame = pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)
    return frame.sort_values(["arm", "repetition"], ignore_index=True) if rows else frame


def _row(record: Record) -> dict[str, object]:
    row: dict[str, object] = {
        "study": record.study,
        "arm": record.arm,
        "repetition": record.repetition,
        **record.metrics,
        "seconds": record.seconds,
        "stacked": record.stacked,
        "peak_memory_mb": record.peak_memory_mb,
    }
    if record.seconds_per_epoch is not None:
        row[SECONDS_PER_EPOCH] = record.seconds_per_epoch
    if (counts := record.parameters) is not None:
        row |= {
            "parameters_classical": counts.classical,
            "parameters_quantum": counts.quantum,
            "parameters_total": counts.total,
            "parameters_effective": counts.effective,
            "parameters_dead": counts.dead,
            "dead_in": ", ".join(f"{name} {n:,}" for name, n in counts.dead_in.items()),
        }
    if record.cost is not None:
        row |= {"circuits": record.cost.circuits, "shots": record.cost.shots}
    row |= {f"chosen_{key}": value for key, value in record.chosen.items()}
    return row | {
        "environment": record.environment,
        "finished": record.finished,
        "error": record.error,
        "id": record.id,
    }


def curves_frame(records: dict[str, Record], curves: dict[str, Curves]) -> pd.DataFrame:
    """Put training curves in a frame: arm, repetition, epoch, curve, value."""
    known = [row for row in curves.values() if row.id in records]
    lines = [(row, name, values) for row in known for name, values in row.values.items()]
    sizes = [len(values) for _, _, values in lines]
    if not lines:
        return pd.DataFrame(columns=["arm", "repetition", "epoch", "curve", "value"])

    def column(values: list[str]) -> pd.Series[str]:
        # A row an epoch of every trial is much: each name is stored once.
        return pd.Series(pd.Categorical(values).repeat(sizes))

    return pd.DataFrame(
        {
            "arm": column([records[row.id].arm for row, _, _ in lines]),
            "repetition": np.repeat([records[row.id].repetition for row, _, _ in lines], sizes),
            "epoch": np.concatenate([row.epochs for row, _, _ in lines]),
            "curve": column([name for _, name, _ in lines]),
            "value": np.concatenate([values for _, _, values in lines]),
        }
    )


def tuning_frame(records: dict[str, Record], tuning: dict[str, Tuning]) -> pd.DataFrame:
    """Put what tuning tried in a frame: one row a configuration of a trial."""
    rows = []
    for row in tuning.values():
        if row.id not in records:
            continue
        record = records[row.id]
        for configuration, accuracy, loss in zip(
            row.configurations, row.validation_accuracy, row.validation_loss, strict=True
        ):
            text = json.dumps(configuration, sort_keys=True)
            chosen = text == json.dumps(record.chosen, sort_keys=True)
            rows.append((record.arm, record.repetition, text, accuracy, loss, chosen))
    columns = ["arm", "repetition", "configuration", "accuracy", "loss", "chosen"]
    return pd.DataFrame(rows, columns=columns)


def conditions_frame(records: dict[str, Record], conditions: dict[str, Conditions]) -> pd.DataFrame:
    """Put scores under other conditions in a frame: one row a trial and condition."""
    rows: list[dict[str, object]] = [
        {
            "arm": records[row.id].arm,
            "repetition": records[row.id].repetition,
            "condition": condition.name,
            "value": condition.value,
            **condition.metrics,
        }
        for row in conditions.values()
        if row.id in records
        for condition in row.rows
    ]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["arm", "repetition", "condition"])
