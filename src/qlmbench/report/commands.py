"""The commands that make a run, or one setting of it, again."""

from __future__ import annotations

from qlmbench.report.load import Results
from qlmbench.spec import MAIN, Study

DEFAULT_FOLDER = "runs"


def run_command(settings: list[Results], folder: str, setting: str = "") -> str:
    """Write the command that does what these settings of one run lack.

    Parameters
    ----------
    settings : list of Results
        Settings of one run.
    folder : str
        Folder of the records.
    setting : str
        The only setting to run; default all.

    Returns
    -------
    str
    """
    study, profile = settings[0].study, settings[0].protocol.profile
    words = ["qlmbench", "run", study.name]
    words += [] if profile == "default" else ["--profile", profile]
    words += [] if setting in ("", MAIN) else ["--setting", setting]
    replaced = dict.fromkeys(option for results in settings for option in _replaced(results))
    return " ".join([*words, *replaced, *_where(folder)])


def report_command(study: Study, folder: str) -> str:
    """Write the command that makes the pages of a study again."""
    return " ".join(["qlmbench", "report", study.name, *_where(folder)])


def _where(folder: str) -> list[str]:
    return [] if folder == DEFAULT_FOLDER else ["--results", folder]


def _replaced(results: Results) -> list[str]:
    """Write what the user put in place of the setting's data and encoder."""
    info, protocol = results.info, results.protocol
    if info is None:
        return []
    options = []
    data, own = info.dataset["name"], protocol.dataset
    if data != own:
        named = own != results.study.profile(protocol.profile).dataset
        options.append(f"--data {own}={data}" if named else f"--data {data}")
    if info.encoder["name"] != protocol.encoder:
        options.append(f"--encoder {info.encoder['name']}")
    return options
