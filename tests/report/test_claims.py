from __future__ import annotations

import dataclasses

import pytest

from qlmbench.errors import UserError
from qlmbench.report.claims import claims_table, headlines, judge_claims
from qlmbench.report.load import load_run
from qlmbench.report.spanning import forest_frame
from qlmbench.stats import Verdict


def judged(fake, folder, **changes):
    run = load_run(fake.study(**changes), folder)
    return {j.claim.id: j for j in judge_claims(run)}


@pytest.fixture(scope="module")
def verdicts(run):
    return {j.claim.id: j for j in judge_claims(run)}


def test_a_claim_whose_arm_has_no_records_is_not_run(verdicts):
    assert verdicts["scale"].verdict.verdict is Verdict.NOT_RUN
    assert verdicts["scale"].effect == "–"


def test_an_arm_far_below_is_not_reproduced(verdicts):
    assert verdicts["published-gain"].verdict.verdict is Verdict.NOT_REPRODUCED


def test_a_large_true_effect_of_the_published_size_is_reproduced(fake, tmp_path):
    skill = fake.SKILL | {"photonic-8-2": 0.80, "logreg": 0.77}
    fake.fill(tmp_path / "default" / "main", repetitions=16, rows=400, skill=skill)
    claims = judged(fake, tmp_path / "default")
    assert claims["gain"].verdict.verdict is Verdict.REPRODUCED
    assert claims["gain"].verdict.effect == pytest.approx(0.04, abs=0.02)


def test_the_effect_is_the_mean_over_repetitions_that_both_arms_have(results, verdicts):
    a = results.values("photonic-8-2", "test_accuracy")
    b = results.values("logreg", "test_accuracy")
    assert verdicts["gain"].verdict.effect == pytest.approx((a - b).mean())


def test_corrected_p_values_are_no_smaller_than_plain_ones(verdicts):
    run = [j.verdict for j in verdicts.values() if j.verdict.n]
    assert all(v.p_holm >= v.p for v in run)


def test_the_interval_with_test_rows_rests_on_the_stored_predictions(results, verdicts):
    found = verdicts["gain"].rows
    assert found is not None
    assert found.n_rows == 240
    assert found.se >= found.se_repetitions > 0
    assert verdicts["gain"].verdict.effect == pytest.approx(found.mean)


def test_test_rows_redrawn_in_every_repetition_are_all_counted(fake, tmp_path):
    fake.fill(tmp_path / "default" / "main", repetitions=10, rows=50, shared=False)
    found = judged(fake, tmp_path / "default")["gain"].rows
    assert found is not None
    assert found.n_rows == 500


def test_too_few_repetitions_are_inconclusive_with_the_reason(fake, tmp_path):
    fake.fill(tmp_path / "default" / "main", repetitions=1)
    claim = judged(fake, tmp_path / "default")["gain"]
    assert claim.verdict.verdict is Verdict.INCONCLUSIVE
    assert "n = 1" in claim.verdict.reason


def test_a_claim_that_contradicts_itself_is_a_users_error(fake, results_folder):
    study = fake.study()
    wrong = study.claims[0].model_copy(update={"published": -0.04})
    folder = results_folder / "fake" / "default"
    run = load_run(study.model_copy(update={"claims": [wrong]}), folder)
    with pytest.raises(UserError, match="direction"):
        judge_claims(run)


def test_a_claim_across_settings_is_paired_by_repetition_and_says_so(several):
    judged = {j.claim.id: j for j in several.judged}
    settings = several.run.settings
    expected = (
        settings["tuned"].values("logreg", "test_accuracy")
        - settings["more"].values("logreg", "test_accuracy")
    ).mean()
    assert judged["regime"].verdict.effect == pytest.approx(expected)
    shown = dict(zip(several.claims.data["claim"], several.claims.shown["setting"], strict=True))
    assert shown["gain"] == "Few rows"
    assert shown["regime"] == "Tuned encoder, against More rows"


def with_rows_of(several, digests):
    """Give the tuned setting other rows, repetition by repetition."""
    tuned = several.run.settings["tuned"]
    splits = {
        r: split.model_copy(update={"digest": digests.get(r, split.digest)})
        for r, split in tuned.splits.items()
    }
    other = dataclasses.replace(tuned, splits=splits)
    settings = several.run.settings | {"tuned": other}
    run = dataclasses.replace(several.run, settings=settings)
    return {j.claim.id: j for j in judge_claims(run)}


def test_two_settings_that_drew_other_rows_cannot_be_compared(several):
    judged = with_rows_of(several, {r: f"other {r}" for r in range(12)})
    assert judged["regime"].verdict.verdict is Verdict.NOT_RUN
    assert "the two settings drew other rows" in judged["regime"].verdict.reason
    assert judged["gain-tuned"].verdict.n == 12


def test_of_two_settings_only_repetitions_on_the_same_rows_are_paired(several):
    judged = with_rows_of(several, {0: "other"})
    settings = several.run.settings
    difference = settings["tuned"].values("logreg", "test_accuracy") - settings["more"].values(
        "logreg", "test_accuracy"
    )
    assert judged["regime"].verdict.n == 11
    assert judged["regime"].verdict.effect == pytest.approx(difference.drop(0).mean())


def test_the_headlines_are_the_claims_marked_as_such(run):
    assert [j.claim.id for j in headlines(judge_claims(run))] == ["gain"]


def test_a_headline_without_records_gives_way_to_one_that_has_some(fake, run):
    claims = [
        claim.model_copy(update={"headline": claim.id in ("gain", "scale")})
        for claim in fake.study().claims
    ]
    declared = fake.study().model_copy(update={"claims": claims})
    judged = judge_claims(dataclasses.replace(run, study=declared))
    assert [j.claim.id for j in headlines(judged)] == ["gain"]


def test_the_claims_table_says_what_was_said_got_and_judged(run, verdicts):
    table = claims_table(run, list(verdicts.values()))
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["said"] == "+4.0 points"
    assert row["got"].endswith("]")
    assert row["verdict"] == f"**{verdicts['gain'].verdict.verdict}**"
    assert list(table.data["claim"]) == list(verdicts)


def test_only_claims_about_differences_stand_in_the_forest(run, verdicts):
    frame = forest_frame(run, list(verdicts.values()))
    assert len(frame) == len(verdicts) - 1
    assert "level" not in " ".join(frame.columns)


def test_a_run_does_not_speak_of_claims_about_arms_that_its_profile_leaves_out(fake, tmp_path):
    declared = fake.study()
    profile = declared.profiles["default"].model_copy(update={"arms": ["photonic-*", "logreg"]})
    declared = declared.model_copy(update={"profiles": {"default": profile}})
    fake.fill(tmp_path / "default" / "main", declared, repetitions=4, rows=40)
    judged_ids = {j.claim.id for j in judge_claims(load_run(declared, tmp_path / "default"))}
    assert "gain" in judged_ids
    assert not judged_ids & {"interference", "published-gain", "heads-agree", "scale"}
