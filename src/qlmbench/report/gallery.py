"""Pictures of test scenes with the captions that models wrote of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pandas as pd

from qlmbench.data.datasets import Dataset, load_dataset
from qlmbench.data.images.scenes import Scene, read_scene
from qlmbench.data.splits import texts_at
from qlmbench.report import plots
from qlmbench.report import wording as w
from qlmbench.report.choice import telling_arms
from qlmbench.report.load import Results
from qlmbench.report.render import Table
from qlmbench.report.shown import Plot
from qlmbench.report.tables import main_metric
from qlmbench.report.training import compared
from qlmbench.spec import Arm

GALLERY = "gallery"
"""Name of the figure."""
MOST_ARMS = 5
EACH = 3
"""Scenes of each kind: pairs of colour and shape that training had, and held out."""
EXACT = "test_exact_match"


@dataclass(frozen=True)
class Exhibit:
    """A test scene, and what each arm wrote of it.

    Parameters
    ----------
    scene : Scene
        What the image shows.
    written : dict of str to str
        Captions by name of the arm.
    """

    scene: Scene
    written: dict[str, str]


def gallery_plot(results: Results) -> Plot | None:
    """Return pictures of the first test scenes with the captions of a few arms.

    Parameters
    ----------
    results : Results
        One setting of a run.

    Returns
    -------
    Plot or None
        None where nothing was written, or the images are no scenes that could be drawn again.
    """
    arms = _shown_arms(results)
    exhibits = _exhibits(results, arms)
    if not exhibits:
        return None
    labels = {arm.name: (arm.title, arm.kind) for arm in arms}
    return Plot(
        GALLERY,
        "What the captions say",
        _sentence(results, arms),
        f"The first {w.plural(EACH, 'test scene')} of the first repetition whose pairs of colour "
        f"and shape all occur in training, then the first {EACH} with a pair that does not; "
        "✓: word for word the right caption, which stands above the others.",
        lambda: plots.captioned_scenes(
            [(e.scene, {labels[name]: text for name, text in e.written.items()}) for e in exhibits]
        ),
    )


def gallery_table(results: Results) -> Table:
    """Tabulate the captions that every arm wrote of the scenes of the figure."""
    arms = [arm for arm in results.arms if arm.name in results.written]
    rows = [
        {
            "scene": exhibit.scene.caption,
            "arm": arm.name,
            "label": arm.title,
            "caption": exhibit.written[arm.name],
            "right": exhibit.written[arm.name] == exhibit.scene.caption,
        }
        for exhibit in _exhibits(results, arms)
        for arm in arms
    ]
    data = pd.DataFrame(rows)
    if data.empty:
        return Table(GALLERY, "", data, data)
    shown = pd.DataFrame(
        {
            "scene": data["scene"],
            "arm": data["label"],
            "caption": data["caption"],
            "": ["✓" if right else "" for right in data["right"]],
        }
    )
    caption = "What every arm wrote of the scenes above. ✓: word for word the right caption."
    return Table(GALLERY, caption, data, shown, ("scene", "arm", "caption", ""))


def _shown_arms(results: Results) -> list[Arm]:
    """Return the arms that the setting compares, or a few that were not chosen on test."""
    having = set(results.written)
    arms = compared(results, having) or telling_arms(results, main_metric(results), having)
    return arms[:MOST_ARMS]


def _exhibits(results: Results, arms: list[Arm]) -> list[Exhibit]:
    """Pair the chosen test scenes of the first repetition with what the arms wrote of them."""
    if results.info is None or results.info.dataset["name"] != "scenes" or 0 not in results.splits:
        return []
    written = [results.written[arm.name].get(0, []) for arm in arms]
    n = min(map(len, written), default=0)
    texts = texts_at(_scenes(), results.test_rows(0)[:n].tolist())
    scenes = [read_scene(text) for text in texts]
    seen = [i for i, scene in enumerate(scenes) if not scene.is_held_out][:EACH]
    held_out = [i for i, scene in enumerate(scenes) if scene.is_held_out][:EACH]
    return [
        Exhibit(scenes[i], {arm.name: own[i] for arm, own in zip(arms, written, strict=True)})
        for i in seen + held_out
    ]


@cache
def _scenes() -> Dataset:
    """Load the dataset of scenes, which every setting of a page draws from."""
    return load_dataset("scenes")


def _sentence(results: Results, arms: list[Arm]) -> str:
    """Say how many of all test scenes each shown arm describes word for word."""
    parts = [
        f"{w.with_unit(EXACT, values.mean())} ({w.named(arm.title)})"
        for arm in arms
        if len(values := results.values(arm.name, EXACT))
    ]
    return f"Word for word right are, of all test scenes: {w.listed(parts)}."
