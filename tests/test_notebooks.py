"""The notebooks: each runs from top to bottom beside the committed results, and shows them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MACHINE = re.compile(r"(?<![\w.:/])/(?:home|root|Users|tmp|var|opt|mnt)/|[A-Z]:\\\\")
"""How a path of somebody's machine begins."""

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def _outputs(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [output for cell in cells for output in cell.get("outputs", [])]


@each
def test_committed_outputs_hold_no_error_no_warning_and_no_path_of_a_machine(path: Path) -> None:
    outputs = _outputs(path)
    assert outputs, "run the notebook before it is committed"
    for output in outputs:
        assert output["output_type"] != "error"
        assert output.get("name") != "stderr"
        assert MACHINE.search(json.dumps(output)) is None


@each
def test_committed_cells_were_run_once_and_in_order(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    counts = [cell["execution_count"] for cell in cells if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))


@each
def test_guide_lists_the_notebook(path: Path) -> None:
    guide = (ROOT / "docs" / "guide" / "index.md").read_text(encoding="utf-8")
    assert f"/notebooks/{path.stem}" in guide.splitlines()


@each
@pytest.mark.slow
@pytest.mark.network
def test_notebook_runs_from_top_to_bottom(path: Path, tmp_path: Path) -> None:
    """It does so beside the committed results, says what it said, and leaves nothing behind."""
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    (tmp_path / "results").symlink_to(ROOT / "results")
    notebook = nbformat.read(path, as_version=4)
    stored = _markdown_outputs(notebook)
    where = {"metadata": {"path": str(notebooks)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=where).execute()
    assert stored
    assert _markdown_outputs(notebook) == stored, "run the notebook again: it shows old results"
    assert list(notebooks.iterdir()) == []


def _markdown_outputs(notebook: Any) -> list[str]:
    """What the notebook shows of the records alone: verdicts and tables, no trained numbers."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    data = [output["data"] for output in outputs if "data" in output]
    return [shown["text/markdown"] for shown in data if "text/markdown" in shown]
