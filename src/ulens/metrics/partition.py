"""Compare two partitions of the same pixels: Rand and information scores."""

import math
from dataclasses import dataclass

import numpy as np

from ulens.errors import LabelError
from ulens.labels.overlap import contingency


@dataclass(frozen=True, kw_only=True, slots=True)
class FScore:
    """Precision and recall, both in [0, 1]."""

    precision: float
    recall: float

    @property
    def f(self) -> float:
        """Their harmonic mean; 0 where both are 0."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedSegments:
    """How a proposal divides the pixels of the true cells.

    Parameters
    ----------
    num_pixels : pixels in true cells; all fractions are of these
    truth, proposal, both : (R,), (S,) and (K,) float64, the fraction in each true cell, in each
        proposed cell and in each pair of them that overlaps
    unassigned : the fraction that lies in no proposed cell; each such pixel is its own segment
    """

    num_pixels: int
    truth: np.ndarray
    proposal: np.ndarray
    both: np.ndarray
    unassigned: float

    def rand_sums(self) -> tuple[float, float, float]:
        """Return the probability that two pixels share a segment: in both, truth, proposal."""
        singletons = self.unassigned / self.num_pixels
        in_both = float(np.sum(self.both**2)) + singletons
        return in_both, float(np.sum(self.truth**2)), float(np.sum(self.proposal**2)) + singletons

    def rand(self) -> FScore:
        """Foreground-restricted Rand score; mergers lower precision, splits lower recall."""
        both, truth, proposal = self.rand_sums()
        return FScore(precision=both / proposal, recall=both / truth)

    def info(self) -> FScore:
        """Information-theoretic score; mergers lower precision, splits lower recall.

        A side that is one single segment holds no information and counts as found in full.
        """
        singletons = self.unassigned * math.log(self.num_pixels)
        truth = _entropy(self.truth)
        proposal = _entropy(self.proposal) + singletons
        mutual = max(truth + proposal - _entropy(self.both) - singletons, 0.0)
        return FScore(
            precision=mutual / truth if truth else 1.0,
            recall=mutual / proposal if proposal else 1.0,
        )


def share_segments(truth: np.ndarray, proposal: np.ndarray) -> SharedSegments:
    """Divide the true cells by the proposed ones.

    Parameters
    ----------
    truth, proposal : (Y, X) integer label images; 0 = membrane. Only pixels with a truth above 0
        count.

    Raises
    ------
    LabelError : the truth is 0 everywhere

    Examples
    --------
    >>> share_segments(np.array([[1, 1, 2, 2]]), np.array([[1, 1, 1, 1]])).rand()
    FScore(precision=0.5, recall=1.0)
    """
    table = contingency(truth, proposal)
    inside = table.truth > 0
    assigned = inside & (table.predicted > 0)
    num_pixels = int(table.num_pixels[inside].sum())
    if num_pixels == 0:
        raise LabelError(
            "the truth holds no cell interior (0 everywhere); Rand and information scores need "
            "at least one cell, leave this slice out"
        )
    # counts are summed before they are divided: one single segment is exactly 1
    return SharedSegments(
        num_pixels=num_pixels,
        truth=_sum_by_label(table.truth[inside], table.num_pixels[inside]) / num_pixels,
        proposal=_sum_by_label(table.predicted[assigned], table.num_pixels[assigned]) / num_pixels,
        both=table.num_pixels[assigned] / num_pixels,
        unassigned=int(table.num_pixels[inside & ~assigned].sum()) / num_pixels,
    )


def _sum_by_label(labels: np.ndarray, num_pixels: np.ndarray) -> np.ndarray:
    _, inverse = np.unique(labels, return_inverse=True)
    return np.bincount(inverse, weights=num_pixels)


def _entropy(fraction: np.ndarray) -> float:
    return -float(np.sum(fraction * np.log(fraction)))
