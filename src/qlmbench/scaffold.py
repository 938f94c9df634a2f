"""Starts a study: a folder that runs as it stands, for a paper to be filled in."""

from __future__ import annotations

import contextlib
import importlib.util
import keyword
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from qlmbench.errors import UserError
from qlmbench.registry import study_folders

STUDY = ("__init__.py", "study.toml", "heads.py", "page.md")
"""Templates that make up the folder of a study."""

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@dataclass(frozen=True)
class NewStudy:
    """What was written.

    Parameters
    ----------
    name : str
        Name of the study.
    root : Path
        Where its commands are run: the checkout, or the new package.
    packaged : bool
        Whether it is a package of its own, to be installed.
    files : tuple of Path
        The files.
    """

    name: str
    root: Path
    packaged: bool
    files: tuple[Path, ...]


def new_study(name: str, directory: Path) -> NewStudy:
    """Write a study that runs as it stands.

    In a checkout of qlmbench it is a folder below ``reproductions/`` and a test; anywhere else a
    package of its own, which qlmbench finds once it is installed.

    Parameters
    ----------
    name : str
        Name of the study; a dash counts as an underscore.
    directory : Path
        Where to begin: in a checkout, or where the package's folder is to be.

    Returns
    -------
    NewStudy

    Raises
    ------
    UserError
        If the name cannot be one of a module or is taken, or a file or folder cannot be written.
        Nothing is left half-written.
    """
    module = _module_name(name)
    checkout = _checkout(directory)
    if checkout is None:
        root = directory / module.replace("_", "-")
        _must_be_free(module, packaged=True)
        targets = _package(module)
    else:
        root = checkout
        _must_be_free(module, packaged=False)
        targets = _in_checkout(module)
    texts = {root / path: _filled(template, module) for path, template in targets.items()}
    new = root if checkout is None else root / "reproductions" / module
    _write({new: None, **texts})
    return NewStudy(module, root, checkout is None, tuple(texts))


def next_steps(made: NewStudy) -> list[str]:
    """List the commands that come next, one a line."""
    lines = [] if made.root.resolve() == Path.cwd() else [f"cd {made.root}"]
    lines += ["pip install -e ."] if made.packaged else []
    return [*lines, f"qlmbench run {made.name} --profile smoke"]


# ---- names and places ----------------------------------------------------------------------


def _module_name(name: str) -> str:
    module = name.replace("-", "_")
    if not NAME.fullmatch(module) or keyword.iskeyword(module):
        raise UserError(
            f"name {name!r} cannot be that of a Python module",
            expected="lower-case letters and digits, a letter first, words joined by '-' or '_'",
        )
    return module


def _must_be_free(module: str, packaged: bool) -> None:
    taken = study_folders()
    if module in taken:
        raise UserError(
            f"name {module!r} is taken by the study in {taken[module]}", do="choose another name"
        )
    # Where it is a package, it would hide another one, or be hidden by it.
    if packaged and importlib.util.find_spec(module) is not None:
        raise UserError(
            f"name {module!r} is taken by a Python module of this name", do="choose another name"
        )


def _checkout(directory: Path) -> Path | None:
    """Return the checkout of qlmbench that a folder lies in, if it lies in one."""
    # As the user wrote it where that will do, so that what is printed is short.
    for folder in (directory, *directory.resolve().parents):
        if (folder / "reproductions").is_dir() and (folder / "src" / "qlmbench").is_dir():
            return folder
    return None


def _in_checkout(module: str) -> dict[Path, str]:
    """Map files to templates; the contract is put to every study there by a test of its own."""
    folder = Path("reproductions") / module
    test = Path("tests") / "reproductions" / f"test_{module}.py"
    return {folder / name: f"study/{name}" for name in STUDY} | {test: "test_head.py"}


def _package(module: str) -> dict[Path, str]:
    folder = Path("src") / module
    own = ("pyproject.toml", "tests/test_head.py", "tests/test_contract.py")
    return {Path(path): Path(path).name for path in own} | {
        folder / name: f"study/{name}" for name in STUDY
    }


# ---- writing ---------------------------------------------------------------------------------


def _filled(template: str, module: str) -> str:
    """Return a template with this study's name in the place of ``my_paper``."""
    text = (files("qlmbench") / "templates" / template).read_text(encoding="utf-8")
    words = "".join(word.capitalize() for word in module.split("_"))
    for placeholder, given in (
        ("my_paper", module),
        ("my-paper", module.replace("_", "-")),
        ("MyPaper", words),
    ):
        text = text.replace(placeholder, given)
    return text


def _write(texts: Mapping[Path, str | None]) -> None:
    """Write new files, or none of them; a path without a text must only be free."""
    for path in texts:
        if os.path.lexists(path):
            raise UserError(f"{path} is there already", do="choose another name or remove it")
    with _undone_on_failure() as made:
        for path, text in texts.items():
            if text is None:
                continue
            for folder in reversed([p for p in path.parents if not p.exists()]):
                folder.mkdir()
                made.append(folder)
            made.append(path)
            path.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def _undone_on_failure() -> Iterator[list[Path]]:
    """Remove what was made, the latest first, if the work is not finished."""
    made: list[Path] = []
    try:
        yield made
    except BaseException as error:
        for path in reversed(made):
            with contextlib.suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            where = error.filename or made[-1]
            raise UserError(f"{where}: cannot be written: {error.strerror}") from None
        raise
