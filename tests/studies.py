"""Studies for tests that plan or run one: the text, a piece at a time, and a working folder."""

from pathlib import Path


def head(name: str, version: int = 1) -> str:
    """Write what a study says of itself and of its paper."""
    return f"""
name = "{name}"
version = {version}
summary = "A study."
[paper]
title = "T"
authors = "A"
year = 2025
says = "S"
"""


def arm(name: str, model: str, *more: str, kind: str = "baseline") -> str:
    """Write an arm, with more lines of TOML where there are any."""
    return "\n".join(
        ["[[arms]]", f'name = "{name}"', f'kind = "{kind}"', f'model = "{model}"', *more, ""]
    )


def profile(name: str, *more: str, repetitions: int, per_class: int, test: int) -> str:
    """Write a profile on the toy data, with more lines of TOML where there are any."""
    split = [
        f"train = {{ per_class = {per_class} }}",
        "validation = { count = 20 }",
        f"test = {{ count = {test} }}",
    ]
    own = ['dataset = "toy"', 'encoder = "hashing"', f"repetitions = {repetitions}", *more]
    return "\n".join([f"[profiles.{name}]", *own, f"[profiles.{name}.split]", *split, ""])


LOGREG = "sklearn.linear_model:LogisticRegression"
MLP = "qlmbench.models.classical:MLPClassifier"
MEAN = "sklearn.dummy:DummyClassifier"


def put_study(folder: Path, name: str, text: str | bytes) -> Path:
    """Put a study into a working folder; return the study's own folder."""
    place = folder / "reproductions" / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "study.toml").write_bytes(text.encode() if isinstance(text, str) else text)
    return place
