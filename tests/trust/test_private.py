"""Nothing that a run leaves behind tells whose machine it ran on."""

from pathlib import Path

import pytest
from tests.trust.faults import RUN, STUDY, call, write_study

NAME = "alicia-7"
SECRET = "hf_sesame_open_sesame"
TELLS = (
    STUDY
    + """
[[arms]]
name = "tells"
kind = "baseline"
model = "telling:TellingClassifier"
"""
)
MODEL = '''
import os
from pathlib import Path
from sklearn.dummy import DummyClassifier
class TellingClassifier(DummyClassifier):
    """Fails, and says in its error all that it knows."""
    def fit(self, X, y):
        here = Path.home() / "models" / "weights.bin"
        where = os.environ["PIP_INDEX_URL"]
        raise ValueError(f"{here}: refused with {os.environ['HF_TOKEN']} at {where}")
'''


def written(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(folder)): p.read_bytes().decode(errors="replace") for p in files}


@pytest.fixture
def results(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run a study in a home folder, with secrets in the environment; one arm tells them."""
    home = tmp_path / "home" / NAME
    (home / "reviews").mkdir(parents=True)
    rows = "".join(f"a sentence number {i}\t{i % 2}\n" for i in range(90))
    (home / "reviews" / "train.tsv").write_text(f"sentence\tlabel\n{rows}", encoding="utf-8")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USER", NAME)
    monkeypatch.setenv("HF_TOKEN", SECRET)
    monkeypatch.setenv("PIP_INDEX_URL", f"https://{NAME}:{SECRET}@localhost/simple")
    write_study(work, TELLS)
    (work / "reproductions" / "cheap" / "telling.py").write_text(MODEL, encoding="utf-8")
    where = ("--data", str(home / "reviews"), "--repetitions", "2")
    run = call(*RUN[:-1], str(home / "runs"), "--jobs", "1", *where)
    assert run.exit_code == 1, "an arm failed"
    assert "failed: tells" in run.stderr
    assert SECRET not in run.output
    return home / "runs"


def test_records_hold_no_secret_no_home_folder_and_no_name(results: Path) -> None:
    left = written(results)
    names = {Path(name).name for name in left}
    assert {"failures.jsonl", "records.jsonl", "run.json", "environments.json"} <= names
    assert [name for name, raw in left.items() if NAME in raw or SECRET in raw] == []


@pytest.mark.slow
def test_pages_hold_no_secret_no_home_folder_and_no_name(results: Path) -> None:
    damaged = next(results.rglob("records.jsonl"))
    damaged.write_bytes(damaged.read_bytes() + b"{}\n")  # pages name a damaged file
    assert call("report", "cheap", "--results", str(results)).exit_code == 0
    left = written(results)
    assert any("~/runs/cheap/smoke-reviews/main/records.jsonl" in raw for raw in left.values())
    assert [name for name, raw in left.items() if NAME in raw or SECRET in raw] == []
