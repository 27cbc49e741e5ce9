"""Wrong pixels near a true border and wrong pixels elsewhere: localisation and context apart.

A network that sees little around a pixel confuses what looks alike, anywhere; one that sees much
but coarsely is right within objects and misses where they end. One pixel error hides which of the
two it was.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import skimage as ski
from scipy import ndimage

from ulens.errors import DataError, ShapeError
from ulens.labels.meaning import IGNORED
from ulens.labels.overlap import contingency, iou_matrix, match
from ulens.metrics.membrane import thresholds
from ulens.metrics.semantic import NOTHING_ANNOTATED

REACH_PX = 3
_NO_OBJECT = -2


@dataclass(frozen=True, kw_only=True, slots=True)
class BoundaryErrors:
    """Shares of wrong pixels, all images counted as one.

    Parameters
    ----------
    boundary : of the pixels near a true border, in [0, 1]; NaN where there is none
    context : of all other pixels, in [0, 1]; NaN where there is none
    num_boundary, num_context : how many pixels these are
    threshold : where the prediction was a probability, the one with the fewest wrong pixels
    """

    boundary: float
    context: float
    num_boundary: int
    num_context: int
    threshold: float | None = None


def boundary_errors(truth: Iterable[np.ndarray], predicted: Iterable[np.ndarray]) -> BoundaryErrors:
    """Count the wrong pixels near true borders and elsewhere.

    Parameters
    ----------
    truth, predicted : as many integer arrays (Y, X) each, pairwise of one shape; class indices, or
        instances as `rename_matched` leaves them; −1 in the truth = not annotated: such pixels are
        left out, and where they begin is no border

    Raises
    ------
    ShapeError : the shapes of a pair differ
    DataError : no pixel is annotated

    Examples
    --------
    >>> truth = np.array([[0, 0, 0, 0, 0, 1, 1, 1, 1, 1]])
    >>> found = np.array([[1, 0, 0, 0, 0, 0, 1, 1, 1, 1]])
    >>> errors = boundary_errors([truth], [found])
    >>> round(errors.boundary, 3), errors.context, errors.num_boundary
    (0.167, 0.25, 6)
    """
    return _sum([_compare(*pair) for pair in zip(truth, predicted, strict=True)])


def boundary_errors_of_probability(
    truth: Sequence[np.ndarray], probability: Sequence[np.ndarray]
) -> BoundaryErrors:
    """Count as `boundary_errors`, at the threshold of the ISBI 2012 grid with fewest wrong pixels.

    Parameters
    ----------
    truth : arrays (Y, X) of two classes, 0 and 1
    probability : as many arrays (Y, X) in [0, 1], of class 1

    Notes
    -----
    Networks trained on balanced samples call a pixel foreground too readily; the threshold takes
    that away, so that what is compared is where they err. Ties go to the lowest threshold.
    """
    candidates = []
    for threshold in thresholds(11):
        masks = [each > threshold for each in probability]
        pairs = zip(truth, masks, strict=True)
        wrong = [(true, _compare(true, mask)[1]) for true, mask in pairs]
        num_wrong = sum(int((mask & (true != IGNORED)).sum()) for true, mask in wrong)
        candidates.append((num_wrong, threshold, wrong))
    _, threshold, wrong = min(candidates)  # thresholds differ, so masks are never compared
    return replace(_sum(wrong), threshold=threshold)


def rename_matched(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Give predicted instances the ids of the true ones they match, so that pixels can be compared.

    Parameters
    ----------
    truth, predicted : (Y, X) integers, instances 1…N on background 0; −1 in the truth = not
        annotated

    Returns
    -------
    (Y, X) int64; 0 = background, the id of the true instance with an IoU of one half or more,
    and −2 where an instance matches none: wrong wherever it lies

    Examples
    --------
    >>> rename_matched(np.array([[1, 1, 0, 2, 2]]), np.array([[7, 7, 0, 3, 0]])).tolist()
    [[1, 1, 0, 2, 0]]
    """
    found = iou_matrix(contingency(truth, predicted, valid=truth != IGNORED))
    rows, columns = match(found.values, threshold=0.5)
    names = np.full(int(predicted.max()) + 1, _NO_OBJECT)
    names[0] = 0
    names[found.predicted[columns]] = found.truth[rows]
    return names[predicted]


def near_border(truth: np.ndarray, *, reach_px: int = REACH_PX) -> np.ndarray:
    """Return the pixels near a border between two values of the truth.

    Parameters
    ----------
    truth : (Y, X) integers; −1 = not annotated, and where it begins is no border
    reach_px : so many pixels on either side of a border are near it

    Returns
    -------
    (Y, X) bool

    Examples
    --------
    >>> near_border(np.array([[1, 1, 1, 1, 2, 2]]), reach_px=1).tolist()
    [[False, False, False, True, True, False]]
    """
    hidden = truth == IGNORED
    if hidden.any() and not hidden.all():
        places = ndimage.distance_transform_edt(hidden, return_distances=False, return_indices=True)
        truth = truth[tuple(places)]
    border = ski.segmentation.find_boundaries(truth, mode="thick")
    if not border.any():
        return border
    return ndimage.distance_transform_edt(~border) < reach_px


def _compare(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the truth and where the prediction differs from it."""
    if truth.shape != predicted.shape or truth.ndim != 2:
        raise ShapeError(
            f"truth is {truth.shape}, the prediction {predicted.shape}; both must be (Y, X) of "
            "one size"
        )
    return truth, truth != predicted


def _sum(images: Sequence[tuple[np.ndarray, np.ndarray]]) -> BoundaryErrors:
    """Pool the images, each with its mask of wrong pixels."""
    counts = np.array([list(_count(*each)) for each in images]).reshape(-1, 4)
    num_boundary, wrong_boundary, num_context, wrong_context = counts.sum(axis=0).tolist()
    if num_boundary + num_context == 0:
        raise DataError(NOTHING_ANNOTATED)
    return BoundaryErrors(
        boundary=wrong_boundary / num_boundary if num_boundary else math.nan,
        context=wrong_context / num_context if num_context else math.nan,
        num_boundary=num_boundary,
        num_context=num_context,
    )


def _count(truth: np.ndarray, wrong: np.ndarray) -> Iterator[int]:
    """Yield pixels and wrong pixels near borders, then elsewhere."""
    valid = truth != IGNORED
    near = near_border(truth)
    for part in (near & valid, ~near & valid):
        yield int(part.sum())
        yield int((part & wrong).sum())
