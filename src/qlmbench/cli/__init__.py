"""The command line: one module a group of commands.

Heavy imports happen inside the commands that need them.
"""

from qlmbench.cli import installation, models, results, running, studies
from qlmbench.cli.group import main

for command in (
    studies.list_studies,
    studies.show,
    studies.new,
    running.plan_command,
    running.run,
    running.status,
    results.report,
    results.compare,
    results.export,
    models.train,
    models.caption,
    installation.doctor,
    installation.completion,
):
    main.add_command(command)

__all__ = ["main"]
