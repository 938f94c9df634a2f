"""Runs a command again and again, each time killed at another moment, and tells what was left.

Called with the first seed, the one behind the last and the step, in a working folder. For every
moment it forks, so that kills meet the run and not the start of Python. The child sends itself
SIGKILL: with an odd seed before or after its n-th operation on a file, with an even one at its n-th
call of any function, Python's or C's. So a seed means the same moment on every machine.
"""

import contextlib
import json
import math
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import numpy  # noqa: F401 - imported once, before the forks
import sklearn.dummy
import sklearn.linear_model
import sklearn.neighbors  # noqa: F401
import torch  # noqa: F401
from tests.trust.faults import RUN, SETTING, TRIALS, contents, stamps

from qlmbench import experiment, run, store  # noqa: F401
from qlmbench.cli import main, running
from qlmbench.plan import make_plans
from qlmbench.registry import get_study
from qlmbench.store import Store

COUNT = Path("count")
OPERATIONS = [
    (os, "fsync"),
    (os, "fdopen"),
    (tempfile, "mkstemp"),
    (Path, "mkdir"),
    (Path, "replace"),
    (Path, "unlink"),
]
ARGUMENTS = [*RUN, "--jobs", "1"]


class Moment:
    """Counts what happens in this process, and at the ``last`` event kills it.

    Parameters
    ----------
    last : float
        Infinite: only count.
    files : bool
        Count what comes before and after operations on files, and not calls of functions.
    """

    def __init__(self, last: float, files: bool) -> None:
        self.last, self.files, self.seen = last, files, 0

    def tick(self) -> None:
        """Count one event."""
        self.seen += 1
        if self.seen > self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def start(self) -> None:
        """Count from now on, in this process, for good."""
        if not self.files:
            sys.setprofile(self._profile)
            return
        for place, name in OPERATIONS:
            setattr(place, name, self._counted(getattr(place, name)))

    def _profile(self, _: FrameType, event: str, __: object) -> None:
        if event in ("call", "c_call"):
            self.tick()

    def _counted(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.tick()
            result = operation(*arguments, **options)
            self.tick()
            return result

        return counted


def child(moment: Moment | None) -> int:
    """Run the command in a fork and return its exit status; killed, that is -9."""
    pid = os.fork()
    if pid == 0:
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            sys.stderr = nowhere
            code = 1
            with contextlib.suppress(BaseException):
                # Every record is in its table before the comparison is printed: no moment is
                # spent on that.
                running._print_results = lambda *_: None
                if moment is not None:
                    moment.start()
                main(ARGUMENTS, standalone_mode=False)
                code = 0
            sys.setprofile(None)
            if moment is not None:
                COUNT.write_text(str(moment.seen))
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@cache
def events_of_a_run(files: bool) -> int:
    """Count the events of an undisturbed run: a moment is drawn below that."""
    shutil.rmtree("r", ignore_errors=True)
    assert child(Moment(math.inf, files)) == 0
    return int(COUNT.read_text())


def one_moment(seed: int) -> dict[str, Any]:
    """Kill runs until one comes through, and compare with what was there after each kill."""
    draw, files = random.Random(seed), bool(seed % 2)
    events = events_of_a_run(files)
    shutil.rmtree("r", ignore_errors=True)
    kills, lost, repeated = 0, 0, 0
    moments = [Moment(draw.randrange(events), files)]
    if draw.random() < 0.5:  # killed a second time, on the way back
        moments.append(Moment(draw.randrange(events), files))
    kept: dict[str, Any] = {}
    plan = make_plans(get_study("cheap"), "smoke")[0]
    for moment in [*moments, None]:
        status = child(moment)
        assert status in (0, -signal.SIGKILL), f"ended with {status}"
        kills += status != 0
        left = Store(SETTING)
        now = dict(stamps(SETTING))
        lost += len(kept.keys() - now.keys())
        repeated += sum(now[key] != kept[key] for key in kept.keys() & now.keys())
        usable = left.finished()
        assert not left.problems, left.problems
        assert usable == now.keys(), "a record stands without its predictions or labels"
        missing = run.missing_trials(plan, left, "only-missing")
        assert len(missing) == TRIALS - len(now), "a finished trial would run again"
        kept = now
    return {"kills": kills, "lost": lost, "repeated": repeated, "records": contents(SETTING)}


if __name__ == "__main__":
    for seed in range(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])):
        print(json.dumps(one_moment(seed)), flush=True)
