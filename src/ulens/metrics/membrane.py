"""The five measures of the ISBI 2012 challenge for membranes in electron micrographs.

Values agree with Fiji's Trainable_Segmentation (package ``metrics``), the challenge's own code.
White is cell interior, black is membrane; slices are compared one by one, in 2-D.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from ulens.errors import DataError, ShapeError
from ulens.labels.meaning import IGNORED
from ulens.metrics.partition import FScore, SharedSegments, share_segments
from ulens.metrics.thinning import thin_membrane
from ulens.metrics.warping import num_warping_errors


@dataclass(frozen=True, kw_only=True, slots=True)
class Isbi2012Scores:
    """Scores of a stack, each at the threshold that is best for it.

    Parameters
    ----------
    v_rand, v_info : after thinning, mean over slices; 1 = perfect. Merged cells lower their
        ``_precision``, split cells their ``_recall`` (both means over slices)
    rand_error : 1 - Rand F-score of all slices together, without thinning
    pixel_error : 1 - F-score of the interior pixels of all slices together
    warping_error : pixels that merge or split cells after warping the truth, per pixel
    ..._threshold : the proposal counts as interior above it
    v_rand_per_slice, v_info_per_slice : at the threshold of the stack
    binary_proposal : the proposal holds 0 and 1 alone, so there was no threshold to choose
    """

    v_rand: float
    v_rand_precision: float
    v_rand_recall: float
    v_rand_threshold: float
    v_rand_per_slice: tuple[float, ...]
    v_info: float
    v_info_precision: float
    v_info_recall: float
    v_info_threshold: float
    v_info_per_slice: tuple[float, ...]
    rand_error: float
    rand_error_threshold: float
    pixel_error: float
    pixel_error_threshold: float
    warping_error: float
    warping_error_threshold: float
    binary_proposal: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class MembraneSlice:
    """One slice, ready to be compared; ignored pixels are membrane on both sides.

    Parameters
    ----------
    truth : (Y, X) bool; True = cell interior
    cells : (Y, X) int32, the 4-connected cells of the truth
    proposal : (Y, X) float64 in [0, 1], float32 values, probability of cell interior
    num_pixels : pixels that are not ignored
    """

    truth: np.ndarray
    cells: np.ndarray
    proposal: np.ndarray
    num_pixels: int

    def thinned(self, threshold: float) -> SharedSegments:
        """Compare cells after thinning the proposed membrane."""
        return share_segments(self.cells, thin_membrane(self.proposal > threshold))

    def unthinned(self, threshold: float) -> SharedSegments:
        """Compare cells with the proposed membrane as thick as it is."""
        proposed, _ = ndimage.label(self.proposal > threshold)
        return share_segments(self.cells, proposed)


def isbi2012(truth: Iterable[np.ndarray], proposal: Iterable[np.ndarray]) -> Isbi2012Scores:
    """Score a stack of membranes by all five measures.

    Parameters
    ----------
    truth : (N, Y, X) integers or N arrays (Y, X); 0 = membrane, −1 = not annotated, left
        out, any other value = cell interior
    proposal : (N, Y, X) in [0, 1] or N arrays (Y, X), probability of cell interior

    Raises
    ------
    ShapeError : truth and proposal differ in the number or size of their slices
    LabelError : a slice of the truth holds no cell interior
    DataError : the proposal leaves [0, 1] or holds NaN

    Notes
    -----
    A binary proposal is judged at threshold 0 alone. Ties go to the lowest threshold. Source:
    Arganda-Carreras et al., Crowdsourcing the creation of image segmentation algorithms for
    connectomics, Frontiers in Neuroanatomy 9, 2015.

    Examples
    --------
    >>> cells = np.array([[[255, 255, 0, 255, 255]]])
    >>> isbi2012(cells, cells / 255).v_rand
    1.0
    """
    slices = prepare_slices(truth, proposal)
    binary = all(bool(np.isin(each.proposal, (0, 1)).all()) for each in slices)
    up_to_one = [0.0] if binary else thresholds(11)
    below_one = [0.0] if binary else thresholds(10)
    thinned = {t: [each.thinned(t) for each in slices] for t in up_to_one}
    rand_error, rand_t = _lowest(lambda t: rand_error_at(slices, t), up_to_one)
    pixel_error, pixel_t = _lowest(lambda t: 1 - pixel_score_at(slices, t).f, up_to_one)
    warping_error, warping_t = _lowest(lambda t: warping_error_at(slices, t), below_one)
    return Isbi2012Scores(
        **_best_mean("v_rand", {t: [each.rand() for each in thinned[t]] for t in thinned}),
        **_best_mean("v_info", {t: [each.info() for each in thinned[t]] for t in thinned}),
        rand_error=rand_error,
        rand_error_threshold=rand_t,
        pixel_error=pixel_error,
        pixel_error_threshold=pixel_t,
        warping_error=warping_error,
        warping_error_threshold=warping_t,
        binary_proposal=binary,
    )


def rand_error_at(slices: Sequence[MembraneSlice], threshold: float) -> float:
    """Compute 1 - Rand F-score at one threshold, pairs of pixels pooled over slices.

    Examples
    --------
    >>> slices = prepare_slices([np.array([[1, 0, 1]])], [np.array([[1.0, 0.0, 0.4]])])
    >>> rand_error_at(slices, 0.5)
    0.0
    """
    in_both = in_either = 0.0
    for each in slices:
        shared = each.unthinned(threshold)
        both, truth, proposal = (value * shared.num_pixels**2 for value in shared.rand_sums())
        in_both += both
        in_either += truth + proposal
    return 1 - 2 * in_both / in_either


def pixel_score_at(slices: Sequence[MembraneSlice], threshold: float) -> FScore:
    """Compare the interior's pixels at one threshold, counted over all slices.

    Examples
    --------
    >>> slices = prepare_slices([np.array([[1, 0, 1]])], [np.array([[1.0, 0.0, 0.4]])])
    >>> pixel_score_at(slices, 0.5)
    FScore(precision=1.0, recall=0.5)
    """
    num_both = num_truth = num_proposed = 0
    for each in slices:
        proposed = each.proposal > threshold
        num_both += int(np.count_nonzero(each.truth & proposed))
        num_truth += int(np.count_nonzero(each.truth))
        num_proposed += int(np.count_nonzero(proposed))
    return FScore(
        precision=num_both / num_proposed if num_proposed else 1.0,
        recall=num_both / num_truth if num_truth else 1.0,
    )


def warping_error_at(slices: Sequence[MembraneSlice], threshold: float) -> float:
    """Compute the merging and splitting pixels at one threshold per pixel of the stack.

    Examples
    --------
    >>> truth = np.array([[1, 0, 1], [1, 0, 1], [1, 0, 1]])
    >>> merged = np.array([[1, 0, 1], [1, 1, 1], [1, 0, 1]])
    >>> warping_error_at(prepare_slices([truth], [merged]), 0.5) == 1 / 9
    True
    """
    num_errors = sum(
        num_warping_errors(each.truth, each.proposal, threshold=threshold) for each in slices
    )
    return num_errors / sum(each.num_pixels for each in slices)


def thresholds(num: int) -> list[float]:
    """List the challenge's thresholds, summed up in steps as its code does.

    Examples
    --------
    >>> thresholds(4)
    [0.0, 0.1, 0.2, 0.30000000000000004]
    """
    values = [0.0]
    while len(values) < num:
        values.append(values[-1] + 0.1)
    return values


def prepare_slices(
    truth: Iterable[np.ndarray], proposal: Iterable[np.ndarray]
) -> list[MembraneSlice]:
    """Check a stack and make its slices ready; parameters and errors as in `isbi2012`.

    Examples
    --------
    >>> prepare_slices([np.array([[1, 0, 1]])], [np.array([[1.0, 0.0, 0.4]])])[0].cells.tolist()
    [[1, 0, 2]]
    """
    true_slices, proposed_slices = list(truth), list(proposal)
    if len(true_slices) != len(proposed_slices) or not true_slices:
        raise ShapeError(
            f"truth has {len(true_slices)} slices, the proposal {len(proposed_slices)}; "
            "give one proposal for each of at least one true slice"
        )
    pairs = zip(true_slices, proposed_slices, strict=True)
    return [_prepare(number, *pair) for number, pair in enumerate(pairs)]


def _prepare(number: int, truth: np.ndarray, proposal: np.ndarray) -> MembraneSlice:
    if truth.shape != proposal.shape or truth.ndim != 2:
        raise ShapeError(
            f"slice {number}: truth is {truth.shape}, the proposal {proposal.shape}; "
            "both must be (Y, X) of one size"
        )
    if not np.all((proposal >= 0) & (proposal <= 1)):
        raise DataError(
            f"slice {number}: the proposal runs from {np.min(proposal)} to {np.max(proposal)}; "
            "it must be a probability of cell interior in [0, 1] without NaN"
        )
    valid = truth != IGNORED
    interior = (truth != 0) & valid
    # The official code holds proposals in float32; in float64 ties at a threshold would go the
    # other way. The comparison itself is made in float64.
    rounded = proposal.astype(np.float32).astype(np.float64)
    return MembraneSlice(
        truth=interior,
        cells=ndimage.label(interior)[0],
        proposal=np.where(valid, rounded, 0.0),
        num_pixels=int(np.count_nonzero(valid)),
    )


def _lowest(error: Callable[[float], float], values: Sequence[float]) -> tuple[float, float]:
    """Return the lowest error and the first threshold that gives it."""
    errors = [error(t) for t in values]
    best = int(np.argmin(errors))
    return errors[best], values[best]


def _best_mean(name: str, by_threshold: dict[float, list[FScore]]) -> dict[str, Any]:
    """Name the fields of one measure at the first threshold of highest mean F."""
    best = max(by_threshold, key=lambda t: np.mean([each.f for each in by_threshold[t]]))
    scores = by_threshold[best]
    return {
        name: float(np.mean([each.f for each in scores])),
        f"{name}_precision": float(np.mean([each.precision for each in scores])),
        f"{name}_recall": float(np.mean([each.recall for each in scores])),
        f"{name}_threshold": best,
        f"{name}_per_slice": tuple(each.f for each in scores),
    }
