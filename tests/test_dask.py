"""Dask workers: the same records, a killed worker loses nothing, and a mistake is one line."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.studies import MLP, arm, head, profile, put_study

from qlmbench import cluster
from qlmbench.cli import main
from qlmbench.cluster import dask_workers
from qlmbench.errors import UserError
from qlmbench.plan import Plan, make_plans
from qlmbench.registry import get_study
from qlmbench.run import Summary, run_plan
from qlmbench.store import Store
from qlmbench.testing import VARIES

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

STUDY = (
    head("tiny")
    + arm(
        "mlp",
        MLP,
        "params = { hidden = [4], epochs = 3 }",
        "tune = { learning_rate = [0.1, 0.01] }",
    )
    + arm("once", "deadly:DiesOnce")
    + arm("ever", "deadly:DiesWherePoisoned")
    + profile("smoke", repetitions=2, per_class=10, test=30)
)

MODELS = """
import os
import signal
from pathlib import Path

from sklearn.dummy import DummyClassifier


class DiesOnce(DummyClassifier):
    max_stack = 1

    def fit(self, X, y):
        if Path("kill-once").exists():
            Path("kill-once").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(X, y)


class DiesWherePoisoned(DummyClassifier):
    max_stack = 1

    def fit(self, X, y):
        if Path("poison").exists() and is_first(repr(X.sum())):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(X, y)


def is_first(own):
    try:
        with Path("first").open("x") as file:
            file.write(own)
    except FileExistsError:
        pass
    return Path("first").read_text() == own
"""


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Smoke plan of a study with two arms that the system kills where a file says so."""
    folder = put_study(tmp_path, "tiny", STUDY)
    (folder / "deadly.py").write_text(MODELS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return make_plans(get_study("tiny"), "smoke")[0]


def silent(_: str) -> None:
    pass


def run(plan: Plan, store: Store, **options: Any) -> Summary:
    return run_plan(
        plan, store, **{"jobs": 1, "overwrite": "only-missing", "say": silent} | options
    )


def everything(store: Store) -> dict[str, Any]:
    """Return what two runs of one plan must agree in."""
    return {
        "records": {r.id: r.model_dump(exclude=VARIES) for r in store.records()},
        "predictions": store.predictions(),
        "curves": store.curves(),
        "tuning": store.tuning(),
        "splits": store.splits(),
    }


@pytest.mark.slow
def test_a_killed_worker_loses_nothing_and_dask_gives_the_records_of_a_local_run(
    plan: Plan, tmp_path: Path
) -> None:
    (tmp_path / "kill-once").touch()
    (tmp_path / "poison").touch()
    store = Store(Path("away"))
    said: list[str] = []
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        dask_workers(None, 2, silent),
    ):
        done = run(plan, store, dask=True, say=said.append)
    assert not (tmp_path / "kill-once").exists(), "a worker was killed"
    assert (done.finished, done.failed, done.given_up) == (5, 0, 1)
    assert sum("given up" in line for line in said) == 1
    assert {path.name for path in store.folder.iterdir()} == {
        *("curves.jsonl", "environments.json", "predictions.jsonl", "records.jsonl", "run.json"),
        *("splits.jsonl", "trials", "tuning.jsonl", ".lock"),
    }, "nothing that was handed over stays"
    kept = {r.id: r.finished for r in store.records()}
    (tmp_path / "poison").unlink()
    again = run(plan, store)
    assert (again.already_done, again.finished) == (5, 1)
    assert kept.items() <= {r.id: r.finished for r in store.records()}.items()
    alone = Store(tmp_path / "here")
    run(plan, alone)
    assert everything(store) == everything(alone)


@pytest.mark.slow
def test_a_killed_process_of_a_local_run_is_one_line_and_keeps_what_is_finished(
    plan: Plan, tmp_path: Path
) -> None:
    (tmp_path / "poison").touch()
    store = Store(tmp_path / "r")
    with pytest.raises(UserError, match="the system killed a process"):
        run(plan, store, jobs=2)
    kept = {r.id: r.finished for r in store.records()}
    (tmp_path / "poison").unlink()
    assert run(plan, store).finished == 6 - len(kept)
    assert kept.items() <= {r.id: r.finished for r in store.records()}.items()


# ---- mistakes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--scheduler", "tcp://127.0.0.1:1"), "add --executor dask"),
        (("--executor", "dask", "--scheduler", "tcp://127.0.0.1:1", "-j", "2"), "leave --jobs out"),
        (("--executor", "dask", "--scheduler", "node7"), "such as tcp://node7:8786"),
        (("--executor", "dask", "--scheduler", "http://node7:80"), "such as tcp://node7:8786"),
        (("--executor", "dask", "--scheduler", "127.0.0.1:1"), "no dask scheduler answers there"),
    ],
)
def test_a_mistake_about_the_scheduler_is_one_line(
    options: tuple[str, ...], said: str, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CONNECT", 0.3)
    result = CliRunner().invoke(main, ["run", "tiny", "--profile", "smoke", *options])
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_without_dask_the_executor_says_how_to_get_it(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "distributed.comm", None)
    arguments = ["run", "tiny", "--profile", "smoke", "--executor", "dask"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "pip install 'qlmbench[dask]'" in result.stderr
    assert result.stderr.count("\n") == 1


# ---- workers as a scheduler has them -----------------------------------------------------------


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Workers in this process, of as many threads as the test asks for."""
    workers, threads = request.param
    with (
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=threads,
            processes=False,
            dashboard_address=None,
        ) as started,
        distributed.Client(started) as connected,
    ):
        yield connected


@pytest.mark.parametrize("client", [(1, 2)], indirect=True)
def test_a_worker_with_several_threads_is_refused(client: Any) -> None:
    with pytest.raises(UserError, match="--nthreads 1"):
        cluster._check(client, silent)


@pytest.mark.parametrize("client", [(0, 1)], indirect=True)
def test_a_scheduler_that_gets_no_worker_is_one_line_and_waiting_is_told(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "FIRST_WORKER", 0.2)
    said: list[str] = []
    with pytest.raises(UserError, match="no worker after"):
        cluster._check(client, said.append)
    assert len(said) == 1
    assert "waiting" in said[0]


@pytest.mark.parametrize("client", [(1, 1)], indirect=True)
def test_the_jobs_of_a_single_worker_do_not_run_in_the_process_that_asks(client: Any) -> None:
    assert cluster._backend(client).effective_n_jobs(1) == 2


@pytest.mark.parametrize("client", [(0, 1)], indirect=True)
def test_a_run_that_has_no_worker_left_says_so(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    monkeypatch.setattr(cluster, "WATCH", 0.01)
    told = threading.Event()
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        told.set()

    with cluster._watched(client, say, lambda: None):
        assert told.wait(60)
    assert said == ["no dask worker is left; waiting for one"]
