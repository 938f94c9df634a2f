"""The command line: exit codes, one line for a mistake, and no torch where none is needed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from tests.studies import MEAN, arm, head, profile, put_study

from qlmbench.cli import main
from qlmbench.registry import study_folders


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "qlm"), "unknown study 'qlm'"),
        (("run", "qllm", "--profile", "tiny"), "unknown profile 'tiny'"),
        (("run", "qllm", "--arm", "nothing"), "unknown arm 'nothing'"),
        (("run", "qllm", "--data", "/no/such/folder"), "/no/such/folder"),
        (("plan", "qllm", "--encoder", "word2vec"), "word2vec"),
        (("run", "qllm", "--repetitions", "-1"), "-1 repetitions"),
        (("status", "--results", "/no/such/folder"), "no run"),
        (("show", "nothing"), "unknown study"),
        (("compare", ".", "."), "no records here"),
        (("compare", ".", ".", "--tolerance", "small"), "--tolerance small; expected a number"),
        (("compare", ".", ".", "--tolerance", "1", "--tolerance", "2"), "two numbers"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments: tuple[str, ...], said: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.output


def test_every_option_says_what_it_is_for() -> None:
    assert isinstance(main, click.Group)
    options = [
        (name, parameter)
        for name, command in main.commands.items()
        for parameter in command.params
        if isinstance(parameter, click.Option)
    ]
    assert options
    assert [f"{name} {option.opts[0]}" for name, option in options if not option.help] == []


def test_list_and_show_name_every_study_and_arm() -> None:
    listed = call("list").output
    for name in study_folders():
        assert name in listed
    shown = call("show", "qllm").output
    assert "photonic-8m2p-published" in shown
    assert "10.1109/QCE65121.2025.00258" in shown


def test_run_then_plan_status_report_compare_and_export(tmp_path: Path) -> None:
    results = str(tmp_path / "results")
    scope = ("--profile", "smoke", "--arm", "logreg", "--arm", "svc-linear", "--results", results)
    assert "4 of 4 trials left: on one core about " in call("plan", "qllm", *scope).output
    done = call("run", "qllm", *scope, "--jobs", "1")
    assert done.exit_code == 0, done.output
    assert "4 finished, 0 failed" in done.stderr
    assert "Logistic regression" in done.stdout
    again = call("run", "qllm", *scope)
    assert "4 trials were there, 0 finished" in again.stderr
    assert "Logistic regression" in call("run", "qllm", *scope, "-q").output
    planned = call("plan", "qllm", *scope).output
    assert "all 4 trials of 2 arms are done" in planned
    assert planned.endswith("nothing is left to run\n")
    assert "4 trials of 2 arms" in call("status", "--results", results).output
    assert call("report", "qllm", "--results", results).exit_code == 0
    assert call("report", "qllm", "--results", results, "--check").exit_code == 0
    readme = tmp_path / "results" / "qllm" / "README.md"
    readme.write_text(readme.read_text(encoding="utf-8") + "edited\n", encoding="utf-8")
    stale = call("report", "qllm", "--results", results, "--check")
    assert stale.exit_code == 1
    assert "README.md" in stale.stderr
    run_folder = str(tmp_path / "results" / "qllm" / "smoke")
    same = call("compare", run_folder, run_folder, "--tolerance", "test_*=0.1")
    assert same.exit_code == 0
    assert "every metric is equal" in same.output
    part = ("--profile", "smoke", "--arm", "logreg", "--results", str(tmp_path / "part"))
    assert call("run", "qllm", *part, "--jobs", "1").exit_code == 0
    part_folder = str(tmp_path / "part" / "qllm" / "smoke")
    less = call("compare", run_folder, part_folder)
    assert less.exit_code == 1
    assert "2 only in the first" in less.output
    assert call("compare", "--subset", part_folder, run_folder).exit_code == 0
    exported = call("export", "qllm", "--results", results, "--run", "smoke", "--format", "json")
    assert len(json.loads(exported.output)["rows"]) == 4


FAILING = (
    head("failing")
    + arm("broken", MEAN, 'params = { strategy = "nonsense" }')
    + arm("sound", MEAN)
    + profile("smoke", repetitions=6, per_class=4, test=40)
)


def test_a_run_says_what_failed_and_shows_the_tables_of_what_did_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_study(tmp_path, "failing", FAILING)
    monkeypatch.chdir(tmp_path)
    scope = ("run", "failing", "--profile", "smoke", "--jobs", "1")
    alone = call(*scope, "--arm", "broken")
    assert alone.exit_code == 1
    assert alone.stdout == "no records yet\n"
    assert alone.stderr.count("failed: broken, repetition") == 5
    assert "nonsense" in alone.stderr
    assert "0 finished, 6 failed" in alone.stderr
    both = call(*scope)
    assert both.exit_code == 1
    assert "sound" in both.stdout
    assert both.stderr.count("failed: broken, repetition") == 5


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell: str) -> None:
    assert "qlmbench" in call("completion", shell).output


def test_completion_offers_studies_and_arms() -> None:
    def complete(words: str, index: int) -> str:
        variables = {
            "_QLMBENCH_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(index),
        }
        command = [
            sys.executable,
            "-c",
            "from qlmbench.cli import main; main(prog_name='qlmbench')",
        ]
        return subprocess.run(
            command, capture_output=True, text=True, env=os.environ | variables, check=True
        ).stdout

    assert "qllm" in complete("qlmbench run q", 2)
    assert "logreg" in complete("qlmbench run qllm --arm log", 4)


NO_TORCH = """
import sys
from click.testing import CliRunner
from qlmbench.cli import main
result = CliRunner().invoke(main, {arguments!r})
assert result.exit_code == 0, result.output
heavy = [m for m in ("torch", "merlin", "perceval", "transformers") if m in sys.modules]
assert not heavy, heavy
"""


def test_nothing_heavy_is_imported_for_what_trains_nothing(tmp_path: Path) -> None:
    results = str(tmp_path)
    scope = ["qllm", "--profile", "smoke", "--arm", "logreg", "--results", results]
    assert call("run", *scope, "--jobs", "1").exit_code == 0
    for arguments in (
        ["--help"],
        ["list"],
        ["plan", *scope],
        ["run", *scope],
        ["status", "--results", results],
        ["report", "qllm", "--results", results],
    ):
        code = NO_TORCH.format(arguments=arguments)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, f"{arguments}: {done.stderr[-500:]}"


def test_a_typo_in_a_study_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (study_folders()["qllm"] / "study.toml").read_text(encoding="utf-8")
    text = text.replace('name = "qllm"', 'name = "tiny"').replace("summary =", "sumary =", 1)
    put_study(tmp_path, "tiny", text)
    monkeypatch.chdir(tmp_path)
    result = call("run", "tiny")
    assert result.exit_code == 2
    assert "study.toml: key 'sumary' is not known (did you mean 'summary'?)" in result.stderr


def test_python_runs_the_commands_as_a_module() -> None:
    command = [sys.executable, "-m", "qlmbench", "caption", "--image_path", "no-such-file.png"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("qlmbench: no-such-file.png")
