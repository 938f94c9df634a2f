"""The documentation: it builds without a warning, and what it shows works."""

from __future__ import annotations

import configparser
import importlib
import importlib.util
import os
import pkgutil
import random
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import click
import numpy as np
import pytest
import torch

import qlmbench
from qlmbench.cli import main
from qlmbench.records import (
    AttentionMaps,
    Conditions,
    Curves,
    Outcome,
    Predictions,
    Record,
    RunInfo,
    SplitLabels,
    Tuning,
    environment_id,
)
from qlmbench.registry import study_folders
from qlmbench.scaffold import NewStudy, new_study
from qlmbench.stats import Verdict
from qlmbench.store import Store

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
EXAMPLES = sorted((DOCS / "examples").glob("*.py"))
TUTORIAL = DOCS / "examples" / "my_paper"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", DOCS / "index.md", DOCS / "get-started.md"]
PAGES += sorted((DOCS / "guide").rglob("*.md"))
PARTS = sorted((DOCS / "guide" / "parts").glob("*.md"))
QUICK = [DOCS / "examples" / f"{name}.py" for name in ("qubit_module", "quantum_projection")]
"""Examples that take a second: quick tests run them in this process."""


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


def test_findings_are_the_main_claims_of_a_study_s_records(generated: ModuleType) -> None:
    verdict = SimpleNamespace(verdict=Verdict.INCONCLUSIVE, n=20)
    judged = SimpleNamespace(
        claim=SimpleNamespace(statement="The circuit gains two points."),
        said="+2.0 points",
        effect="+0.1 points",
        interval="[-1.0, +1.2]",
        verdict=verdict,
    )
    paper = SimpleNamespace(title="A Paper")
    page = SimpleNamespace(study=SimpleNamespace(name="judged", paper=paper), headlines=[judged])
    found = generated.findings([page], ["judged", "not_run"])
    shown = ("The circuit gains", "+0.1 points [-1.0, +1.2]", "inconclusive", "results/judged.md")
    assert all(words in found["judged.inc"] for words in shown)
    assert "qlmbench run not_run" in found["not_run.inc"]


# ---- the reference -----------------------------------------------------------------------


def _documented() -> tuple[set[str], set[str]]:
    """What the reference lists, and packages that it lists with all they import."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md"))
    listed = re.findall(r"auto\w+:: (\S+)\n(\s+:imported-members:)?", text)
    return {name for name, _ in listed}, {name for name, imported in listed if imported}


def _own_names(module: ModuleType) -> set[str]:
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    }


def _public_modules() -> list[ModuleType]:
    walked = pkgutil.walk_packages(qlmbench.__path__, "qlmbench.")
    names = [found.name for found in walked]
    return [importlib.import_module(n) for n in names if not re.search(r"\._", n)]


def test_reference_lists_every_public_module() -> None:
    listed, with_imports = _documented()
    missing = []
    for module in _public_modules():
        name = module.__name__
        package = sys.modules[name.rpartition(".")[0]]
        by_package = vars(package).keys() if package.__name__ in with_imports else set()
        unlisted = {n for n in _own_names(module) - by_package if f"{name}.{n}" not in listed}
        is_folder = hasattr(module, "__path__")
        if name not in listed and (unlisted or not (by_package or is_folder)):
            missing.append(name)
    # The page on the command line is made from the commands' own help.
    missing = [name for name in missing if not name.startswith("qlmbench.cli")]
    assert missing == [], "add them to docs/reference/*.md"


def test_reference_lists_nothing_that_is_not_there() -> None:
    listed, _ = _documented()
    modules = {module.__name__: module for module in _public_modules()}
    for name in listed:
        package, _, last = name.rpartition(".")
        assert name in modules or hasattr(modules.get(package), last), name


def test_reference_index_leads_to_every_page_of_it() -> None:
    index = (DOCS / "reference" / "index.md").read_text(encoding="utf-8").split()
    pages = {path.stem for path in (DOCS / "reference").glob("*.md")} - {"index"}
    assert pages <= set(index)


# ---- what the pages say ------------------------------------------------------------------


def test_guide_explains_every_verdict() -> None:
    text = (DOCS / "guide" / "reading-results.md").read_text(encoding="utf-8")
    for verdict in Verdict:
        assert f"`{verdict.value}`" in text


def test_guide_names_every_file_that_a_run_leaves(tmp_path: Path) -> None:
    text = (DOCS / "guide" / "how-a-study-runs.md").read_text(encoding="utf-8")
    here, trial = {"python": "3"}, {"study": "s", "arm": "a", "repetition": 0}
    done = Outcome(
        record=Record(id="0", environment=environment_id(here), **trial),
        predictions=Predictions(id="0", validation="", test=""),
        curves=Curves(id="0", epochs=[], values={}),
        tuning=Tuning(id="0", configurations=[], validation_accuracy=[], validation_loss=[]),
        conditions=Conditions(id="0", rows=[]),
        attention=AttentionMaps(id="0", maps=[]),
        split=SplitLabels(
            repetition=0, digest="", test_digest="", n_train=1, validation="", test=""
        ),
        environment=here,
    )
    assert done.model_fields_set == Outcome.model_fields.keys()
    failed = Outcome(record=Record(id="1", status="failed", **trial | {"repetition": 1}))
    store = Store(tmp_path)
    for outcome in (done, failed):
        store.save(outcome)
    store.save_info(RunInfo(profile="p", setting="s", dataset={}, encoder={}))
    store.consolidate()
    left = {path.name for path in tmp_path.iterdir() if path.is_file()} - {".lock"}
    assert "attention.jsonl" in left
    assert [name for name in sorted(left) if f"`{name}`" not in text] == []


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


def _extras() -> dict[str, list[str]]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found: dict[str, list[str]] = tomllib.loads(text)["project"]["optional-dependencies"]
    return found


def test_every_extra_that_is_named_exists() -> None:
    folders = (ROOT / "src", ROOT / "reproductions", DOCS / "guide")
    files = [p for folder in folders for p in folder.rglob("*") if p.suffix in (".py", ".md")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in [*files, *PAGES])
    named = {n for ns in re.findall(r"(?:qlmbench|'\.)\[([\w,]+)\]", text) for n in ns.split(",")}
    assert "docs" in named
    assert named <= _extras().keys()


def test_every_environment_says_what_it_is_for_and_every_extra_is_in_one() -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    sections = [tox[name] for name in tox.sections() if name.startswith("testenv:")]
    assert all(section.get("description") for section in sections)
    used = set(re.findall(r"[\w-]+", " ".join(section.get("extras", "") for section in sections)))
    others = {name: re.findall(r"qlmbench\[(.+)\]", " ".join(n)) for name, n in _extras().items()}
    for name in list(used & others.keys()):
        used |= {extra for listed in others[name] for extra in listed.split(",")}
    assert _extras().keys() <= used


def test_readme_names_every_folder_of_the_checkout() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("## Where things are")[1]
    files = [p for pattern in ("*/*.py", "*/*.ipynb", "*/*/study.toml") for p in ROOT.glob(pattern)]
    shown = set(re.findall(r"^([\w/]+)/ ", text, re.M))
    assert {path.relative_to(ROOT).parts[0] for path in files} <= shown
    assert all((ROOT / name).is_dir() for name in shown)


def test_readme_has_a_place_for_results_and_links_that_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("<!-- results:begin -->") == text.count("<!-- results:end -->") == 1
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", text.split("<!-- results:begin -->")[0]):
        assert (ROOT / link).exists(), link
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", text.split("<!-- results:end -->")[1]):
        assert (ROOT / link).exists(), link


@pytest.mark.parametrize("path", PARTS, ids=lambda path: path.stem)
def test_each_part_says_how_what_it_costs_and_what_was_found(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    shown = re.findall(r"{literalinclude} \.\./\.\./examples/(\w+\.py)", text)
    assert shown
    for section in ("What it costs", "What we found", "Reference"):
        assert f"## {section}\n" in text
    studies = re.findall(r"{include} (\w+)\.inc", text)
    assert studies
    assert set(studies) <= study_folders().keys()
    overview = (DOCS / "guide" / "taking-parts-home.md").read_text(encoding="utf-8")
    assert f"{{doc}}`parts/{path.stem}`" in overview
    assert f"docs/guide/parts/{path.name}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_example_is_shown_on_a_page() -> None:
    shown = {
        name
        for path in PAGES
        for name in re.findall(r"examples/(\w+\.py)$", path.read_text(encoding="utf-8"), re.M)
    }
    assert {path.name for path in EXAMPLES} <= shown


def test_citation_names_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    assert f"version: {project['version']}" in lines
    assert f"license: {project['license']}" in lines


# ---- what the pages show ------------------------------------------------------------------


@pytest.mark.parametrize("example", QUICK, ids=lambda path: path.stem)
def test_quick_example_runs(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        runpy.run_path(str(example))
    random.setstate(state[0])
    np.random.set_state(state[1])
    assert capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("example", sorted({*EXAMPLES} - {*QUICK}), ids=lambda path: path.stem)
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


def test_tutorial_adds_a_paper_in_under_a_hundred_lines() -> None:
    texts = [path.read_text(encoding="utf-8") for path in TUTORIAL.iterdir() if path.is_file()]
    assert sum(len(text.splitlines()) for text in texts) < 100


def test_tutorial_begins_with_what_the_command_writes(tmp_path: Path) -> None:
    text = (DOCS / "guide" / "adding-a-paper.md").read_text(encoding="utf-8")
    assert "$ qlmbench new my-paper" in text
    made = _new_paper(tmp_path)
    names = {path.name for path in made.files}
    assert {path.name for path in TUTORIAL.iterdir() if path.is_file()} <= names
    assert all(name in text for name in names)


@pytest.mark.slow
def test_tutorial_passes_the_contract(tmp_path: Path) -> None:
    made = _new_paper(tmp_path)
    shutil.copytree(TUTORIAL, made.root / "reproductions" / "my_paper", dirs_exist_ok=True)
    (made.root / "tests" / "test_contract.py").write_text(_contract_of_the_tutorial())
    done = _run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=made.root)
    assert done.returncode == 0, done.stdout


def _new_paper(folder: Path) -> NewStudy:
    """Do what the tutorial begins with, in a folder that looks like a checkout."""
    for path in ("reproductions", "src/qlmbench"):
        (folder / path).mkdir(parents=True)
    return new_study("my-paper", folder)


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
    loaded = re.compile(
        r"""<(?:script|img|link rel="stylesheet")[^>]*(?:src|href)="(?:https?:)?//"""
    )
    pages = (tmp_path / "html").rglob("*.html")
    away = [page.name for page in pages if loaded.search(page.read_text(encoding="utf-8"))]
    assert away == [], "a page asks no other host for a part of it"
