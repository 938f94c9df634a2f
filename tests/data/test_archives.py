import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.conftest import sha256

from qlmbench.data.archives import _blocks, check_member_name, extract, write_checked
from qlmbench.errors import CorruptFileError

CONTENT = b"some text\n" * 1000


def zipped(path: Path, member: str = "a/b.txt", content: bytes = CONTENT) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(member, content)
    return path


def tarred(path: Path, info: tarfile.TarInfo, content: bytes = b"") -> Path:
    with tarfile.open(path, "w:gz") as file:
        file.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../../x", "..", "a\\..\\x", "C:/x", "", "a/.."]
)
def test_a_name_that_leads_out_of_the_folder_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="leads out"):
        check_member_name(name)


@given(st.text(alphabet="ab./\\:", max_size=12))
def test_an_accepted_name_stays_inside_the_folder(name: str) -> None:
    folder = Path("/some/folder")
    try:
        check_member_name(name)
    except ValueError:
        return
    assert (folder / name).resolve().is_relative_to(folder)


def test_a_member_lands_under_its_own_path(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "x.zip")
    extract(archive, {"a/b.txt": sha256(CONTENT)}, tmp_path / "out")
    assert (tmp_path / "out/a/b.txt").read_bytes() == CONTENT


def test_a_wrong_hash_leaves_nothing_behind(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "x.zip")
    with pytest.raises(CorruptFileError, match="sha256"):
        extract(archive, {"a/b.txt": "0" * 64}, tmp_path / "out")
    assert [p for p in (tmp_path / "out").rglob("*") if p.is_file()] == []


def test_a_wrong_hash_leaves_an_older_file_alone(tmp_path: Path) -> None:
    target = tmp_path / "kept.txt"
    target.write_bytes(b"old")
    with pytest.raises(CorruptFileError):
        write_checked([b"new"], target, "0" * 64)
    assert target.read_bytes() == b"old"


def test_a_missing_member_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match=r"nothing\.txt"):
        extract(zipped(tmp_path / "x.zip"), {"nothing.txt": "0" * 64}, tmp_path / "out")


def test_a_symbolic_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr(info, "/etc/passwd")
    with pytest.raises(CorruptFileError, match="plain file"):
        extract(tmp_path / "x.zip", {"link": sha256(b"/etc/passwd")}, tmp_path / "out")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_a_link_or_folder_in_a_tar_is_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("link")
    info.type, info.linkname = kind, "/etc/passwd"
    archive = tarred(tmp_path / "x.tar.gz", info)
    with pytest.raises(CorruptFileError, match="plain file"):
        extract(archive, {"link": sha256(b"")}, tmp_path / "out")


def test_an_oversized_member_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qlmbench.data.archives.LARGEST_MEMBER", 100)
    with pytest.raises(CorruptFileError, match="refused"):
        extract(zipped(tmp_path / "x.zip"), {"a/b.txt": sha256(CONTENT)}, tmp_path / "out")


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.8])
def test_a_truncated_archive_is_called_damaged(tmp_path: Path, keep: float) -> None:
    info = tarfile.TarInfo("a")
    info.size = len(CONTENT)
    for archive in (tarred(tmp_path / "t.tar.gz", info, CONTENT), zipped(tmp_path / "z.zip")):
        raw = archive.read_bytes()
        archive.write_bytes(raw[: int(keep * len(raw))])
        member = "a" if archive.suffix == ".gz" else "a/b.txt"
        with pytest.raises(CorruptFileError):
            extract(archive, {member: sha256(CONTENT)}, tmp_path / "out")


@given(st.integers(0, 10**6))
def test_a_flipped_byte_never_gets_through(
    tmp_path_factory: pytest.TempPathFactory, at: int
) -> None:
    folder = tmp_path_factory.mktemp("flip")
    archive = zipped(folder / "z.zip")
    raw = bytearray(archive.read_bytes())
    raw[at % len(raw)] ^= 0x41
    archive.write_bytes(raw)
    try:
        extract(archive, {"a/b.txt": sha256(CONTENT)}, folder / "out")
    except CorruptFileError:
        return
    assert (folder / "out/a/b.txt").read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["../out.txt", "/tmp/out.txt", "a/../../out.txt"])
def test_a_member_that_climbs_out_is_never_unpacked_even_if_it_is_asked_for(
    tmp_path: Path, name: str
) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(CONTENT)
    for archive in (tarred(tmp_path / "x.tar.gz", info, CONTENT), zipped(tmp_path / "x.zip", name)):
        with pytest.raises(ValueError, match="leads out"):
            extract(archive, {name: sha256(CONTENT)}, tmp_path / "deep" / "out")
    assert not list(tmp_path.rglob("out.txt"))


def test_members_that_nobody_asked_for_stay_in_the_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("wanted.txt", CONTENT)
        file.writestr("../climbs.txt", CONTENT)
        file.writestr("/absolute.txt", CONTENT)
    extract(tmp_path / "x.zip", {"wanted.txt": sha256(CONTENT)}, tmp_path / "deep" / "out")
    found = [path.name for path in tmp_path.rglob("*.txt")]
    assert found == ["wanted.txt"]


def test_a_bomb_that_understates_its_size_is_stopped_at_what_it_stated(tmp_path: Path) -> None:
    size = 10 << 20
    archive = zipped(tmp_path / "bomb.zip", "zeros.bin", bytes(size))
    raw = archive.read_bytes()
    archive.write_bytes(raw.replace(size.to_bytes(4, "little"), (100).to_bytes(4, "little")))
    with pytest.raises(CorruptFileError, match=r"bomb\.zip"):
        extract(archive, {"zeros.bin": sha256(bytes(size))}, tmp_path / "out")
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_a_stream_that_is_longer_than_it_was_declared_is_stopped_there() -> None:
    assert b"".join(_blocks(io.BytesIO(CONTENT), len(CONTENT), "a.zip")) == CONTENT
    with pytest.raises(CorruptFileError, match="larger than the 9999 bytes declared"):
        list(_blocks(io.BytesIO(CONTENT), len(CONTENT) - 1, "a.zip"))


def test_a_folder_that_is_a_link_out_is_not_followed_by_a_member_of_an_archive(
    tmp_path: Path,
) -> None:
    link = tarfile.TarInfo("a")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "elsewhere")
    inside = tarfile.TarInfo("a/b.txt")
    inside.size = len(CONTENT)
    with tarfile.open(tmp_path / "x.tar", "w") as file:
        file.addfile(link)
        file.addfile(inside, io.BytesIO(CONTENT))
    extract(tmp_path / "x.tar", {"a/b.txt": sha256(CONTENT)}, tmp_path / "out")
    assert (tmp_path / "out" / "a").is_dir()
    assert not (tmp_path / "out" / "a").is_symlink()
    assert not (tmp_path / "elsewhere").exists()
