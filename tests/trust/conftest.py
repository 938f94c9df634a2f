"""Nothing that these tests break is the user's: cache and working folder are a test's own."""

from pathlib import Path

import pytest
from tests.data.conftest import index  # noqa: F401 - a fixture: packages without a network
from tests.trust.faults import write_study


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("QLMBENCH_CACHE", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return folder


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Working folder with the cheap study in it."""
    folder = write_study(tmp_path / "work")
    monkeypatch.chdir(folder)
    return folder
