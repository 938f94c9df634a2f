"""Dask workers for the jobs of a run, through joblib's own backend for dask."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from qlmbench.errors import UserError
from qlmbench.progress import Say

if TYPE_CHECKING:
    from distributed import Client

Refill = Callable[[], None]
"""Starts workers in the place of those that are lost, where they are ours."""

CONNECT = 10.0
"""Seconds to wait for a scheduler to answer."""
FIRST_WORKER = 600.0
"""Seconds to wait for the first worker: batch systems start them when there is room."""
LOST_WORKER = "120 s"
"""How long a worker of ours that died may take to start again before another one is started."""
WATCH = 15.0
"""Seconds between two looks at whether any worker is left."""

_ADDRESS = re.compile(r"((tcp|tls|ws|wss|ucx)://)?(\[[^\]]+\]|[^/:\[\]]+):\d+")


@contextmanager
def dask_workers(scheduler: str | None, jobs: int, say: Say) -> Iterator[None]:
    """Send what joblib runs in parallel to dask workers, as long as this context lasts.

    Parameters
    ----------
    scheduler : str or None
        Address of a running scheduler, such as ``tcp://node7:8786``; None for workers of this
        machine that end with the context.
    jobs : int
        Number of these workers; a running scheduler has its own.
    say : callable
        Told when no worker is there, and when one is again.

    Raises
    ------
    UserError
        If dask is not installed, the scheduler does not answer, has no workers or some that run
        several jobs at once, or is lost.
    """
    try:
        from distributed.comm import CommClosedError
    except ImportError:
        raise UserError("dask is not installed", do="pip install 'qlmbench[dask]'") from None
    from joblib import parallel_config

    connected = _local(jobs) if scheduler is None else _running(scheduler)
    try:
        with _quiet(), connected as (client, refill):
            _check(client, say)
            with _watched(client, say, refill), parallel_config(backend=_backend(client)):
                yield
    except (CancelledError, CommClosedError):
        raise UserError(
            "lost the connection to the dask scheduler",
            do="finished trials are kept; run again to go on",
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep dask's tracebacks of lost connections from the terminal: we tell them in one line."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _local(jobs: int) -> Iterator[tuple[Client, Refill]]:
    """Start workers on this machine, one trial at a time each."""
    import dask
    from distributed import Client, LocalCluster

    settings = {
        # A worker gets its next job when it asks for it: one that dies takes no second job along.
        "distributed.scheduler.worker-saturation": 1.0,
        # On a busy machine a worker that died takes long to start again.
        "distributed.deploy.lost-worker-timeout": LOST_WORKER,
    }
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,  # dask would stop a worker at its share of the memory
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client, lambda: cluster.scale(jobs)


@contextmanager
def _running(address: str) -> Iterator[tuple[Client, Refill]]:
    """Connect to a scheduler."""
    from distributed import Client

    if not _ADDRESS.fullmatch(address):
        raise UserError(f"--scheduler {address}", expected="an address such as tcp://node7:8786")
    try:
        client = Client(address, timeout=CONNECT)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"--scheduler {address}: no dask scheduler answers there ({_first_line(error)})",
            do="start one with 'dask scheduler', or leave --scheduler out to use this machine",
        ) from None
    with client:
        yield client, lambda: None


def _check(client: Client, say: Say) -> None:
    """Wait for a worker, and refuse workers that would run several jobs in one process."""
    if not client.nthreads():
        say(f"waiting up to {FIRST_WORKER:.0f} s for the first dask worker")
    try:
        client.wait_for_workers(1, timeout=FIRST_WORKER)
    except TimeoutError:
        raise UserError(
            f"the scheduler has no worker after {FIRST_WORKER:.0f} s",
            do="start some with 'dask worker ADDRESS --nthreads 1'",
        ) from None
    several = [address for address, n in client.nthreads().items() if n > 1]
    if several:
        raise UserError(
            f"the dask worker {several[0]} runs several jobs at once in one process",
            expected="one thread a worker: jobs that share a process change each other's times",
            do="start workers with --nthreads 1, and more of them with --nworkers",
        )


@contextmanager
def _watched(client: Client, say: Say, refill: Refill) -> Iterator[None]:
    """Replace lost workers, and say when none is left: joblib would wait without a word."""
    stop = threading.Event()

    def watch() -> None:
        alone = False
        while not stop.wait(WATCH):
            try:
                none = not client.nthreads()
                refill()
            except Exception:  # the scheduler has gone, which the jobs will tell
                return
            if none != alone:
                say("no dask worker is left; waiting for one" if none else "dask workers are back")
            alone = none

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()


def _backend(client: Client) -> Any:
    """Build joblib's backend for dask, with two gaps closed."""
    from distributed import KilledWorker
    from joblib._dask import DaskDistributedBackend

    class Backend(DaskDistributedBackend):  # type: ignore[misc]
        """Joblib's backend, whose jobs end when their workers died, and leave this process."""

        def effective_n_jobs(self, n_jobs: int) -> int:
            """Return two for one worker: what has one process, joblib runs in this one."""
            found: int = super().effective_n_jobs(n_jobs)
            return max(2, found)

        def submit(self, func: Any, callback: Any = None) -> Any:
            """Submit a job; joblib hears of its end even if the scheduler gave it up."""
            future = super().submit(func, callback)

            def given_up(done: Any) -> None:
                error = done.exception()
                if error is not None and callback is not None:
                    callback(error)

            future.add_done_callback(given_up)
            return future

        def retrieve_result_callback(self, out: Any) -> Any:
            """Return a job whose workers died as its error; any other error ends the run."""
            if isinstance(out, KilledWorker):
                return [out]
            if isinstance(out, BaseException):
                raise out
            return super().retrieve_result_callback(out)

    return Backend(client=client)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
