"""A study.toml is read whole, or refused with one line that says what is wrong where."""

from pathlib import Path

import pytest
from tests.studies import LOGREG, arm, head, profile

from qlmbench.errors import UserError
from qlmbench.registry import study_folders
from qlmbench.spec import Selection
from qlmbench.study_file import load_study

MINIMAL = (
    head("tiny") + arm("logreg", LOGREG) + profile("default", repetitions=2, per_class=4, test=10)
)


def write(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_valid_study_is_read(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, MINIMAL))
    assert study.arm("logreg").title == "logreg"
    assert study.profile("default").repetitions == 2


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('kind = "baseline"', 'kind = "baselin"', "arms.0.kind"),
        ("repetitions = 2", "repetition = 2", "did you mean 'repetitions'?"),
        ("repetitions = 2", "repetitions = 0", "profiles.default.repetitions"),
        ('summary = "A study."', "", "'summary' is missing"),
        ("[[arms]]", "[[arm]]", "'arm'"),
        ("train = { per_class = 4 }", "train = { per_clas = 4 }", "did you mean 'per_class'?"),
        ("train = { per_class = 4 }", "train = { per_class = 4, count = 3 }", "exactly one of"),
        ('name = "logreg"', 'name = "Log Reg"', "arms.0.name"),
        ("year = 2025", "year = ", "not valid TOML"),
    ],
)
def test_a_fault_is_one_line_with_file_and_key(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in MINIMAL
    path = write(tmp_path, MINIMAL.replace(old, new, 1))
    with pytest.raises(UserError) as caught:
        load_study(path)
    message = str(caught.value)
    assert str(path) in message
    assert said in message
    assert "\n" not in message


def test_a_claim_about_an_unknown_arm_is_refused(tmp_path: Path) -> None:
    claim = '[[claims]]\nid="c"\nstatement="s"\narm="logre"\nversus="logreg"\nsource="t"\n'
    with pytest.raises(UserError, match="did you mean 'logreg'"):
        load_study(write(tmp_path, MINIMAL + claim))


def test_a_claim_against_an_unknown_arm_names_the_key(tmp_path: Path) -> None:
    claim = '[[claims]]\nid="c"\nstatement="s"\narm="logreg"\nversus="logre"\nsource="t"\n'
    with pytest.raises(UserError, match="claim 'c': versus 'logre' is not an arm"):
        load_study(write(tmp_path, MINIMAL + claim))


def test_cases_write_out_one_arm_each(tmp_path: Path) -> None:
    cases = (
        '[[arms]]\nname="p-{n_modes}m"\nlabel="{n_modes} modes"\nkind="paper"\nmodel="m:C"\n'
        "params={epochs=3}\ncases=[{n_modes=2},{n_modes=4}]\n"
    )
    study = load_study(write(tmp_path, MINIMAL + cases))
    assert [a.name for a in study.arms] == ["logreg", "p-2m", "p-4m"]
    assert study.arm("p-4m").params == {"epochs": 3, "n_modes": 4}
    assert study.arm("p-4m").title == "4 modes"


@pytest.mark.parametrize(
    "faulty",
    ['name="p"\nparams="x"', 'name="p-{n.x}"', 'name="p-{n[x]}"', 'name="p-{m}"', 'name="p-{"'],
)
def test_a_faulty_template_of_cases_is_one_line(tmp_path: Path, faulty: str) -> None:
    arm = f'[[arms]]\n{faulty}\nkind="paper"\nmodel="m:C"\ncases=[{{n=2}}]\n'
    with pytest.raises(UserError, match=r"study\.toml: key 'arms'") as caught:
        load_study(write(tmp_path, MINIMAL + arm))
    assert "\n" not in str(caught.value)


def test_a_selection_needs_exactly_one_rule() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Selection()
    with pytest.raises(ValueError, match="goes with"):
        Selection(per_class=3, balanced=True)


@pytest.mark.parametrize("name", sorted(study_folders()))
def test_every_shipped_study_is_valid(name: str) -> None:
    study = load_study(study_folders()[name] / "study.toml")
    assert {"smoke", "default"} <= set(study.profiles)


CLAIM = """
[[claims]]
id = "c"
statement = "S"
arm = "logreg"
level = [0.8, 0.9]
source = "here"
metric = "{metric}"
setting = "other"
[settings.other]
{setting}
[profiles.default.settings.other]
"""


@pytest.mark.parametrize(
    ("metric", "setting", "said"),
    [
        ("test_acuracy", "", "did you mean 'test_accuracy'?"),
        ("test_perplexity", "", "unknown metric 'test_perplexity'"),
        ("test_accuracy", 'task = "language-model"', "of a language-model"),
        ("validation_exact_match", 'task = "captioning"', "unknown metric"),
        ("seconds_per_epoch", "", "alone = true"),
    ],
)
def test_a_claim_names_a_metric_that_its_setting_measures(
    metric: str, setting: str, said: str, tmp_path: Path
) -> None:
    text = MINIMAL + CLAIM.format(metric=metric, setting=setting)
    with pytest.raises(UserError, match=said):
        load_study(write(tmp_path, text))


@pytest.mark.parametrize(
    ("metric", "setting"),
    [
        ("test_log_loss", ""),
        ("test_perplexity", 'task = "language-model"'),
        ("test_exact_match", 'task = "captioning"'),
        ("train_cross_entropy", 'task = "captioning"'),
        ("seconds_per_epoch", "alone = true"),
    ],
)
def test_each_task_has_its_metrics(metric: str, setting: str, tmp_path: Path) -> None:
    study = load_study(write(tmp_path, MINIMAL + CLAIM.format(metric=metric, setting=setting)))
    assert study.claims[0].metric == metric


def test_a_setting_compares_arms_that_there_are(tmp_path: Path) -> None:
    text = MINIMAL + CLAIM.format(metric="test_accuracy", setting='compare = ["logrek"]')
    with pytest.raises(UserError, match="did you mean 'logreg'"):
        load_study(write(tmp_path, text))


def test_a_setting_has_its_own_reference(tmp_path: Path) -> None:
    text = MINIMAL + CLAIM.format(metric="test_accuracy", setting='reference = "{}"')
    study = load_study(write(tmp_path, text.replace("{}", "logreg")))
    assert study.protocol("default", "other").reference == "logreg"
    with pytest.raises(UserError, match="reference 'logrek' is not an arm"):
        load_study(write(tmp_path, text.replace("{}", "logrek")))


def test_a_setting_that_trains_alone_searches_nothing(tmp_path: Path) -> None:
    tuned = MINIMAL.replace(
        "[profiles.default]\n", "tune = { C = [1.0, 2.0] }\n[profiles.default]\n"
    )
    text = tuned + CLAIM.format(metric="test_accuracy", setting="alone = true")
    with pytest.raises(UserError, match="tries 2 configurations"):
        load_study(write(tmp_path, text))


@pytest.mark.parametrize("task", ["language-model", "captioning"])
def test_what_has_words_is_chosen_by_loss_unless_said_otherwise(task: str, tmp_path: Path) -> None:
    text = MINIMAL + CLAIM.format(metric="test_perplexity", setting=f'task = "{task}"')
    study = load_study(write(tmp_path, text))
    assert study.protocol("default", "other").choose_by == "loss"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('test_accuracy = "share that is right"', "'test_accuracy' is a score"),
        ('seconds_per_epoch = "slow"', "'seconds_per_epoch' is a score"),
        ('update_cosine = " "', "needs one line that says what it means"),
    ],
)
def test_a_diagnostic_is_no_score_and_has_its_words(table: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        load_study(write(tmp_path, f"{MINIMAL}[diagnostics]\n{table}\n"))


def test_a_claim_may_be_about_a_declared_diagnostic(tmp_path: Path) -> None:
    claim = MINIMAL + CLAIM.format(metric="update_cosine", setting="")
    with pytest.raises(UserError, match="unknown metric 'update_cosine'"):
        load_study(write(tmp_path, claim))
    declared = claim + '[diagnostics]\nupdate_cosine = "cosine of update and gradient"\n'
    assert load_study(write(tmp_path, declared)).claims[0].metric == "update_cosine"


def test_a_profile_may_ask_for_what_its_setting_leaves_out(tmp_path: Path) -> None:
    text = MINIMAL + CLAIM.format(metric="test_accuracy", setting="")
    assert not load_study(write(tmp_path, text)).protocol("default", "other").pareto
    study = load_study(write(tmp_path, text + "pareto = true\n"))
    assert study.protocol("default", "other").pareto
