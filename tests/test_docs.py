"""The documentation: it builds without a warning, and what it shows works."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import click
import pytest

from qlmbench.cli import main
from qlmbench.stats import Verdict

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
EXAMPLES = sorted((DOCS / "examples").glob("*.py"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", DOCS / "index.md", DOCS / "get-started.md"]
PAGES += sorted((DOCS / "guide").glob("*.md"))


@pytest.fixture(scope="module")
def generated() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generated", DOCS / "generated.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


# ---- generated pages ------------------------------------------------------------------


def test_command_reference_shows_every_command_and_option(generated: ModuleType) -> None:
    page = generated.command_reference()
    assert isinstance(main, click.Group)
    for name, command in main.commands.items():
        assert f"## qlmbench {name}" in page
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.opts[0] in page


def test_command_reference_does_not_depend_on_the_terminal(
    generated: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = generated.command_reference()
    monkeypatch.setenv("COLUMNS", "40")
    assert generated.command_reference() == page


def test_pages_are_written_without_any_results(generated: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    generated.write_all(tmp_path / "docs", tmp_path / "results")
    assert "qlmbench run" in (tmp_path / "docs" / "results" / "index.md").read_text()
    assert (tmp_path / "docs" / "guide" / "speed.md").is_file()


def test_what_an_earlier_build_left_is_removed(generated: ModuleType, tmp_path: Path) -> None:
    left = tmp_path / "docs" / "results" / "old" / "tables" / "old.csv"
    left.parent.mkdir(parents=True)
    left.write_text("stale")
    generated.write_all(tmp_path / "docs", tmp_path / "results")
    assert not left.exists()


# ---- what the pages say ------------------------------------------------------------------


def test_guide_explains_every_verdict() -> None:
    text = (DOCS / "guide" / "reading-results.md").read_text(encoding="utf-8")
    for verdict in Verdict:
        assert f"`{verdict.value}`" in text


def test_commands_in_the_pages_exist() -> None:
    assert isinstance(main, click.Group)
    text = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
    lines = re.findall(r"^(?:\$ )?qlmbench (\w+)(.*)$", text, flags=re.MULTILINE)
    assert lines
    for name, rest in lines:
        assert name in main.commands, f"qlmbench {name}"
        known = {opt for parameter in main.commands[name].params for opt in parameter.opts}
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in known, f"qlmbench {name} {option}"


def test_environments_in_the_pages_exist() -> None:
    tox = (ROOT / "tox.ini").read_text(encoding="utf-8")
    known = set(re.findall(r"^\[testenv:([\w-]+)\]", tox, re.M))
    for family, members in re.findall(r"^\[testenv:([\w-]+)\{([\w,]+)\}\]", tox, re.M):
        known |= {family + member for member in members.split(",")}
    text = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
    asked = set(re.findall(r"tox -e ([\w-]+)", text))
    assert asked
    assert asked <= known


def test_readme_has_a_place_for_results_and_links_that_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("<!-- results:begin -->") == text.count("<!-- results:end -->") == 1
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", text.split("<!-- results:begin -->")[0]):
        assert (ROOT / link).exists(), link
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", text.split("<!-- results:end -->")[1]):
        assert (ROOT / link).exists(), link


def test_citation_names_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    assert f"version: {project['version']}" in lines
    assert f"license: {project['license']}" in lines


# ---- what the pages show ------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(example: Path, tmp_path: Path) -> None:
    """Each compares itself with its peer where there is one."""
    needed = {
        "setfit_head": "setfit",
        "qubit_export": "qiskit",
        "quantum_gradient_trainer": "accelerate",
        "quantum_lora_trainer": "accelerate",
    }
    if example.stem in needed:
        pytest.importorskip(needed[example.stem])
    done = _run(example, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.slow
def test_tutorial_passes_the_contract(tmp_path: Path) -> None:
    shutil.copytree(DOCS / "examples" / "my_paper", tmp_path / "reproductions" / "my_paper")
    (tmp_path / "test_my_paper.py").write_text(_contract_of_the_tutorial())
    done = _run("-m", "pytest", "-q", "-p", "no:cacheprovider", ".", cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def _contract_of_the_tutorial() -> str:
    text = (DOCS / "guide" / "adding-a-paper.md").read_text(encoding="utf-8")
    return next(code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL))


@pytest.mark.slow
def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    ignored = shutil.ignore_patterns("_build", "jupyter_execute")
    for name in ("docs", "results", "notebooks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    arguments = ("-q", "-W", "--keep-going", "-n", "-b", "html", "docs", "html")
    done = _run("-m", "sphinx", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "html" / "results" / "index.html").is_file()
