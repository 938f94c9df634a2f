"""Whatever stands on the command line, there is an answer or one line, and never a traceback."""

import contextlib
from pathlib import Path

import click
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.trust.faults import RUN, assert_one_line, call, write_study

from qlmbench.cli import main

OPTIONS = {"deadline": None, "suppress_health_check": list(HealthCheck)}

ANY = [
    "",
    " ",
    "-",
    "--",
    "-x",
    "--nothing",
    "-1",
    "0",
    "1",
    "3",
    "1e9",
    "nan",
    "é\u2028",
    "\udcff",
]
ANY += ["a" * 300, "*", "[", "[!", "x=y", "=", "toy=", "toy=data", "reproductions", "9" * 5000, "."]
ANY += ["r", "r/cheap/smoke", "data", "cheap", "smoke", "main", "mean", "mea*", "hashing", "a\nb"]
KNOWN = {
    "study": ["cheap", "cheap", "cheap", "chaep"],  # never a shipped one: a run of it takes minutes
    "profile": ["smoke", "smoke", "default"],
    "arms": ["mean", "m*", "logreg"],
    "arm": ["mean", "logreg"],
    "jobs": ["1", "0", "-1", "x"],
    "settings": ["main", "m*"],
    "repetitions": ["1", "2", "0", "-5", "100000", "9" * 30],
    "data": ["toy", "data", "toy=data", "nothing=data"],
    "results": ["r", "r", "new", "data", "data/below"],
    "output": ["new", "data", "file", "file/below", "a" * 300],
    "image_path": ["file", "data", "no.png", "a" * 300],
    "a": ["r/cheap/smoke", "data", "r"],
    "b": ["r/cheap/smoke", "data", "r"],
}
TAKEN = {"results", "output"}
"""Where something is written, values are known ones alone: all stay in the test's folder."""


def values(name: str) -> st.SearchStrategy[str]:
    known = st.sampled_from(KNOWN.get(name, ANY))
    return known if name in TAKEN | {"study"} else st.one_of(known, known, st.sampled_from(ANY))


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """Draw a command with some of its own options, and now and then with something else."""
    name = draw(st.sampled_from(sorted(main.commands)))
    line = [name]
    for parameter in main.commands[name].params:
        assert parameter.name is not None
        if isinstance(parameter, click.Argument):
            if parameter.required or draw(st.booleans()):
                line.append(draw(values(parameter.name)))
        elif parameter.required or draw(st.integers(0, 2)) == 0:
            if parameter.name == "site":
                continue  # builds a web page, for half a minute
            line.append(draw(st.sampled_from(parameter.opts)))
            if not getattr(parameter, "is_flag", False):
                line.append(draw(values(parameter.name)))
    if name in ("doctor", "list") or draw(st.integers(0, 9)) == 0:  # doctor asks the registry
        line.insert(draw(st.integers(0, len(line))), "--" + draw(st.sampled_from(ANY[5:])))
    return line


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give all examples one working folder, with a study, a finished run and some files."""
    folder = write_study(tmp_path_factory.mktemp("commands"))
    (folder / "data").mkdir()
    (folder / "data" / "train.tsv").write_text("sentence\tlabel\na\t0\nb\t1\n", encoding="utf-8")
    (folder / "file").write_text("a file", encoding="utf-8")
    with contextlib.chdir(folder):
        assert call(*RUN, "--jobs", "1", "--arm", "mean").exit_code == 0
    return folder


def check(folder: Path, line: list[str]) -> None:
    with contextlib.chdir(folder):
        result = call(*line)
    assert_one_line(result, codes=(0, 1, 2))
    if result.exit_code == 1:  # an answer that is no: runs that differ, pages out of date
        assert line[0] in ("compare", "report", "doctor")
    assert not list(folder.rglob("*.part"))


@pytest.mark.parametrize("name", ["", *sorted(main.commands)])
def test_every_command_has_help_and_refuses_what_it_does_not_know(name: str) -> None:
    command = [name] if name else []
    assert call(*command, "--help").exit_code == 0
    assert_one_line(call(*command, "--nothing"), codes=(2,))


@pytest.mark.parametrize("tolerance", ["nan", "-1", "inf", "1e999", "-0.001"])
def test_runs_are_compared_with_a_tolerance_that_can_tell_them_apart(
    folder: Path, tolerance: str
) -> None:
    run = str(folder / "r" / "cheap" / "smoke")
    result = call("compare", run, run, "--tolerance", tolerance)
    assert_one_line(result, codes=(2,))


@settings(max_examples=25, derandomize=True, **OPTIONS)
@given(line=command_lines())
@example(line=["--a\nb", "list"])
def test_a_command_line_is_answered_or_refused_in_one_line(folder: Path, line: list[str]) -> None:
    check(folder, line)


@pytest.mark.slow
@settings(max_examples=300, **OPTIONS)
@given(line=command_lines())
def test_any_command_line_is_answered_or_refused_in_one_line(folder: Path, line: list[str]) -> None:
    check(folder, line)
