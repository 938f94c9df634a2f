"""The contract's comparison of two runs sees a difference wherever there is one."""

from pathlib import Path

import pytest
from tests.test_store import outcome

from qlmbench.records import AttentionMap, AttentionMaps, Condition, Conditions, Outcome, Tuning
from qlmbench.store import Store
from qlmbench.testing import VARIES, _assert_equal, comparable

KEY = outcome(0).record.id


def whole() -> Outcome:
    """Make a trial that leaves a row in every table."""
    tuning = Tuning(
        id=KEY, configurations=[{"C": 1}], validation_accuracy=[0.5], validation_loss=[0.7]
    )
    conditions = Conditions(id=KEY, rows=[Condition(name="shots", value=1, metrics={"m": 0.5})])
    shown = AttentionMaps(id=KEY, maps=[AttentionMap(tokens=["a"], weights=[[1.0]])])
    more = {"tuning": tuning, "conditions": conditions, "attention": shown}
    return outcome(0).model_copy(update=more)


def saved(folder: Path, *outcomes: Outcome) -> Store:
    store = Store(folder)
    for one in outcomes:
        store.save(one)
    return store


CHANGES = {
    "records": {"record": {"metrics": {"test_accuracy": 0.500001}}},
    "predictions": {"predictions": {"validation": "11"}},
    "predictions ": {"predictions": {"test": "0111"}},
    "predictions  ": {"predictions": {"texts": "a red circle"}},
    "curves": {"curves": {"values": {"train_loss": [1.0, 0.50001]}}},
    "tuning": {"tuning": {"validation_loss": [0.70001]}},
    "conditions": {"conditions": {"rows": []}},
    "attention": {"attention": {"maps": []}},
    "splits": {"split": {"validation": "11"}},
}


@pytest.mark.parametrize("table", CHANGES)
def test_a_difference_in_any_table_is_named(tmp_path: Path, table: str) -> None:
    expected = comparable(saved(tmp_path / "a", whole()))
    assert all(rows for name, rows in expected.items() if name != "failures")
    update = {
        part: getattr(whole(), part).model_copy(update=values)
        for part, values in CHANGES[table].items()
    }
    found = comparable(saved(tmp_path / "b", whole().model_copy(update=update)))
    with pytest.raises(AssertionError, match=f"alone: {table.strip()} of "):
        _assert_equal("alone", found, expected)


def test_a_failure_and_a_missing_trial_are_differences(tmp_path: Path) -> None:
    expected = comparable(saved(tmp_path / "a", outcome(0), outcome(1)))
    failed = comparable(saved(tmp_path / "b", outcome(0), outcome(1, status="failed")))
    for found, reference in ((failed, expected), (expected, failed)):
        with pytest.raises(AssertionError, match=r"records of 0+1 differ"):
            _assert_equal("alone", found, reference)


def test_how_a_record_was_made_is_no_difference(tmp_path: Path) -> None:
    record = outcome(0).record
    measured = {
        **{"seconds": 9.0, "seconds_per_epoch": 2.0, "peak_memory_mb": 7.0, "stacked": 3},
        **{"finished": "2026-01-01T00:00:00+00:00", "environment": "e"},
    }
    assert measured.keys() == VARIES
    other = outcome(0).model_copy(update={"record": record.model_copy(update=measured)})
    stores = saved(tmp_path / "a", outcome(0)), saved(tmp_path / "b", other)
    _assert_equal("alone", *(comparable(store) for store in stores))
