"""Data with anything wrong in it is one line: folders of texts, captions, images."""

import contextlib
import io
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.trust.faults import RUN, Result, assert_one_line, call, damage, write_study

from qlmbench.data.images.captions_file import read_captions
from qlmbench.errors import UserError

OPTIONS = {"deadline": None, "suppress_health_check": list(HealthCheck)}

# ---- folders of texts ----------------------------------------------------------------------------

PARTS = ("train.tsv", "train.csv", "validation.tsv", "test.tsv", "test.csv", "other.txt")


def table(separator: str, classes: int = 2, rows: int = 90) -> str:
    lines = [f"a sentence number {i}{separator}{i % classes}" for i in range(rows)]
    return "\n".join([f"sentence{separator}label", *lines])


FAULTS = {
    "none": lambda text, _: text.encode(),
    "one class": lambda text, _: text.replace("\t1\n", "\t0\n").replace(",1\n", ",0\n").encode(),
    "no label": lambda text, _: text.replace("label", "lable", 1).encode(),
    "no text": lambda text, _: text.replace("sentence", "", 1).encode(),
    "no header": lambda text, _: text.split("\n", 1)[1].encode(),
    "header alone": lambda text, _: text.split("\n", 1)[0].encode(),
    "empty": lambda _, __: b"",
    "blank lines": lambda text, _: text.replace("\n", "\n\n \n").encode(),
    "utf-16": lambda text, _: text.encode("utf-16"),
    "latin-1": lambda text, _: text.replace("number", "né").encode("latin-1"),
    "byte-order mark": lambda text, _: text.encode("utf-8-sig"),
    "NUL": lambda text, at: text[:at].encode() + b"\0" + text[at:].encode(),
    "a huge field": lambda text, at: text[:at].encode() + b"x" * 300_000 + text[at:].encode(),
    "a quotation mark": lambda text, at: text[:at].encode() + b'"' + text[at:].encode(),
    "a separator": lambda text, at: text[:at].encode() + b"\t," + text[at:].encode(),
    "an odd line end": lambda text, at: (text[:at] + "\r\u2028\x0b" + text[at:]).encode(),
    "old line ends": lambda text, _: text.replace("\n", "\r").encode(),
    "no rows": lambda text, _: text[:60].encode(),
    "cut": lambda text, at: text.encode()[:at],
}


@st.composite
def folders(draw: st.DrawFn) -> dict[str, bytes | None]:
    """Draw the files of a folder; none stands for a folder of that name."""
    found: dict[str, bytes | None] = {}
    for name in draw(st.lists(st.sampled_from(PARTS), min_size=1, max_size=3, unique=True)):
        text = table("," if name.endswith("csv") else "\t", draw(st.sampled_from([2, 2, 3, 40])))
        fault = draw(st.sampled_from(sorted(FAULTS)))
        found[name] = FAULTS[fault](text, draw(st.integers(0, len(text))))
        if draw(st.integers(0, 9)) == 0:
            found[name] = draw(st.sampled_from([None, b"\xff\xfe\0", b"\n\n\n", b"\t", b'"']))
    return found


def write(folder: Path, files: dict[str, bytes | None]) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in files.items():
        if content is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give all examples one working folder with the cheap study."""
    return write_study(tmp_path_factory.mktemp("data"))


def check_folder(place: Path, files: dict[str, bytes | None]) -> Result:
    write(place / "data", files)
    with contextlib.chdir(place):
        arguments = ("--arm", "mean", "--repetitions", "2", "--data", "data")
        result = call(*RUN, "--jobs", "1", "-q", *arguments)
    assert_one_line(result)
    assert (place / "r").exists() == (result.exit_code == 0), "a failed start leaves no run behind"
    shutil.rmtree(place / "r", ignore_errors=True)
    return result


def test_a_sound_folder_is_run(place: Path) -> None:
    assert check_folder(place, {"train.tsv": table("\t").encode()}).exit_code == 0
    assert check_folder(place, {"train.csv": table(",").encode()}).exit_code == 0


@settings(max_examples=20, derandomize=True, **OPTIONS)
@given(files=folders())
def test_a_faulty_data_folder_is_one_line(place: Path, files: dict[str, bytes | None]) -> None:
    check_folder(place, files)


@pytest.mark.slow
@settings(max_examples=250, **OPTIONS)
@given(files=folders())
def test_any_faulty_data_folder_is_one_line(place: Path, files: dict[str, bytes | None]) -> None:
    check_folder(place, files)


# ---- captions ------------------------------------------------------------------------------------

NAMES = ["a.png", "b/c.png", " a.png ", "", "no.png", "../a.png", "/etc/passwd", ".", "b", "~", "a"]
NAMES += [
    "a\0.png",
    "x" * 300,
    "ä\u2028.png",
    "a.png/",
    '"',
    "\x85",
    "captions.csv",
    "//",
    "b/../a.png",
]
WORDS = ["a red circle", "", " ", "x" * 200_000, "two,\nlines", '"quoted"', "\0", "ä\u2028", "\r"]


@st.composite
def captions_files(draw: st.DrawFn) -> bytes:
    """Draw a captions.csv, with faults in header, rows, quotes or encoding."""
    import csv

    file = io.StringIO()
    writer = csv.writer(file, quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])))
    header = st.sampled_from(
        [["image", "caption"], ["caption", "image"], ["image"], ["a", "b"], []]
    )
    writer.writerow(draw(header) if draw(st.integers(0, 4)) == 0 else ["image", "caption"])
    rows = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(WORDS)), max_size=3)
    writer.writerows(draw(rows))
    if draw(st.booleans()):
        writer.writerow(draw(st.lists(st.sampled_from(NAMES), max_size=4)))
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16"]))
    raw = file.getvalue().encode(encoding)
    return draw(damage())(raw) if raw and draw(st.integers(0, 3)) == 0 else raw


def check_captions(place: Path, raw: bytes) -> None:
    folder = write(place / "images", {"a.png": b"image", "captions.csv": raw, "b": None})
    (folder / "b" / "c.png").write_bytes(b"image")
    try:
        rows = read_captions(folder)
    except UserError as error:
        said = str(error)
    else:
        said = ""
        assert rows
        assert all(row.image.is_file() and row.caption for row in rows)
        assert all(row.image.resolve().is_relative_to(folder.resolve()) for row in rows)
    assert len(said.splitlines()) <= 1
    assert len(said) < 2000, "a line, not a page"


@settings(max_examples=30, derandomize=True, **OPTIONS)
@given(raw=captions_files())
def test_a_faulty_captions_file_is_one_line(place: Path, raw: bytes) -> None:
    check_captions(place, raw)


@pytest.mark.slow
@settings(max_examples=300, **OPTIONS)
@given(raw=captions_files())
def test_any_faulty_captions_file_is_one_line(place: Path, raw: bytes) -> None:
    check_captions(place, raw)


# ---- images --------------------------------------------------------------------------------------

FORMATS = ("png", "jpeg", "gif", "webp", "tiff", "bmp", "ppm")


def picture(kind: str) -> bytes:
    image = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    image.radial_gradient("L").resize((48, 40)).convert("RGB").save(file, kind)
    return file.getvalue()


@st.composite
def images(draw: st.DrawFn) -> bytes:
    """Draw an image with damage, or bytes that are none."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=40))
    raw: bytes = picture(draw(st.sampled_from(FORMATS)))
    for _ in range(draw(st.integers(0, 3))):
        raw = draw(damage())(raw) if raw else raw
    return raw


def check_image(place: Path, raw: bytes) -> None:
    (place / "image").write_bytes(raw)
    with contextlib.chdir(place):
        result = call("caption", "--image_path", "image", "--image_encoder", "pixels-8")
    assert_one_line(result, codes=(2,))  # for a sound one, that nothing was trained yet


@settings(max_examples=20, derandomize=True, **OPTIONS)
@given(raw=images())
def test_a_damaged_image_is_one_line(place: Path, raw: bytes) -> None:
    check_image(place, raw)


@pytest.mark.slow
@settings(max_examples=250, **OPTIONS)
@given(raw=images())
def test_any_damaged_image_is_one_line(place: Path, raw: bytes) -> None:
    check_image(place, raw)
