"""Runs a command again and again, each time killed at another moment, and tells what was left.

Called with the first seed and the one behind the last, in a working folder. For every moment it
forks, so that kills meet the run and not the start of Python; the child sends itself SIGKILL at its
n-th call of a function, Python's or C's, so that a seed means the same moment on every machine.
Half of the moments count calls made by the store alone, where a kill could do most harm.
"""

import contextlib
import json
import math
import os
import random
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import numpy  # noqa: F401 - imported once, before the forks
import sklearn.dummy
import sklearn.linear_model
import sklearn.naive_bayes  # noqa: F401
import torch  # noqa: F401
from tests.trust.faults import RUN, SETTING, TRIALS, contents, stamps

from qlmbench import cli, experiment, run, store  # noqa: F401
from qlmbench.cli import main
from qlmbench.plan import make_plans
from qlmbench.registry import get_study
from qlmbench.store import Store

COUNT = Path("count")
ARGUMENTS = [*RUN, "--jobs", "1"]


class Moment:
    """Counts calls, and at the ``last`` one kills this process.

    Parameters
    ----------
    last : float
        Infinite: only count.
    only_store : bool
        Count calls made by the store alone.
    """

    def __init__(self, last: float, only_store: bool) -> None:
        self.last, self.only_store, self.seen = last, only_store, 0

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Take an event as `sys.setprofile` gives it."""
        if event not in ("call", "c_call"):
            return
        if self.only_store and not frame.f_code.co_filename.endswith("qlmbench/store.py"):
            return
        self.seen += 1
        if self.seen > self.last:
            os.kill(os.getpid(), signal.SIGKILL)


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
                cli._print_results = lambda *_: None
                sys.setprofile(moment)
                main(ARGUMENTS, standalone_mode=False)
                code = 0
            sys.setprofile(None)
            if moment is not None:
                COUNT.write_text(str(moment.seen))
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def calls_of_a_run(only_store: bool) -> int:
    """Count the calls of an undisturbed run: a moment is drawn below that."""
    shutil.rmtree("r", ignore_errors=True)
    assert child(Moment(math.inf, only_store)) == 0
    return int(COUNT.read_text())


def one_moment(seed: int, calls: dict[bool, int]) -> dict[str, Any]:
    """Kill runs until one comes through, and compare with what was there after each kill."""
    draw = random.Random(seed)
    shutil.rmtree("r", ignore_errors=True)
    kills, lost, repeated = 0, 0, 0
    only_store = bool(seed % 2)
    moments = [Moment(draw.randrange(calls[only_store]), only_store)]
    if draw.random() < 0.5:  # killed a second time, on the way back
        moments.append(Moment(draw.randrange(calls[only_store]), only_store))
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
    counted = {which: calls_of_a_run(which) for which in (True, False)}
    for seed in range(int(sys.argv[1]), int(sys.argv[2])):
        print(json.dumps(one_moment(seed, counted)), flush=True)
