"""stub"""

from pathlib import Path


def write_speed(folder: Path) -> list[Path]:
    return []
