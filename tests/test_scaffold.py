"""A new study: it runs as it stands, in a checkout and as an installed package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from qlmbench import registry
from qlmbench.cli import main
from qlmbench.errors import UserError
from qlmbench.registry import ENTRY_POINTS, get_study, study_folders
from qlmbench.scaffold import new_study
from qlmbench.spec import ArmKind
from qlmbench.testing import contract

SRC = Path(__file__).resolve().parents[1] / "src"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder that looks like a checkout, and go there."""
    for folder in ("reproductions", "src/qlmbench", "docs"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["new", *arguments])


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


# ---- in a checkout -----------------------------------------------------------------------


def test_in_a_checkout_it_is_a_folder_of_reproductions_and_a_test(checkout: Path) -> None:
    done = call("my-study")
    assert done.exit_code == 0, done.output
    assert "qlmbench run my_study --profile smoke" in done.output
    study = get_study("my_study")
    assert study_folders()["my_study"] == checkout / "reproductions" / "my_study"
    kinds = {arm.kind for arm in study.arms}
    assert kinds == {ArmKind.PAPER, ArmKind.BASELINE, ArmKind.CONTROL}
    assert set(study.profiles) == {"smoke", "default"}
    assert (checkout / "tests" / "reproductions" / "test_my_study.py").is_file()
    assert not (checkout / "pyproject.toml").exists()


def test_a_folder_inside_a_checkout_leads_to_it(checkout: Path) -> None:
    assert new_study("inner", checkout / "docs").root == checkout
    assert "inner" in study_folders()


def test_no_file_names_another_study(checkout: Path) -> None:
    for path in new_study("other", checkout).files:
        text = path.read_text(encoding="utf-8").lower()
        assert not any(name in text for name in ("my_paper", "my-paper", "mypaper"))


def test_every_arm_of_it_runs_as_it_stands(checkout: Path) -> None:
    call("runs")
    options = ("--profile", "smoke", "--repetitions", "1", "--jobs", "1")
    done = CliRunner().invoke(main, ["run", "runs", *options])
    assert done.exit_code == 0, done.output
    assert "3 finished, 0 failed" in done.stderr


@pytest.mark.slow
def test_it_meets_the_contract_as_it_stands(checkout: Path, tmp_path: Path) -> None:
    call("contracted")
    for check in contract("contracted"):
        (tmp_path / check.name).mkdir()
        check(tmp_path / check.name)


# ---- mistakes ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["1st", "My-Paper", "a/b", "class", "über", "a_", "../out", ""])
def test_a_name_that_is_no_module_s_is_one_line(checkout: Path, name: str) -> None:
    before = everything(checkout)
    done = call("--", name)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "Python module" in done.stderr
    assert everything(checkout) == before


@pytest.mark.parametrize("name", ["json", "qllm", "qlmbench"])
def test_a_taken_name_is_one_line(tmp_path: Path, name: str) -> None:
    done = call(name, "--directory", str(tmp_path))
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "is taken" in done.stderr
    assert everything(tmp_path) == set()


def test_what_is_there_stays_as_it_is(checkout: Path) -> None:
    test = checkout / "tests" / "reproductions" / "test_kept.py"
    test.parent.mkdir(parents=True)
    test.write_text("mine")
    before = everything(checkout)
    with pytest.raises(UserError, match=r"test_kept\.py is there already"):
        new_study("kept", checkout)
    assert test.read_text() == "mine"
    assert everything(checkout) == before


def test_nothing_is_left_when_a_file_cannot_be_written(checkout: Path) -> None:
    (checkout / "tests").write_text("a file where the folder of the test should be")
    before = everything(checkout)
    with pytest.raises(UserError, match="cannot be written"):
        new_study("broken", checkout)
    assert everything(checkout) == before


# ---- elsewhere, as a package -----------------------------------------------------------------


def test_elsewhere_it_is_a_package_with_an_entry_point(tmp_path: Path) -> None:
    done = call("my-study", "--directory", str(tmp_path))
    assert done.exit_code == 0, done.output
    root = tmp_path / "my-study"
    assert "pip install -e ." in done.output
    assert (root / "src" / "my_study" / "study.toml").is_file()
    declared = (root / "pyproject.toml").read_text()
    assert f'[project.entry-points."{ENTRY_POINTS}"]\nmy_study = "my_study"' in declared


@pytest.mark.slow
def test_an_installed_package_is_found_and_run_and_its_model_tested(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    root = new_study("third-party", tmp_path).root
    target = tmp_path / "installed"
    offline = ("--no-index", "--no-deps", "--no-build-isolation", "--quiet")
    python(tmp_path, "-m", "pip", "install", *offline, "--target", target, root)
    paths = (target, SRC)
    where = "from qlmbench.registry import study_folder; print(study_folder('third_party'))"
    assert python(tmp_path, "-c", where, paths=paths).strip() == str(target / "third_party")
    run = ("-m", "qlmbench", "run", "third_party", "--profile", "smoke", "--jobs", "1")
    assert "Linear bottleneck" in python(tmp_path, *run, paths=paths)
    python(tmp_path, "-m", "pytest", "-q", root / "tests" / "test_head.py", paths=paths)


def test_an_entry_point_without_a_study_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "gone-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gone\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\ngone = gone.study\n")
    monkeypatch.syspath_prepend(tmp_path)
    installed = registry._installed_folders
    installed.cache_clear()
    done = CliRunner().invoke(main, ["list"])
    installed.cache_clear()
    assert done.exit_code == 2
    assert "study 'gone' of gone: there is no 'gone.study' with a study.toml" in done.stderr


def python(cwd: Path, *arguments: str | Path, paths: tuple[Path, ...] = ()) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    if paths:
        environment["PYTHONPATH"] = os.pathsep.join(map(str, paths))
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
