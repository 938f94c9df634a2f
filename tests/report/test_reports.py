from __future__ import annotations

import subprocess
import sys

import pytest

from qlmbench.errors import UserError
from qlmbench.records import Outcome, Record
from qlmbench.report import check_report, load_page, terminal_summary, write_report
from qlmbench.report.overview import BEGIN, END
from qlmbench.report.reports import study_files
from qlmbench.store import Store


def test_two_settings_of_one_file_name_are_a_users_error(fake, tmp_path):
    declared = fake.several()
    default = declared.profile("default")
    few = default.settings["few"]
    settings = {"few": few, "mine-few": few}
    profiles = declared.profiles | {"default": default.model_copy(update={"settings": settings})}
    names = dict.fromkeys(settings, declared.settings["few"])
    arms = [declared.arm("logreg")]
    update = {"profiles": profiles, "settings": names, "arms": arms, "claims": [], "quoted": []}
    study = declared.model_copy(update=update)
    for place in ("default/mine-few", "default-mine/few"):
        fake.fill(tmp_path / "fake" / place, study, repetitions=2)
    with pytest.raises(UserError, match=r"default-mine-few.*rename"):
        study_files(load_page(tmp_path, study))


@pytest.fixture
def at_home(fake, tmp_path, monkeypatch):
    """A working folder with the made-up study in it and a few of its records."""
    home = tmp_path / "reproductions" / "fake"
    home.mkdir(parents=True)
    (home / "page.md").write_text("Prose of our own.\n")
    declared = fake.lean()
    monkeypatch.chdir(tmp_path)
    for name in ("reports.get_study", "reports.study_folders"):
        value = {"get_study": lambda _: declared, "study_folders": lambda: {"fake": home}}
        monkeypatch.setattr(f"qlmbench.report.{name}", value[name.split(".")[1]])
    fake.fill(tmp_path / "results" / "fake" / "default" / "main", declared, repetitions=3)
    return tmp_path


def test_a_report_writes_only_what_changed_and_the_check_finds_what_differs(at_home):
    results = at_home / "results"
    written = write_report(results)
    assert check_report(results) == []
    assert write_report(results) == []
    readme = results / "fake" / "README.md"
    assert readme in written
    assert "Prose of our own." in readme.read_text()

    readme.write_text(readme.read_text() + "edited by hand\n")
    figure = results / "fake" / "figures" / "default-main-accuracy-dark.svg"
    figure.unlink()
    stray = results / "fake" / "figures" / "old-light.svg"
    stray.write_text("left over")
    page = results / "fake" / "default-main.md"
    gone = page.rename(page.with_name("default-old.md"))
    own = results / "fake" / "notes.md"
    own.write_text("A note of somebody's own.\n")
    assert set(check_report(results)) == {readme, figure, stray, page, gone}
    assert set(write_report(results)) == {readme, figure, stray, page, gone}
    assert not stray.exists()
    assert not gone.exists()
    assert own.exists()
    assert check_report(results, "fake") == []


def test_the_readme_beside_the_results_gets_its_table(at_home):
    readme = at_home / "README.md"
    readme.write_text(f"# qlmbench\n{BEGIN}\n{END}\n")
    assert readme in write_report(at_home / "results")
    assert "results/fake/README.md" in readme.read_text()


def test_a_users_own_runs_never_go_into_the_readme(at_home):
    (at_home / "results").rename(at_home / "runs")
    readme = at_home / "README.md"
    readme.write_text(f"# qlmbench\n{BEGIN}\n{END}\n")
    assert readme not in write_report(at_home / "runs")


def test_nothing_to_report_on_is_a_users_error(at_home, fake):
    with pytest.raises(UserError, match="no records"):
        write_report(at_home / "empty")
    with pytest.raises(UserError, match="qlmbench run fake"):
        load_page(at_home / "empty", fake.study())


def test_a_smoke_run_is_shown_only_where_there_is_nothing_else(fake, tmp_path):
    fake.fill(tmp_path / "fake" / "smoke" / "main", fake.lean(), repetitions=1)
    assert [s.run.run for s in load_page(tmp_path, fake.lean()).runs] == ["smoke"]
    fake.fill(tmp_path / "fake" / "default" / "main", fake.lean(), repetitions=1)
    assert [s.run.run for s in load_page(tmp_path, fake.lean()).runs] == ["default"]


def test_the_terminal_gets_the_comparison_and_the_verdicts(fake, results_folder):
    text = terminal_summary(fake.study(), results_folder / "fake" / "default")
    assert "SVC, linear (reference)" in text
    assert "6 claims:" in text
    assert max(map(len, text.splitlines())) <= 100


def test_of_several_settings_the_terminal_gets_a_line_each(fake, several_folder):
    folder = several_folder / "fake" / "default"
    text = terminal_summary(fake.several(), folder)
    assert [text.count(f"\n{name} ") for name in ("few", "more", "tuned")] == [1, 1, 1]
    assert "SVC, linear (reference)" not in text
    assert "(reference)" in terminal_summary(fake.several(), folder, ["tuned"])


def test_a_run_without_finished_trials_says_so(fake, tmp_path):
    failed = Record(id="f" * 16, study="fake", arm="huge", repetition=0, status="failed", error="x")
    Store(tmp_path / "default" / "main").save(Outcome(record=failed))
    assert "no finished trials" in terminal_summary(fake.study(), tmp_path / "default")


PROGRAM = """
import importlib.util, pathlib, sys
spec = importlib.util.spec_from_file_location("fake", sys.argv[1])
fake = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fake)
import qlmbench.report
assert "pandas" not in sys.modules
folder = pathlib.Path(sys.argv[2])
print(qlmbench.report.terminal_summary(fake.lean(), folder / "fake" / "default"))
assert "matplotlib" not in sys.modules
qlmbench.report.study_files(qlmbench.report.load_page(folder, fake.lean()))
assert not {"torch", "merlin", "perceval", "sklearn"} & sys.modules.keys()
"""


def test_no_report_imports_torch_and_the_terminal_not_even_matplotlib(fake, tmp_path):
    fake.fill(tmp_path / "fake" / "default" / "main", fake.lean(), repetitions=2)
    command = [sys.executable, "-c", PROGRAM, fake.__file__, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
