"""The group that all commands belong to: help, mistakes, a stop from the keyboard."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import click

from qlmbench.errors import UserError


class _Group(click.Group):
    """A group of commands that shows a user's mistake as one line, with exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _stopped_by_sigterm():
                return super().invoke(ctx)
        except UserError as error:
            click.echo(f"qlmbench: {error}", err=True)
            ctx.exit(2)
        except KeyboardInterrupt as stop:
            click.echo("qlmbench: stopped; finished trials are kept, run again to go on", err=True)
            ctx.exit(128 + (signal.SIGTERM if isinstance(stop, _Terminated) else signal.SIGINT))
        except BrokenPipeError:
            _leave_quietly()
        except OSError as error:  # a full disk, a folder that is locked, a name that is too long
            where = f"{error.filename}: " if error.filename is not None else ""
            click.echo(f"qlmbench: {where}{error.strerror or error}", err=True)
            ctx.exit(2)


class _Terminated(KeyboardInterrupt):
    """Someone, a batch system for example, asked this process to end."""


@contextlib.contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM stop a command as Ctrl-C does: what is finished is put in its place first."""

    def stop(*_: object) -> NoReturn:
        raise _Terminated

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread: whoever started it deals with signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _leave_quietly() -> NoReturn:
    """End without a traceback when the reader of our output has gone (``| head``)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: qlmbench run qllm",
)
@click.version_option(package_name="qlmbench")
def main() -> None:
    """Find out, fairly and fast, whether a quantum circuit inside a language model does anything.

    \b
    Examples:
      qlmbench list                          the studies
      qlmbench plan qllm                     what a run would do, and how long it takes
      qlmbench run qllm                      run it; a second time runs what is missing
      qlmbench run qllm --arm 'photonic-8m*' --repetitions 5
      qlmbench new my-paper                  start a study of your own
      qlmbench report qllm                   tables, figures and a page of the records
      eval "$(qlmbench completion bash)"     completion in this shell
    """  # noqa: D301 - click takes the control character, not its name
