from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _fake() -> ModuleType:
    """Load the made-up study: tests are imported by path and have no packages."""
    spec = importlib.util.spec_from_file_location(
        "qlmbench_fake_study", Path(__file__).with_name("fake.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def fake() -> ModuleType:
    return _fake()


@pytest.fixture(scope="session")
def results_folder(fake: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results with two runs of the made-up study; tests must not change it."""
    folder = tmp_path_factory.mktemp("results")
    fake.fill(folder / "fake" / "default" / "main", repetitions=14)
    fake.fill(folder / "fake" / "paper-mine" / "main", repetitions=10, seed=1)
    return folder


@pytest.fixture(scope="session")
def results(fake, results_folder):
    from qlmbench.report.load import load_results

    return load_results(fake.study(), results_folder / "fake" / "default" / "main")


@pytest.fixture(scope="session")
def run(fake, results_folder):
    from qlmbench.report.load import load_run

    return load_run(fake.study(), results_folder / "fake" / "default")


@pytest.fixture(scope="session")
def several_folder(fake, tmp_path_factory):
    """A folder of results with one run of the study of three settings; tests must not change it."""
    folder = tmp_path_factory.mktemp("several")
    fake.fill_several(folder / "fake" / "default")
    return folder


@pytest.fixture(scope="session")
def several_page(fake, several_folder):
    from qlmbench.report.reports import load_page

    return load_page(several_folder, fake.several())


@pytest.fixture(scope="session")
def several(several_page):
    """The run of three settings, laid out."""
    return several_page.runs[0]


@pytest.fixture(scope="session")
def page(fake, results_folder):
    from qlmbench.report.reports import load_page

    return load_page(results_folder, fake.study())
