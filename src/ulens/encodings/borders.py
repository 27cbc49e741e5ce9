"""Gaps in borders closed: a border that holds along most of its length holds all along.

A network sees a faint stretch of membrane and lets two cells merge through it, though their border
is plain everywhere else. Here the image is divided into fragments, these are merged from the
weakest border to the strongest, and every border takes the mean strength that it was crossed at.
"""

import heapq
from itertools import count

import numpy as np
import skimage as ski
from scipy import ndimage

SMOOTHING_PX = 3.0
"""By trial on ISBI 2012, docs/lab-notes.md; 2 differs little, and neither do fewer fragments."""

WEAKEST = 0.5
"""Where two fragments meet more weakly than this, there is more likely no border than one."""


class _Border:
    """Where two regions touch: the sum of its strength, its length in contacts, its parts."""

    __slots__ = ("length", "parts", "total")

    def __init__(self, total: float, length: int, parts: list[int]) -> None:
        self.total, self.length, self.parts = total, length, parts

    @property
    def strength(self) -> float:
        return self.total / self.length

    def joined(self, other: "_Border") -> "_Border":
        """Return both as one."""
        small, large = sorted((self, other), key=lambda border: len(border.parts))
        large.parts += small.parts  # neither is used again
        return _Border(self.total + other.total, self.length + other.length, large.parts)


def close_borders(
    interior: np.ndarray, smoothing_px: tuple[float, float] = (SMOOTHING_PX, SMOOTHING_PX)
) -> np.ndarray:
    """Lower the probability of interior where a border has a gap.

    Parameters
    ----------
    interior : (Y, X) float in [0, 1], probability of the inside of a cell
    smoothing_px : (y, x) standard deviation of the Gaussian that comes before the fragments

    Returns
    -------
    (Y, X) float32, nowhere above `interior`; where there was a gap, a line of one pixel parts the
    4-connected components of what is above a threshold

    Notes
    -----
    Fragments are the basins of the smoothed border probability 1 − `interior`. They merge in the
    order of the mean of that probability along their common border, which is computed again for the
    borders of what was merged (mean linkage). The strength at which two sides merge is the
    saliency of their border; thresholding it is cutting the tree of merges (an ultrametric contour
    map: Arbeláez et al. 2011, IEEE TPAMI 33(5) 898). Borders of a saliency below `WEAKEST` are left
    as they are, or every fragment would show.

    Examples
    --------
    >>> wall = np.ones((5, 9), np.float32)
    >>> wall[[0, 1, 3, 4], 4] = 0.1
    >>> close_borders(wall)[:, 4].round(2)
    array([0.1 , 0.1 , 0.28, 0.1 , 0.1 ], dtype=float32)
    """
    closed = interior.astype(np.float32).ravel()
    border = 1 - closed.reshape(interior.shape)
    fragments = ski.segmentation.watershed(ndimage.gaussian_filter(border, smoothing_px))
    pairs, pixels = _contacts(fragments, border)
    ends, numbers = np.unique(pairs, axis=1, return_inverse=True)
    strengths = border.ravel()[pixels]
    saliency = _merge(ends, np.bincount(numbers, strengths), np.bincount(numbers))
    is_border = saliency[numbers] >= WEAKEST
    strength = saliency[numbers][is_border].astype(np.float32)
    np.minimum.at(closed, pixels[is_border], 1 - strength)
    return closed.reshape(interior.shape)


def _contacts(fragments: np.ndarray, border: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find where fragments touch.

    Returns
    -------
    (2, N) the fragments of every contact, the lower number first, and (N,) the flat index of the
    pixel on its border, which of the two is the one where the border is stronger
    """
    places = np.arange(fragments.size).reshape(fragments.shape)
    pairs, pixels = [], []
    for before, after in (np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:]):
        differ = fragments[before] != fragments[after]
        pairs.append(np.sort([fragments[before][differ], fragments[after][differ]], axis=0))
        is_before = border[before] >= border[after]
        pixels.append(np.where(is_before, places[before], places[after])[differ])
    return np.concatenate(pairs, axis=1), np.concatenate(pixels)


def _merge(ends: np.ndarray, totals: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Merge regions over their weakest border until one is left.

    Parameters
    ----------
    ends : (2, N) the regions on both sides of each border
    totals, lengths : (N,) sum of the strength along it, and its length

    Returns
    -------
    (N,) float64; the strength at which the two sides of each border became one
    """
    neighbours: dict[int, dict[int, _Border]] = {int(region): {} for region in np.unique(ends)}
    saliency = np.zeros(len(totals))
    queue: list[tuple[float, int, int, int, _Border]] = []
    order = count()  # decides between equals, so that nothing hangs on addresses

    def connect(a: int, b: int, border: _Border) -> None:
        neighbours[a][b] = neighbours[b][a] = border
        heapq.heappush(queue, (border.strength, next(order), a, b, border))

    for part, (a, b) in enumerate(ends.T.tolist()):
        connect(a, b, _Border(float(totals[part]), int(lengths[part]), [part]))
    while queue:
        strength, _, a, b, border = heapq.heappop(queue)
        if neighbours[a].get(b) is not border:
            continue  # one of the sides was merged since
        saliency[border.parts] = strength
        if len(neighbours[a]) < len(neighbours[b]):
            a, b = b, a
        del neighbours[a][b], neighbours[b][a]
        for other, moved in neighbours[b].items():
            del neighbours[other][b]
            kept = neighbours[a].get(other)
            connect(a, other, moved if kept is None else kept.joined(moved))
        neighbours[b] = {}
    return saliency
