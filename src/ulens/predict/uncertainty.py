"""How unsure a network is of each pixel, and the boxes where it is least certain.

Such a box is where an annotation may teach a network most; whether it does is measured by
`benchmarks/suggest.py`.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from ulens.predict.tiles import Slices

Doubt = Literal["entropy", "disagreement"]


class UnsureBox(NamedTuple):
    """A part of an image and how unsure the network is there.

    Parameters
    ----------
    box : (y, x) slices, half-open, within the image
    uncertainty : mean over its pixels, 0 = certain to 1
    """

    box: Slices
    uncertainty: float


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Return the entropy of each pixel's classes, as a share of the largest that there can be.

    Parameters
    ----------
    probabilities : (K, Y, X) float in [0, 1], which sum to 1 over K

    Returns
    -------
    (Y, X) float in [0, 1]; 1 where all classes are as probable

    Examples
    --------
    >>> entropy(np.array([[[0.5, 1.0]], [[0.5, 0.0]]]))
    array([[1., 0.]])
    """
    if len(probabilities) < 2:
        return np.zeros_like(probabilities[0])
    logarithms = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    # 0 − … spares the sign of −0
    share = (0 - (probabilities * logarithms).sum(axis=0)) / np.log(len(probabilities))
    return share.clip(0, 1)


def disagreement(views: np.ndarray) -> np.ndarray:
    """Return how much the maps of several views of an image differ.

    Parameters
    ----------
    views : (V, K, Y, X) float in [0, 1], turned back to the image

    Returns
    -------
    (Y, X) float in [0, 1]: twice the standard deviation over the views of the map that differs
    most; 1 where half of the views say 0 and half 1

    Examples
    --------
    >>> disagreement(np.array([[[[0.0, 0.7]]], [[[1.0, 0.7]]]]))
    array([[1., 0.]])
    """
    return 2 * views.std(axis=0).max(axis=0)


def least_certain_boxes(
    uncertainty: np.ndarray, size: int, number: int, taken: Sequence[Slices] = ()
) -> list[UnsureBox]:
    """Return the boxes of an image where a network is least certain.

    Parameters
    ----------
    uncertainty : (Y, X) float in [0, 1], of each pixel
    size : side of the boxes in pixels; along an axis that is shorter they are as long as it
    number : how many at most
    taken : boxes of any size that none is to overlap, such as those annotated already

    Returns
    -------
    boxes that do not overlap, the least certain one first

    Notes
    -----
    Each is the least certain one of those that overlap none before it; of equal ones the first in
    reading order. Where fewer are returned than asked for, no further box has room.

    Examples
    --------
    >>> least_certain_boxes(np.array([[0.0, 0.5, 1.0, 0.0]]), 2, 1)
    [UnsureBox(box=(slice(0, 1, None), slice(1, 3, None)), uncertainty=0.75)]
    """
    if not uncertainty.size:
        return []
    height, width = (min(size, side) for side in uncertainty.shape)
    means = _means(uncertainty, height, width)
    for box in taken:
        _rule_out(means, box, height, width)
    found: list[UnsureBox] = []
    while len(found) < number:
        y, x = (int(at) for at in np.unravel_index(np.argmax(means), means.shape))
        if means[y, x] < 0:
            break
        found.append(UnsureBox((slice(y, y + height), slice(x, x + width)), float(means[y, x])))
        _rule_out(means, found[-1].box, height, width)
    return found


def spread_over_images(
    boxes: Sequence[Sequence[UnsureBox]], number: int
) -> list[tuple[int, UnsureBox]]:
    """Choose among the boxes of many images.

    Parameters
    ----------
    boxes : of each image, the least certain one first
    number : how many at most

    Returns
    -------
    (place of its image in `boxes`, box), the least certain one first

    Notes
    -----
    An image gives up to twice its even share, at least one box, and more only where the others have
    none left: so one difficult image does not take all ranks.
    """
    with_room = sum(1 for each in boxes if each)
    share = max(1, 2 * number // max(1, with_room))
    first_shares_first = sorted(
        (
            (rank >= share, -box.uncertainty, place, rank)
            for place, each in enumerate(boxes)
            for rank, box in enumerate(each)
        )
    )
    chosen = [(place, boxes[place][rank]) for *_, place, rank in first_shares_first[:number]]
    return sorted(chosen, key=lambda each: -each[1].uncertainty)


def _means(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the mean of every box by its first corner."""
    sums = np.pad(values.astype(np.float64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    rows = sums[height:] - sums[:-height]
    # rounding must not make a mean negative, which marks boxes that are ruled out
    return np.maximum(rows[:, width:] - rows[:, :-width], 0) / (height * width)


def _rule_out(means: np.ndarray, box: Slices, height: int, width: int) -> None:
    """Mark all boxes that overlap a box."""
    y, x = box
    means[max(0, y.start - height + 1) : y.stop, max(0, x.start - width + 1) : x.stop] = -1
