"""A study.toml with anything wrong in it is one line and exit code 2, and leaves nothing behind."""

import contextlib
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.trust.faults import RUN, STUDY, assert_one_line, call, write_study

from qlmbench.registry import study_folders

_VALUES = """
"" "x" "ä\u2028b" "\\u0000" "a/b" "../../x" "~" "*" "[" "mean" "toy" "hashing" "0" "language-model"
":" "x:" ":X" ".x:Y" "os" "os:path" "os:nothing" "sklearn.dummy" "sklearn.dummy:x" "a..b:C"
0 -1 1 2 1.5 -0.0 1e999 nan inf 99999999999999999999 1979-05-27 07:32:00 unquoted " ''
true false [] {} [[]] [1,"a"] ["mean"] [0.1,{}] {a=1} {part="train"} {part="x",count=3} {count=-3}
{count=10000000000} {per_class=1,count=2} {rows=[5,1]} {rows=[0,9999999999]} {rest=true}
"""
VALUES = _VALUES.split()
VALUES += [f'"{"a" * 300}"', f'"{"a" * 100_000}"', '"""\n"""', '"a\\nb"', "["]

SHIPPED = tuple(
    (folder / "study.toml")
    .read_text(encoding="utf-8")
    .replace(f'name = "{name}"', 'name = "cheap"')
    for name, folder in sorted(study_folders().items())
)


def mutated(line: str, how: str, value: str) -> list[str]:
    """Return what stands in the place of a line."""
    key, equals, _ = line.partition("=")
    if how == "value" and equals:
        return [f"{key}= {value}"]
    if how == "key" and equals:
        return [line.replace(key.strip()[:2], "q", 1)]
    if how == "twice":
        return [line, line]
    if how == "header":
        return ["[arms]", line]
    if how == "more":
        return [line, f"unknown = {value}"]
    return []  # the line is gone


@st.composite
def bad_studies(draw: st.DrawFn, texts: tuple[str, ...]) -> bytes:
    """Draw a valid study with one to three faults, and perhaps bytes that are no text."""
    lines = draw(st.sampled_from(texts)).splitlines()
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):  # one hides what the next would show
        at = draw(st.integers(0, 10**6)) % len(lines)
        how = draw(st.sampled_from([*["value"] * 8, "key", "twice", "header", "more", "-"]))
        strings = (
            '= "' in lines[at] and draw(st.integers(0, 3)) > 0
        )  # a wrong one of the right type
        value = draw(st.sampled_from([v for v in VALUES if v[0] == '"'] if strings else VALUES))
        lines[at : at + 1] = mutated(lines[at], how, value)
    raw = "\n".join(lines).encode()
    if draw(st.integers(0, 15)) == 0:
        at = draw(st.integers(0, len(raw)))
        raw = raw[:at] + draw(st.binary(min_size=1, max_size=4)) + raw[at:]
    return raw[: draw(st.integers(0, len(raw)))] if draw(st.integers(0, 19)) == 0 else raw


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give all examples one working folder."""
    return tmp_path_factory.mktemp("studies")


def check_reading(folder: Path, raw: bytes) -> None:
    write_study(folder, raw)
    with contextlib.chdir(folder):
        assert_one_line(call("show", "cheap"))
        assert_one_line(call("plan", "cheap", "--profile", "smoke"))
    assert [path.name for path in folder.iterdir()] == ["reproductions"]


def check_running(folder: Path, raw: bytes) -> None:
    write_study(folder, raw)
    with contextlib.chdir(folder):
        result = call(*RUN, "--jobs", "1", "-q", "--repetitions", "2")
    assert_one_line(result, codes=(0, 1, 2))
    if result.exit_code == 1:  # a sound study whose arm cannot be trained
        assert all(line.startswith("failed: ") for line in result.stderr.splitlines())
    assert not list(folder.rglob("*.part"))
    shutil.rmtree(folder / "r", ignore_errors=True)


OPTIONS = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=30, derandomize=True, **OPTIONS)
@given(raw=bad_studies((STUDY,)))
def test_a_faulty_study_is_one_line(folder: Path, raw: bytes) -> None:
    check_reading(folder, raw)


@settings(max_examples=8, derandomize=True, **OPTIONS)
@given(raw=bad_studies((STUDY,)))
def test_a_faulty_study_is_one_line_or_a_run_that_says_what_failed(
    folder: Path, raw: bytes
) -> None:
    check_running(folder, raw)


@pytest.mark.slow
@settings(max_examples=400, **OPTIONS)
@given(raw=bad_studies((STUDY, *SHIPPED)))
def test_any_faulty_study_is_one_line(folder: Path, raw: bytes) -> None:
    check_reading(folder, raw)


@pytest.mark.slow
@settings(max_examples=100, **OPTIONS)
@given(raw=bad_studies((STUDY,)))
def test_any_faulty_study_is_one_line_or_a_run_that_says_what_failed(
    folder: Path, raw: bytes
) -> None:
    check_running(folder, raw)
