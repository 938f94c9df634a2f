"""Captions from weights in the cache, as the command line shows them."""

from pathlib import Path

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
