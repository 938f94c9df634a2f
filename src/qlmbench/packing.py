"""Classes, row numbers, and a number or a text a row, as short text for tables with thousands."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def pack_classes(indices: Sequence[int]) -> str:
    """Write class indices with as many bits each as the largest one needs.

    Parameters
    ----------
    indices : sequence of int
        Nonnegative, length n.

    Returns
    -------
    str
        ``<bits>:<n>:<base64>``; empty for no indices.
    """
    import numpy as np

    if not len(indices):
        return ""
    values = np.asarray(indices, dtype=np.uint32)
    bits = max(1, int(values.max()).bit_length())
    table = values[:, None] >> np.arange(bits, dtype=np.uint32)[::-1] & 1
    return f"{bits}:{len(values)}:{_text(table.ravel())}"


def unpack_classes(text: str) -> NDArray[np.int64]:
    """Read what `pack_classes` wrote.

    Raises
    ------
    ValueError
        If the text is not whole.
    """
    import numpy as np

    if not text:
        return np.zeros(0, dtype=np.int64)
    bits, n, packed = text.split(":")
    table = _bits(packed, int(bits) * int(n)).reshape(int(n), int(bits))
    return table.astype(np.int64) @ (1 << np.arange(int(bits), dtype=np.int64)[::-1])


def count_classes(text: str) -> int:
    """Return how many indices `pack_classes` wrote, without reading them."""
    return int(text.split(":")[1]) if text else 0


_HALF = "f2:"


def pack_numbers(values: Sequence[float]) -> str:
    """Write one number a row in half precision (three digits): ``f2:<n>:<base64>``."""
    import numpy as np

    packed = base64.b64encode(np.asarray(values, dtype="<f2").tobytes()).decode("ascii")
    return f"{_HALF}{len(values)}:{packed}"


def unpack_numbers(text: str) -> NDArray[np.float64]:
    """Read what `pack_numbers` wrote.

    Raises
    ------
    ValueError
        If the text is not whole.
    """
    import numpy as np

    n, packed = text.removeprefix(_HALF).split(":")
    raw = base64.b64decode(packed, validate=True)
    if not text.startswith(_HALF) or len(raw) != 2 * int(n):
        raise ValueError(f"{len(raw)} bytes are not {n} numbers in half precision")
    return np.frombuffer(raw, dtype="<f2").astype(np.float64)


def holds_classes(text: str) -> bool:
    """Whether a text was written by `pack_classes`."""
    return not text.startswith(_HALF)


def pack_texts(texts: Sequence[str]) -> str:
    """Write texts of one line each: ``<n>:<base64>`` of their lines, compressed; empty for none.

    Raises
    ------
    ValueError
        If a text has several lines.
    """
    if broken := next((text for text in texts if "\n" in text), None):
        raise ValueError(f"got {broken!r}; expected texts of one line")
    if not texts:
        return ""
    packed = zlib.compress("\n".join(texts).encode(), level=9)
    return f"{len(texts)}:{base64.b64encode(packed).decode('ascii')}"


def unpack_texts(text: str) -> list[str]:
    """Read what `pack_texts` wrote.

    Raises
    ------
    ValueError
        If the text is not whole.
    """
    if not text:
        return []
    n, packed = text.split(":")
    try:
        lines = zlib.decompress(base64.b64decode(packed, validate=True)).decode().split("\n")
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if len(lines) != int(n):
        raise ValueError(f"{len(lines)} lines are not {n} texts")
    return lines


def pack_rows(rows: Sequence[int], total: int) -> str:
    """Write ascending row numbers below ``total`` as one bit a row: ``<total>:<base64>``."""
    import numpy as np

    chosen = np.zeros(total, dtype=np.uint8)
    chosen[np.asarray(rows, dtype=np.int64)] = 1
    return f"{total}:{_text(chosen)}"


def unpack_rows(text: str) -> NDArray[np.int64]:
    """Read what `pack_rows` wrote, in ascending order.

    Raises
    ------
    ValueError
        If the text is not whole.
    """
    import numpy as np

    total, packed = text.split(":")
    return np.flatnonzero(_bits(packed, int(total))).astype(np.int64)


def _text(bits: NDArray[np.integer]) -> str:
    import numpy as np

    return base64.b64encode(np.packbits(bits.astype(np.uint8)).tobytes()).decode("ascii")


def _bits(packed: str, count: int) -> NDArray[np.uint8]:
    import numpy as np

    raw = np.frombuffer(base64.b64decode(packed, validate=True), dtype=np.uint8)
    if len(raw) != (count + 7) // 8:
        raise ValueError(f"{len(raw)} bytes hold no {count} bits")
    return np.unpackbits(raw, count=count)
