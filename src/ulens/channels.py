"""The channels of an image: color or grey, and which of them a network sees.

Programs save grey images as color with equal channels, so such an image is grey. And a grey image
among color ones is color with equal channels.
"""

from collections.abc import Sequence

import numpy as np

from ulens.errors import ShapeError

_COLOR = 3


def is_grey(image: np.ndarray) -> bool:
    """Whether the channels of a (C, Y, X) image are equal."""
    return bool((image[1:] == image[:1]).all())


def common_channels(images: Sequence[np.ndarray]) -> int | None:
    """Return how many channels `fit_channels` can give all of these images; None if it cannot."""
    counts = {len(image) for image in images}
    if counts == {_COLOR} and all(map(is_grey, images)):
        return 1
    if counts == {1, _COLOR}:
        return _COLOR
    return counts.pop() if len(counts) == 1 else None


def choose_channels(num_channels: int, num_needed: int, *, is_grey: bool) -> tuple[int, ...]:
    """Return the channels of an image that stand for those needed; all where none can.

    Examples
    --------
    >>> choose_channels(1, 3, is_grey=True), choose_channels(3, 1, is_grey=True)
    ((0, 0, 0), (0,))
    >>> choose_channels(3, 1, is_grey=False)
    (0, 1, 2)
    """
    if (num_channels, num_needed) == (1, _COLOR):
        return (0,) * _COLOR
    if (num_channels, num_needed) == (_COLOR, 1) and is_grey:
        return (0,)
    return tuple(range(num_channels))


def fit_channels(image: np.ndarray, num_needed: int) -> np.ndarray:
    """Return a (C, Y, X) image with the channels that `choose_channels` gives; a view if it can."""
    is_needed_grey = num_needed == 1 and is_grey(image)
    chosen = choose_channels(len(image), num_needed, is_grey=is_needed_grey)
    return image[list(chosen)] if len(chosen) > len(image) else image[: len(chosen)]


def check_channels(shape: tuple[int, ...], num_channels: int, name: str = "image") -> None:
    """Raise ShapeError unless `shape` is of a non-empty (C, Y, X) array with that many channels.

    The message calls the image `name`.
    """
    if len(shape) != 3 or 0 in shape:
        raise ShapeError(f"{name} has shape {shape}; need a non-empty array (C, Y, X)")
    if shape[0] != num_channels:
        channels = "channel" if shape[0] == 1 else "channels"
        raise ShapeError(
            f"{name} has {shape[0]} {channels}; the model was trained on {num_channels}; "
            "give the image the channels of the training images, or choose them with --channel"
        )
