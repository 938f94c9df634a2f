"""A cache folder of its own for every test, and tiny packages to fetch instead of a network."""

import hashlib
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest


def sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def write_wheel(folder: Path, name: str, version: str, members: dict[str, bytes]) -> Path:
    """Make a wheel that pip accepts."""
    stem = f"{name.replace('-', '_')}-{version}"
    path = folder / f"{stem}-py3-none-any.whl"
    info = f"{stem}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for member, content in members.items():
            file.writestr(member, content)
        file.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        tag = "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        file.writestr(f"{info}/WHEEL", tag)
        file.writestr(f"{info}/RECORD", "")
    return path


_BACKEND = """
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    import os
    os.mkdir(os.path.join(folder, "{stem}.dist-info"))
    with open(os.path.join(folder, "{stem}.dist-info", "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    return "{stem}.dist-info"
def build_wheel(*args):
    raise RuntimeError("never built")
"""


def write_sdist(folder: Path, name: str, version: str, members: dict[str, bytes]) -> Path:
    """Make an sdist that brings its own build backend, so that pip needs nothing else."""
    root = f"{name}-{version}"
    path = folder / f"{root}.tar.gz"
    stem = f"{name.replace('-', '_')}-{version}"
    own = {
        "pyproject.toml": b'[build-system]\nrequires = []\nbuild-backend = "own"\n'
        b'backend-path = ["."]\n',
        "own.py": _BACKEND.format(stem=stem, name=name, version=version).encode(),
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
    }
    with tarfile.open(path, "w:gz") as file:
        for member, content in (own | members).items():
            info = tarfile.TarInfo(f"{root}/{member}")
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test an empty cache folder; what a test leaves behind never reaches the user's."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("QLMBENCH_CACHE", str(folder))
    return folder


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give pip a folder of packages and no network."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    return folder


@pytest.fixture
def no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test if anything is downloaded."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("pip was called")

    monkeypatch.setattr("qlmbench.data.sources.subprocess.run", refuse)
