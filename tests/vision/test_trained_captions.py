"""Captions from weights in the cache, as the command line shows them."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from qlmbench.cli import main
from qlmbench.data.images.drawing import render
from qlmbench.data.images.scenes import sample_scenes
from qlmbench.data.images.vocabulary import CaptionVocabulary
from qlmbench.vision.trained_captions import TrainedCaptions

Image = pytest.importorskip("PIL.Image")


def call(*arguments: str | Path) -> Result:
    given = ["caption", "--image_encoder", "pixels-8", *map(str, arguments)]
    return CliRunner().invoke(main, given)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "scene.png"
    Image.fromarray(render(sample_scenes(1, 0, "test")[0])).save(path)
    return path


def test_without_weights_the_command_says_how_to_get_them(image: Path) -> None:
    result = call("--image_path", image, "--n_qubits", "3")
    assert result.exit_code == 2
    assert "no trained weights for 3 qubits" in result.stderr
    assert "--train 1000" in result.stderr
    assert result.stderr.count("\n") == 1


def test_weights_are_kept_and_say_the_same_again(
    image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = call("--image_path", image, "--n_qubits", "2", "--train", "24")
    assert first.exit_code == 0, first.output
    again = call("--image_path", image, "--n_qubits", "2")
    assert again.stdout == first.stdout
    words = CaptionVocabulary.of_scenes(TrainedCaptions().prompt).words
    assert set(again.stdout.split()) <= set(words)
    assert call("--image_path", image, "--n_qubits", "2", "--prompt", "shapes:").exit_code == 2


def test_a_wrong_image_is_told_before_the_training(tmp_path: Path) -> None:
    missing = call("--image_path", tmp_path / "no.png", "--train", "100000")
    assert missing.exit_code == 2
    assert "no.png" in missing.stderr


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with a captioner of two qubits that was trained without a prompt."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QLMBENCH_CACHE", str(cache))
        TrainedCaptions(2, "", "pixels-8").train(24, epochs=1)
    return cache


def picture(mode: str = "RGB", size: tuple[int, int] = (40, 30), end: str = "png") -> Any:
    def write(folder: Path) -> Path:
        path = folder / f"a.{end}"
        Image.new(mode, size).save(path)
        return path

    return write


def turned(folder: Path) -> Path:
    exif = Image.Exif()
    exif[274] = 6  # of a camera that was held upright
    Image.new("RGB", (40, 30)).save(folder / "a.jpg", exif=exif)
    return folder / "a.jpg"


@pytest.mark.parametrize(
    "write",
    [
        picture("L"),
        picture("RGBA"),
        picture("P"),
        picture("CMYK", end="jpg"),
        picture("I;16"),
        picture(size=(1, 1)),
        picture(size=(1, 3000)),
        turned,
    ],
)
def test_any_image_gets_a_caption_and_the_prompt_may_be_empty(
    write: Any, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a captioner that has hardly been trained, and finds no end."""
    monkeypatch.setenv("QLMBENCH_CACHE", str(weights))
    result = call("--image_path", write(tmp_path), "--n_qubits", "2", "--prompt", "")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\n") == 1


def damaged(folder: Path) -> Path:
    whole = picture(size=(200, 200))(folder).read_bytes()
    (folder / "a.png").write_bytes(whole[: len(whole) // 2])
    return folder / "a.png"


def text(folder: Path) -> Path:
    (folder / "a.png").write_text("no image")
    return folder / "a.png"


def huge(folder: Path) -> Path:
    Image.new("1", (10_000, 6_000)).save(folder / "a.png")
    return folder / "a.png"


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (damaged, "damaged image"),
        (text, "not an image"),
        (huge, "at most 50,000,000 pixels"),
        (lambda folder: folder, "no such file"),
    ],
)
def test_what_is_no_image_is_one_line(write: Any, message: str, tmp_path: Path) -> None:
    result = call("--image_path", write(tmp_path), "--n_qubits", "2")
    assert result.exit_code != 0
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.output


@pytest.mark.parametrize("n_qubits", ["0", "13", "many"])
def test_a_wrong_number_of_qubits_is_refused(n_qubits: str, image: Path) -> None:
    assert call("--image_path", image, "--n_qubits", n_qubits).exit_code == 2


def test_an_unknown_image_encoder_is_one_line(image: Path) -> None:
    result = call("--image_path", image, "--image_encoder", "resnet")
    assert result.exit_code == 2
    assert "unknown image encoder" in result.stderr
