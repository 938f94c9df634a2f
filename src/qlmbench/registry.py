"""Finds studies, in a checkout and in installed packages, and the model classes they name."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from qlmbench.errors import UserError, unknown
from qlmbench.spec import Study
from qlmbench.study_file import load_study

ENTRY_POINTS = "qlmbench.studies"
"""Group under which an installed package names a package of it that holds a study.toml."""


def study_folders() -> dict[str, Path]:
    """Find the folders of all studies, by name.

    A study of the working folder hides an installed one of the same name.

    Raises
    ------
    UserError
        If an installed package names a module that is not there, or has no study.toml.
    """
    found = dict(_installed_folders())
    for root in _roots():
        for file in sorted(root.glob("*/study.toml")):
            found[file.parent.name] = file.parent
    return found


@cache
def _installed_folders() -> dict[str, Path]:
    """Find the studies of installed packages, which stay the same while a process runs.

    All packages are looked through for that, which takes as long as a small trial.
    """
    found: dict[str, Path] = {}
    for entry in entry_points(group=ENTRY_POINTS):
        found[entry.name] = _installed_folder(entry)
    return found


def _installed_folder(entry: EntryPoint) -> Path:
    try:
        spec = importlib.util.find_spec(entry.value)
    except ModuleNotFoundError:  # of the package that the module is in
        spec = None
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        if (Path(folder) / "study.toml").is_file():
            return Path(folder)
    package = entry.dist.name if entry.dist is not None else "an installed package"
    raise UserError(
        f"study {entry.name!r} of {package}: there is no {entry.value!r} with a study.toml",
        do=f"install {package} again, or remove it",
    )


def _roots() -> list[Path]:
    """List folders of studies: of the package's checkout, of the working folder."""
    checkout = Path(__file__).resolve().parents[2]
    return [checkout / "reproductions", Path.cwd() / "reproductions"]


def study_folder(name: str) -> Path:
    """Return the folder of a study.

    Raises
    ------
    UserError
        If there is none of this name.
    """
    folders = study_folders()
    if name in folders:
        return folders[name]
    if not folders:
        raise UserError(
            f"unknown study {name!r}; no study found",
            do="run from the folder that holds reproductions/",
        )
    raise unknown("study", name, list(folders), "qlmbench")


def get_study(name: str) -> Study:
    """Read the study of this name.

    Raises
    ------
    UserError
        If there is none, or if its study.toml is not valid.
    """
    folder = study_folder(name)
    study = load_study(folder / "study.toml")
    if study.name != name:
        raise UserError(
            f"{folder / 'study.toml'}: key 'name' is {study.name!r}",
            expected=f"the folder's name, {name!r}",
        )
    return study


def model_class(study: str, reference: str) -> Any:
    """Import the class that an arm names.

    Parameters
    ----------
    study : str
        Name of the study; a module of its folder comes before any other.
    reference : str
        ``module:Class``.

    Returns
    -------
    type

    Raises
    ------
    UserError
        If there is no such module or class.
    """
    module_name, _, class_name = reference.partition(":")
    folder = study_folder(study)
    try:
        if "." not in module_name and (folder / f"{module_name}.py").exists():
            module = importlib.import_module(f"{_import_folder(study, folder)}.{module_name}")
        else:
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # Only the module named here is the user's to mend; one that is missing inside it is not.
        if error.name and not module_name.startswith(error.name):
            raise
        raise _no_model(folder, reference, f"there is no module {module_name!r}") from None
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        raise _no_model(folder, reference, f"{module_name!r} has no class {class_name!r}")
    return found


def _no_model(folder: Path, reference: str, why: str) -> UserError:
    return UserError(
        f"{folder / 'study.toml'}: model {reference!r}: {why}", expected="'module:Class'"
    )


def _import_folder(study: str, folder: Path) -> str:
    """Import a study's folder as a package of its own and return the package's name."""
    name = f"qlmbench_study_{study.replace('-', '_').replace('.', '_')}"
    known = sys.modules.get(name)
    if known is None or known.__path__ != [str(folder)]:
        for loaded in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
            del sys.modules[loaded]
        init = folder / "__init__.py"
        spec = None
        if init.exists():
            spec = importlib.util.spec_from_file_location(
                name, init, submodule_search_locations=[str(folder)]
            )
        module = ModuleType(name) if spec is None else importlib.util.module_from_spec(spec)
        module.__path__ = [str(folder)]
        sys.modules[name] = module
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module(module)
    return name
