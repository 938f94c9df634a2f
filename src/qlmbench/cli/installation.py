"""The installation itself: ``doctor`` and ``completion``."""

from __future__ import annotations

import sys

import click


@click.command()
def doctor() -> None:
    """Check this installation: packages, cache, data and weights, the package registry."""
    from qlmbench.doctor import examine

    findings = examine()
    for finding in findings:
        click.echo(finding.line)
    if any(finding.broken for finding in findings):
        sys.exit(1)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes commands, studies and arms in a shell."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    main = click.get_current_context().find_root().command
    click.echo(found(main, {}, "qlmbench", "_QLMBENCH_COMPLETE").source())
