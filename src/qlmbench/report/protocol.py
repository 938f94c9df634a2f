"""How a setting was run, beyond its rows: arguments of the models, the encoder, the search."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from qlmbench.report import wording as w
from qlmbench.report.load import Results
from qlmbench.report.render import Table
from qlmbench.report.runs import encoder_use
from qlmbench.spec import Protocol, Value

TASKS = {
    "language-model": "language model: each token from those before it",
    "captioning": "captioning: each word of a caption from the image and the words before it",
}
ALONE = "nothing: each repetition is trained by itself, so that its seconds are its own"


def protocol_table(results: Results) -> Table:
    """Tabulate what a setting asks of models, encoder and search.

    Parameters
    ----------
    results : Results
        One setting of a run.

    Returns
    -------
    Table
        The encoder and the search always; what else is not as usual, where something is.
    """
    protocol = results.protocol
    rows = {
        "task": TASKS.get(protocol.task, ""),
        "encoder": _encoder(results),
        "arguments set on every arm that names them": _named(protocol.overrides),
        "search on validation": _search(protocol),
        "chooses among configurations": _choice(protocol),
        "trained together": ALONE if protocol.alone else "",
        "scored under other conditions": _named(protocol.evaluate),
    }
    shown = pd.DataFrame(
        [{"what": what, "how": how} for what, how in rows.items() if how], columns=["what", "how"]
    )
    caption = (
        "How this setting was run, as the study declares it now. What it does not change is each "
        "arm's own."
    )
    return Table("protocol", caption, shown, shown, ("what", "how"))


def _encoder(results: Results) -> str:
    tuning = results.protocol.encoder_tuning
    if tuning is None:
        return encoder_use(results)
    given = {key: value for key, value in tuning.model_dump().items() if value is not None}
    return f"tuned on the training rows of each repetition: {_named(given)}"


def _search(protocol: Protocol) -> str:
    if not protocol.tune:
        return "none: a tuned argument keeps the first of its values"
    if not protocol.grid:
        return "each arm's own grid, where it has one"
    return f"in place of the arms' own values: {_named(protocol.grid)}"


def chooses_by_loss(protocol: Protocol) -> bool:
    """Whether validation loss decides among configurations, and not accuracy."""
    return protocol.choose_by == "loss"


def _choice(protocol: Protocol) -> str:
    if not chooses_by_loss(protocol) or not protocol.tune:
        return ""
    accuracy = "accuracy" if protocol.task == "classification" else "token accuracy"
    return f"the lowest validation loss; of equal ones, the higher validation {accuracy}"


def _named(values: Mapping[str, Value]) -> str:
    """Write arguments with their values as the model knows them: ``lr 0.01; epochs 10``."""
    return "; ".join(f"{key} {_written(value)}" for key, value in values.items())


def _written(value: Value) -> str:
    return ", ".join(map(w.number, value)) if isinstance(value, list) else w.number(value)
