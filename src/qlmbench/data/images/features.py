"""Features of images and scenes, computed once and kept on disk by the content of the image."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from qlmbench.data.cache import Progress, cache_folder
from qlmbench.data.digests import identity_digest
from qlmbench.data.features import FeatureCache, text_key
from qlmbench.data.images.drawing import DRAWING_VERSION, render
from qlmbench.data.images.encoders import (
    Encode,
    Features,
    Pixels,
    image_encoder_identity,
    load_image_encoder,
)
from qlmbench.data.images.scenes import Scene

IMAGES_AT_ONCE = 16
"""Images that are encoded together and written together."""


def image_features(
    name: str, images: Sequence[Pixels], *, progress: Progress | None = None
) -> Features:
    """Return the features of images; only those that the cache does not have are computed.

    Parameters
    ----------
    name : str
        See `qlmbench.data.images.encoders`.
    images : sequence of ndarray of uint8, shape (224, 224, 3)
        As `qlmbench.data.images.pictures.load_image` gives them.
    progress : callable, optional
        Told how many images are done.

    Returns
    -------
    ndarray of float32, shape (n, width)

    Raises
    ------
    ValueError
        If there are no images, or one has another shape or type.
    UserError
        If there is no such encoder, it cannot be fetched, or the cache cannot be written.
    """
    for image in images:
        if image.shape != (224, 224, 3) or image.dtype != np.uint8:
            raise ValueError(
                f"got an image of shape {image.shape} and type {image.dtype}; expected "
                "(224, 224, 3) and uint8, as load_image gives it"
            )
    keys = [hashlib.sha256(image.tobytes()).digest() for image in images]
    return _cached(name, keys, lambda i: images[i], progress)


def scene_features(
    name: str, scenes: Sequence[Scene], *, progress: Progress | None = None
) -> Features:
    """Return the features of scenes; those in the cache are not even drawn.

    See `image_features`.
    """
    keys = [text_key(f"scene drawn by version {DRAWING_VERSION}: {s.text}") for s in scenes]
    return _cached(name, keys, lambda i: render(scenes[i]), progress)


def _cached(
    name: str, keys: Sequence[bytes], image: Callable[[int], Pixels], progress: Progress | None
) -> Features:
    identity = image_encoder_identity(name)
    if not keys:
        raise ValueError("no images to encode; give at least one")
    cache = FeatureCache(cache_folder() / "features" / _file(identity), int(identity["width"]))
    found = cache.read(list(dict.fromkeys(keys)))
    missing = {key: i for i, key in enumerate(keys) if key not in found}
    if missing:
        encode = load_image_encoder(name, progress=progress)
        for some in _blocks(missing):
            done = dict(zip(some, _encoded([image(i) for i in some.values()], encode), strict=True))
            cache.write(done)
            found.update(done)
            if progress:
                progress(f"encoding with {name}", len(found), len(set(keys)))
    return np.stack([found[key] for key in keys])


def _encoded(images: Sequence[Pixels], encode: Encode) -> Features:
    """Encode a block of images, a short one filled up: its length would change the last digits."""
    filled = [*images, *[images[-1]] * (IMAGES_AT_ONCE - len(images))]
    return encode(np.stack(filled))[: len(images)]


def _file(identity: Mapping[str, str]) -> str:
    what = [f"{key}={identity[key]}" for key in sorted(identity) if key != "name"]
    what.append(f"blocks of {IMAGES_AT_ONCE}")  # files of before hold vectors of shorter ones
    return f"{identity['name']}-{identity_digest(*what)[:16]}.sqlite"


def _blocks(missing: Mapping[bytes, int]) -> Iterator[dict[bytes, int]]:
    items = list(missing.items())
    for start in range(0, len(items), IMAGES_AT_ONCE):
        yield dict(items[start : start + IMAGES_AT_ONCE])
