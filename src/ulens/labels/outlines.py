"""Outlines of objects: traced along pixel edges, and filled again.

Coordinates are (x, y) in pixels with the corner of the first pixel at (0, 0), so that its center
is (0.5, 0.5); ImageJ and QuPath count the same way. Traced outlines have their vertices on
corners of pixels, hence no pixel center lies on an outline and all programs fill it alike.
"""

from collections.abc import Iterable

import numpy as np
from scipy import ndimage

# A polygon with holes: the outer ring first; a ring is (N, 2) float64 of (x, y), not closed.
Rings = list[np.ndarray]

# Around a pixel: steps (x, y) to the right, down, left and up, and the corner each one leaves.
_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))
_CORNERS = ((0, 0), (1, 0), (1, 1), (0, 1))


def trace(mask: np.ndarray) -> list[Rings]:
    """Trace a mask along the edges of its pixels.

    Parameters
    ----------
    mask : (Y, X) bool

    Returns
    -------
    one polygon for each 4-connected region, its outer ring first, then the rings of its holes

    Notes
    -----
    The region lies to the right of the way, so outer rings run clockwise on the screen and holes
    anticlockwise. Where two pixels touch at a corner only, rings part there: no ring meets
    itself, which GeoJSON demands, and the even-odd and the nonzero rule fill the same pixels.

    Examples
    --------
    >>> trace(np.array([[True, True]]))[0][0].tolist()
    [[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [0.0, 1.0]]
    """
    regions, _ = ndimage.label(mask)
    polygons = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(regions), start=1):
        rings = _trace_region(regions[rows, columns] == number)
        rings.sort(key=_signed_area, reverse=True)
        start = np.array([columns.start, rows.start])
        polygons.append([ring + start for ring in rings])
    return polygons


def fill(rings: Iterable[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Return the pixels whose centers lie inside.

    Parameters
    ----------
    rings : (N, 2) floats each, (x, y); closed or not
    shape : (Y, X) of the image; what lies outside is cut off

    Returns
    -------
    (Y, X) bool

    Notes
    -----
    Even-odd rule over all rings. Of centers exactly on an outline those on a right or an upper
    edge are inside, as in ImageJ (ij/process/PolygonFiller.java, with its 1e-8 pixels).

    Examples
    --------
    >>> fill([np.array([(0.2, 0.2), (1.9, 0.2), (1.9, 1.4), (0.2, 1.4)])], (2, 3)).tolist()
    [[True, True, False], [False, False, False]]
    """
    height, width = shape
    crossings = np.zeros((height, width + 1), np.int64)
    for ring in rings:
        x0, y0 = np.asarray(ring, np.float64).T
        x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
        first, last = _first_row(np.minimum(y0, y1), height), _first_row(np.maximum(y0, y1), height)
        edges = np.repeat(np.arange(len(x0)), last - first)
        rows = np.arange(len(edges)) - np.repeat(np.cumsum(last - first) - last, last - first)
        x0, y0, x1, y1 = x0[edges], y0[edges], x1[edges], y1[edges]
        x = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
        columns = np.clip(np.floor(x + 0.5 + 1e-8), 0, width).astype(np.int64)
        np.add.at(crossings, (rows, columns), 1)
    return crossings.cumsum(axis=1)[:, :width] % 2 == 1


def _first_row(y: np.ndarray, height: int) -> np.ndarray:
    """Return the first row whose pixel centers lie at or below y."""
    return np.clip(np.ceil(y - 0.5), 0, height).astype(np.int64)


def _trace_region(region: np.ndarray) -> Rings:
    """Return all rings of one 4-connected region."""
    ways = _ways(region)
    # In this order a ring starts at a corner, and where two rings meet only the later one does.
    return [_follow(ways, start) for start in sorted(ways) if start in ways]


def _follow(ways: dict[tuple[int, int], list[int]], start: tuple[int, int]) -> np.ndarray:
    """Take one ring out of the ways and return its corners."""
    x, y = start
    step = ways[start][0]
    corners: list[tuple[int, int]] = []
    while leaving := ways.get((x, y)):
        # Turning left where two ways leave keeps to the same background region.
        turned = next(way for way in ((step + 3) % 4, step, (step + 1) % 4) if way in leaving)
        if turned != step or not corners:
            corners.append((x, y))
        leaving.remove(turned)
        if not leaving:
            del ways[x, y]
        step = turned
        x, y = x + _STEPS[step][0], y + _STEPS[step][1]
    return np.array(corners, np.float64)


def _ways(region: np.ndarray) -> dict[tuple[int, int], list[int]]:
    """Return, by the corner (x, y) of pixels that it leaves, each step around the region."""
    inside = np.pad(region, 1)
    core = inside[1:-1, 1:-1]
    beside = (inside[:-2, 1:-1], inside[1:-1, 2:], inside[2:, 1:-1], inside[1:-1, :-2])
    ways: dict[tuple[int, int], list[int]] = {}
    for step, ((x, y), neighbour) in enumerate(zip(_CORNERS, beside, strict=True)):
        rows, columns = np.nonzero(core & ~neighbour)
        for corner in zip((columns + x).tolist(), (rows + y).tolist(), strict=True):
            ways.setdefault(corner, []).append(step)
    return ways


def _signed_area(ring: np.ndarray) -> float:
    """Return the area (pixels), negative for holes."""
    x, y = ring.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
