"""A trial's identity holds what changes the outcome, and nothing else."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from qlmbench.errors import UserError
from qlmbench.plan import IDENTITY_VERSION, Plan, Trial, make_plans
from qlmbench.registry import get_study
from qlmbench.spec import Selection, Split, Study

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


def test_what_is_only_shown_does_not_change_the_identity() -> None:
    study = get_study("qllm")
    shown = {
        name: setting.model_copy(
            update={"pareto": True, "compare": ["logreg"], "reference": "logreg", "note": "N"}
        )
        for name, setting in study.settings.items()
    }
    other = study.model_copy(update={"settings": shown, "diagnostics": {"spread": "how far"}})
    ids = [{t.id for p in make_plans(s, "smoke") for t in p.trials} for s in (study, other)]
    assert ids[0] == ids[1]


def smoke(**options: object) -> Plan:
    return make_plans(get_study("qllm"), "smoke", **options)[0]  # type: ignore[arg-type]


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
    ids = [{t.id for t in smoke(data=[str(tmp_path / n)]).trials} for n in "ab"]
    assert ids[0] == ids[1]
    assert smoke(data=[str(tmp_path / "a")]).run_name == "smoke-a"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"arms": ("logrg",)}, "did you mean 'logreg'"),
        ({"repetitions": 0}, "0 repetitions"),
        ({"data": ["rotten-tomatos"]}, "rotten-tomatos"),
        ({"data": ["sst=toy"]}, "no setting of this run uses the dataset 'sst'"),
        ({"settings": ["few"]}, "unknown setting 'few'"),
        ({"encoder": "all-mpnet"}, "all-mpnet"),
    ],
)
def test_what_is_not_known_is_named(options: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        smoke(**options)


def test_an_unknown_profile_is_named() -> None:
    with pytest.raises(UserError, match=r"unknown profile 'defalt'.*did you mean 'default'"):
        make_plans(get_study("qllm"), "defalt")


SPLIT = {"train": {"per_class": 2}, "validation": {"count": 2}, "test": {"rest": True}}
SETTINGS = {
    "name": "s",
    "version": 1,
    "summary": "S",
    "paper": {"title": "T", "authors": "A", "year": 2025, "says": "S"},
    "arms": [
        {"name": "a", "kind": "baseline", "model": "x:Y", "params": {"epochs": 9}},
        {"name": "b", "kind": "paper", "model": "x:Y", "params": {"epochs": 9}},
    ],
    "settings": {
        "few": {"split": SPLIT},
        "many": {"split": SPLIT, "arms": ["a"], "overrides": {"epochs": 4}, "repetitions": 5},
        "other": {"split": SPLIT, "dataset": "vader-movies", "encoder_tuning": {"steps": 3}},
    },
    "profiles": {
        "default": {
            "dataset": "toy",
            "encoder": "hashing",
            "repetitions": 2,
            "overrides": {"epochs": 7},
            "settings": {"few": {}, "many": {"repetitions": 3}, "other": {}},
        }
    },
}

CLAIM = {"id": "c", "statement": "S", "arm": "b", "versus": "a", "source": "T"}


def study(**changes: object) -> Study:
    return Study.model_validate(SETTINGS | changes)


def test_a_profile_runs_its_settings_each_in_a_folder_of_its_own() -> None:
    plans = {plan.info.setting: plan for plan in make_plans(study(), "default")}
    assert list(plans) == ["few", "many", "other"]
    assert plans["few"].folder == Path("s/default/few")
    assert len(plans["few"].trials) == 2 * 2
    assert [t.arm for t in plans["many"].trials] == ["a"] * 3, "the profile's number of repetitions"
    assert plans["few"].trials[0].params == {"epochs": 7}
    assert plans["many"].trials[0].params == {"epochs": 4}, "a setting is closer than a profile"
    assert plans["other"].info.dataset["name"] == "vader-movies"


def test_a_setting_may_search_other_values_of_what_an_arm_tunes() -> None:
    arms = [{"name": "a", "kind": "paper", "model": "x:Y", "tune": {"C": [1, 2], "lr": [3]}}]
    settings = {"few": {"split": SPLIT}, "many": {"split": SPLIT, "tune": {"C": [5]}}}
    profile = {"dataset": "toy", "encoder": "hashing", "repetitions": 2}
    profiles = {"default": profile | {"settings": {"few": {}, "many": {}}}}
    few, many = make_plans(study(arms=arms, settings=settings, profiles=profiles), "default")
    assert few.trials[0].tune == {"C": [1, 2], "lr": [3]}
    assert many.trials[0].tune == {"C": [5], "lr": [3]}
    typo = settings | {"many": {"split": SPLIT, "tune": {"D": [5]}}}
    with pytest.raises(
        ValidationError, match="setting 'many': none of its arms tunes the argument 'D'"
    ):
        study(arms=arms, settings=typo, profiles=profiles)


def test_settings_and_arms_are_chosen_together() -> None:
    assert [p.info.setting for p in make_plans(study(), "default", arms=["b"])] == ["few", "other"]
    assert [p.info.setting for p in make_plans(study(), "default", settings=["m*"])] == ["many"]
    with pytest.raises(UserError, match="no setting of profile 'default' runs b"):
        make_plans(study(), "default", settings=["many"], arms=["b"])


def test_equal_trials_of_two_settings_have_one_identity() -> None:
    twice = SETTINGS["settings"] | {"again": {"split": SPLIT}}  # type: ignore[operator]
    profile = SETTINGS["profiles"]["default"] | {"settings": {"few": {}, "again": {}}}  # type: ignore[index]
    few, again = make_plans(study(settings=twice, profiles={"default": profile}), "default")
    assert [t.id for t in few.trials] == [t.id for t in again.trials]


def test_a_tuned_encoder_is_another_trial() -> None:
    tuned = changed(encoder_tuning={"steps": 20})
    assert tuned.id != GOLDEN.id
    assert changed(encoder_tuning={"steps": 21}).id != tuned.id


def test_a_named_dataset_is_replaced_wherever_it_is_used(tmp_path: Path) -> None:
    rows = ["sentence\tlabel", *(f"sentence {i}\t{i % 2}" for i in range(40))]
    (tmp_path / "train.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    plans = make_plans(study(), "default", data=[f"vader-movies={tmp_path}"])
    assert [plan.dataset for plan in plans] == ["toy", "toy", str(tmp_path)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"settings": {"few": {}}}, "profile 'default': 'many' is not a setting"),
        ({"claims": [CLAIM | {"setting": "fwe"}]}, "claim 'c': 'fwe' is not.*mean 'few'"),
        ({"claims": [CLAIM | {"versus_setting": "x"}]}, "claim 'c': 'x' is not a setting"),
        (
            {"settings": SETTINGS["settings"] | {"few": {"split": SPLIT, "arms": ["c"]}}},  # type: ignore[operator]
            "setting 'few': no arm is called 'c'",
        ),
        (
            {"settings": SETTINGS["settings"] | {"few": {}}},  # type: ignore[operator]
            "setting 'few': no split is given",
        ),
    ],
)
def test_a_setting_that_cannot_be_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        study(**changes)


@pytest.mark.parametrize("arms", [["a"], ["b"]])
def test_an_override_that_reaches_no_arm_of_its_setting_is_refused(arms: list[str]) -> None:
    declared = [
        {"name": "a", "kind": "paper", "model": "x:Y", "tune": {"lr": [1, 2]}},
        {"name": "b", "kind": "paper", "model": "x:Y", "params": {"other": 1}},
    ]
    settings = {"few": {"split": SPLIT, "arms": arms, "overrides": {"lr": 3}}}
    profile = {"dataset": "toy", "encoder": "hashing", "repetitions": 2, "settings": {"few": {}}}
    with pytest.raises(ValidationError, match="none of its arms has the argument 'lr' to override"):
        study(arms=declared, settings=settings, profiles={"default": profile})


def test_another_encoder_leaves_out_settings_that_have_their_own(tmp_path: Path) -> None:
    settings = {"few": {"split": SPLIT}, "own": {"split": SPLIT, "encoder": "all-MiniLM-L6-v2"}}
    profile = {"dataset": "toy", "encoder": "all-mpnet-base-v2", "repetitions": 2}
    profiles = {"default": profile | {"settings": {"few": {}, "own": {}}}}
    declared = study(settings=settings, profiles=profiles)
    plans = make_plans(declared, "default", encoder="hashing")
    assert [(p.info.setting, p.encoder) for p in plans] == [("few", "hashing")]
    with pytest.raises(UserError, match="has an encoder of its own"):
        make_plans(declared, "default", settings=["own"], encoder="hashing")


def test_one_dataset_is_replaced_once() -> None:
    with pytest.raises(UserError, match="two folders for the dataset 'toy'"):
        make_plans(study(), "default", data=["toy=rotten-tomatoes", "vader-movies"])
