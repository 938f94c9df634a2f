"""How far a run is, in lines: few enough to read in a log, and never without its failures."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from qlmbench.records import Outcome

Say = Callable[[str], None]
"""Receives a line of progress."""

EVERY = 10.0
"""Seconds between two lines on jobs."""


def throttled(say: Say) -> Callable[[str, int, int], None]:
    """Turn progress of fetching and encoding into a line every few seconds."""
    last: dict[str, float] = {}

    def progress(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - last.get(what, -math.inf) > 5 or done == total:
            last[what] = now
            say(f"{what} {done}/{total}" if total else what)

    return progress


class JobProgress:
    """Says how far the jobs of a run are: the first, the last, and one every few seconds.

    A line counts the failures so far, and the first one of an arm is told at once.

    Parameters
    ----------
    total : int
        Trials of all jobs.
    say : callable
        Receives the lines.
    every : float
        Seconds between two lines.
    """

    def __init__(self, total: int, say: Say, every: float = EVERY) -> None:
        self.total = total
        self.say = say
        self.every = every
        self.finished = 0
        self.failed = 0
        self._failing: set[str] = set()
        self._started = time.monotonic()
        self._told = -math.inf

    def done(self, outcomes: Sequence[Outcome]) -> None:
        """Count the trials of a job that ended, and say so if it is time."""
        arm = outcomes[0].record.arm
        failed = sum(outcome.record.status == "failed" for outcome in outcomes)
        self.finished += len(outcomes)
        self.failed += failed
        news = failed > 0 and arm not in self._failing
        if failed:
            self._failing.add(arm)
        due = time.monotonic() - self._told >= self.every
        if news or due or self.finished == self.total:
            self._told = time.monotonic()
            self.say(self._line(arm))

    def _line(self, arm: str) -> str:
        elapsed = time.monotonic() - self._started
        left = elapsed / self.finished * (self.total - self.finished)
        note = f", {self.failed} failed so far" if self.failed else ""
        return f"[{self.finished}/{self.total}] {arm}{note}; about {left:.0f} s left"
