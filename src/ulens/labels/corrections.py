"""Objects corrected by hand: merged, split, removed, filled, taken over."""

import numpy as np
import skimage as ski
from scipy import ndimage

from ulens.errors import LabelError

Point = tuple[int, int]
HALF = 0.5
"""Of an object that is taken over, so much may be annotated already."""


def merge(labels: np.ndarray, first: int, second: int) -> np.ndarray:
    """Make two objects one, with the number of the first.

    Parameters
    ----------
    labels : (Y, X) integers, 0 = background

    Raises
    ------
    LabelError : one of the two is background, or both are the same object

    Examples
    --------
    >>> merge(np.array([[1, 1, 0, 2]]), 1, 2)
    array([[1, 1, 0, 1]])
    """
    if 0 in (first, second) or first == second:
        raise LabelError("to merge, click on two objects, one after the other")
    return np.where(labels == second, first, labels)


def split(labels: np.ndarray, start: Point, end: Point) -> np.ndarray:
    """Split the objects that a straight line cuts through.

    The largest part keeps the number; the others get new ones. The pixels of the line go to the
    part that is nearest.

    Parameters
    ----------
    labels : (Y, X) integers, 0 = background
    start, end : (y, x) of the line's ends

    Raises
    ------
    LabelError : the line divides no object

    Examples
    --------
    >>> split(np.array([[1, 1, 1, 1, 1]] * 3), (0, 3), (2, 3))[1]
    array([1, 1, 1, 1, 2])
    """
    line = np.zeros(labels.shape, bool)
    rows, columns = ski.draw.line(*start, *end)
    inside = (rows >= 0) & (rows < labels.shape[0]) & (columns >= 0) & (columns < labels.shape[1])
    line[rows[inside], columns[inside]] = True
    parts, changed = labels.copy(), False
    for number in np.unique(labels[line & (labels > 0)]):
        window, mask = _cut_out(labels == number)
        regions, num_regions = ndimage.label(mask & ~line[window])
        if num_regions < 2:
            continue
        largest = np.argmax(np.bincount(regions.ravel())[1:])
        ids = np.insert(parts.max() + np.arange(1, num_regions), largest, number)
        nearest = ndimage.distance_transform_edt(
            regions == 0, return_distances=False, return_indices=True
        )
        parts[window][mask] = ids[regions[tuple(nearest)][mask] - 1]
        changed = True
    if not changed:
        raise LabelError("the line divides no object; draw it across one, from edge to edge")
    return parts


def remove(labels: np.ndarray, number: int) -> np.ndarray:
    """Make an object background.

    Examples
    --------
    >>> remove(np.array([[1, 1, 0, 2]]), 1)
    array([[0, 0, 0, 2]])
    """
    if number == 0:
        raise LabelError("there is no object to remove here; click on one")
    return np.where(labels == number, 0, labels)


def fill(labels: np.ndarray, foreground: np.ndarray, at: Point) -> np.ndarray:
    """Add the object that a network sees at a point.

    It is the connected region around the point where the network is at least half as sure as
    there, with its holes filled, as far as nothing else is annotated.

    Parameters
    ----------
    labels : (Y, X) integers, 0 = background
    foreground : (Y, X) how sure the network is of an object, 0 to 1
    at : (y, x)

    Raises
    ------
    LabelError : there is an object already, or the network sees none

    Examples
    --------
    >>> fill(np.array([[0, 0, 0, 7]]), np.array([[0.1, 0.8, 0.9, 0.9]]), (0, 2))
    array([[0, 8, 8, 7]])
    """
    if labels[at]:
        raise LabelError("there is an object here already; click beside it")
    sure = foreground[at]
    if sure < 0.05:
        raise LabelError("the network sees no object here; paint it")
    regions, _ = ndimage.label((foreground >= min(HALF, sure / 2)) & (labels == 0))
    filled = ndimage.binary_fill_holes(regions == regions[at]) & (labels == 0)
    # a hole inside of another object is cut off by it
    parts, _ = ndimage.label(filled)
    return np.where(parts == parts[at], labels.max() + 1, labels)


def take_over(
    labels: np.ndarray, draft: np.ndarray, chosen: np.ndarray | None = None
) -> np.ndarray:
    """Add objects of a draft where nothing is annotated.

    An object of which more than half is annotated already is left out; what else is annotated stays
    as it is.

    Parameters
    ----------
    labels : (Y, X) integers, 0 = background
    draft : (Y, X) integers, of the same pixels
    chosen : numbers of the objects to take; None for all

    Examples
    --------
    >>> take_over(np.array([[5, 5, 0, 0, 0]]), np.array([[1, 1, 0, 2, 2]]))
    array([[5, 5, 0, 6, 6]])
    """
    sizes = np.bincount(draft.ravel())
    covered = np.bincount(draft[labels > 0], minlength=len(sizes))
    is_taken = covered <= HALF * sizes
    if chosen is not None:
        is_taken &= np.isin(np.arange(len(sizes)), chosen)
    is_taken[0] = False
    numbers = np.where(is_taken, labels.max(initial=0) + np.cumsum(is_taken), 0)
    return np.where(labels > 0, labels, numbers[draft]).astype(labels.dtype)


def _cut_out(mask: np.ndarray) -> tuple[tuple[slice, slice], np.ndarray]:
    """Return the smallest window around a mask, and the mask in it."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return window, mask[window]
