"""A trial's identity holds what changes the outcome, and nothing else."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlmbench.errors import UserError
from qlmbench.plan import IDENTITY_VERSION, Plan, Trial, make_plan
from qlmbench.registry import get_study
from qlmbench.spec import Selection, Split

GOLDEN = Trial(
    study="s",
    study_version=1,
    arm="a",
    model="m:C",
    params={"epochs": 3},
    tune={"C": [1.0, 2.0]},
    shuffle_labels=False,
    dataset={"name": "toy", "sha256": "00"},
    encoder={"name": "hashing", "weights": "11"},
    split=Split(
        train=Selection(per_class=8),
        validation=Selection(part="validation", rows=(0, 250)),
        test=Selection(part="validation", rest=True),
    ),
    repetition=0,
)


def changed(**fields: object) -> Trial:
    return Trial.model_validate(GOLDEN.model_dump() | fields)


def test_the_identity_of_this_version_does_not_change() -> None:
    # If this fails, old records would be run again: raise IDENTITY_VERSION with a reason, or
    # undo the change.
    assert (IDENTITY_VERSION, GOLDEN.id) == (1, "e55fd97f50b79e81")


@pytest.mark.parametrize(
    "change",
    [
        {"repetition": 1},
        {"arm": "b"},
        {"params": {"epochs": 4}},
        {"tune": {}},
        {"shuffle_labels": True},
        {"study_version": 2},
        {"dataset": {"name": "toy", "sha256": "01"}},
        {"encoder": {"name": "hashing", "weights": "12"}},
    ],
)
def test_what_changes_the_outcome_changes_the_identity(change: dict[str, object]) -> None:
    assert changed(**change).id != GOLDEN.id


@given(st.text(), st.text())
def test_names_of_folders_do_not_change_the_identity(dataset: str, encoder: str) -> None:
    renamed = changed(
        dataset=GOLDEN.dataset | {"name": dataset}, encoder=GOLDEN.encoder | {"name": encoder}
    )
    assert renamed.id == GOLDEN.id


def smoke(**options: object) -> Plan:
    return make_plan(get_study("qllm"), "smoke", **options)  # type: ignore[arg-type]


def test_more_repetitions_keep_the_identities_of_the_first_ones() -> None:
    few = {trial.id for trial in smoke(repetitions=2).trials}
    many = {trial.id for trial in smoke(repetitions=5).trials}
    assert few < many
    assert len(many) == len(smoke(repetitions=5).trials)


def test_arms_are_chosen_by_name_and_pattern() -> None:
    plan = smoke(arms=("logreg", "photonic-8m*p"))
    assert {arm.name for arm in plan.arms} == {
        "logreg",
        *(f"photonic-8m{n}p" for n in (1, 2, 3, 4)),
    }


def test_a_copied_data_folder_gives_the_same_trials(tmp_path: Path) -> None:
    rows = [f"sentence {i}\t{i % 2}" for i in range(40)]
    for name in ("train", "validation"):
        text = "\n".join(["sentence\tlabel", *(f"{name} {row}" for row in rows)])
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / f"{name}.tsv").write_text(text + "\n", encoding="utf-8")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    ids = [{t.id for t in smoke(data=str(tmp_path / n)).trials} for n in "ab"]
    assert ids[0] == ids[1]
    assert smoke(data=str(tmp_path / "a")).run_name == "smoke-a"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"arms": ("logrg",)}, "did you mean 'logreg'"),
        ({"repetitions": 0}, "0 repetitions"),
        ({"data": "rotten-tomatos"}, "rotten-tomatos"),
        ({"encoder": "all-mpnet"}, "all-mpnet"),
    ],
)
def test_what_is_not_known_is_named(options: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        smoke(**options)


def test_an_unknown_profile_is_named() -> None:
    with pytest.raises(UserError, match=r"unknown profile 'defalt'.*did you mean 'default'"):
        make_plan(get_study("qllm"), "defalt")
