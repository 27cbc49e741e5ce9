"""Distance of every pixel to the nearest and to the second-nearest instance."""

import numpy as np

from ulens.compiled import compiled


def two_nearest(
    labels: np.ndarray, *, reach_px: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the nearest two instances of every pixel.

    Parameters
    ----------
    labels : (Y, X) integer; 1…N = instances, 0 and less = none
    reach_px : instances farther away are not looked for, pixels

    Returns
    -------
    nearest, second : (Y, X) float32; Euclidean distances in pixels to the nearest pixel of two
        different instances, 0 to the pixel's own; infinite beyond `reach_px`
    owner : (Y, X) int32; the nearest instance, 0 beyond `reach_px`

    Notes
    -----
    Exact, in two passes: the two instances nearest to a pixel are each among the two nearest
    within some column. Of instances equally far the one with the leftmost, then uppermost pixel
    owns, as in SciPy's distance transform.

    Examples
    --------
    >>> two_nearest(np.array([[3, 0, 0, 0, 7]]), reach_px=3)[1]
    array([[inf,  3.,  2.,  3., inf]], dtype=float32)
    """
    largest = np.int32(reach_px**2)  # of 32 bits, or the passes do not compile to vectors
    columns = _along_columns(np.ascontiguousarray(labels, np.int32), largest)
    nearest, second, owner = _across_columns(columns, largest)
    owner[nearest > largest] = 0
    return _root(nearest, largest), _root(second, largest), owner


def _root(squared: np.ndarray, largest: np.int32) -> np.ndarray:
    distance = np.sqrt(squared, dtype=np.float32)
    distance[squared > largest] = np.inf
    return distance


@compiled
def _along_columns(labels: np.ndarray, largest: np.int32) -> tuple[np.ndarray, ...]:
    """Squared distances to the nearest two instances in a pixel's own column, and who they are.

    Beyond `largest` they are ``largest + 1`` and nobody.
    """
    height, width = labels.shape
    first, second = np.full((2, height, width), largest + 1, np.int32)
    first_id, second_id = np.zeros((2, height, width), np.int32)
    for step in (1, -1):
        # the last two instances met on the way, and the row of their last pixel
        met = np.zeros((2, width), np.int32)
        row = np.zeros((2, width), np.int32)
        for count in range(height):
            y = count if step == 1 else height - 1 - count
            for x in range(width):
                own = labels[y, x]
                if own > 0:
                    if own != met[0, x]:
                        met[1, x], row[1, x] = met[0, x], row[0, x]
                        met[0, x] = own
                    row[0, x] = y
                for k in range(2):
                    other = met[k, x]
                    squared = (y - row[k, x]) ** 2
                    if other == 0 or squared > largest:
                        continue
                    if squared < first[y, x]:
                        if other != first_id[y, x]:
                            second[y, x], second_id[y, x] = first[y, x], first_id[y, x]
                        first[y, x], first_id[y, x] = squared, other
                    elif squared < second[y, x] and other != first_id[y, x]:
                        second[y, x], second_id[y, x] = squared, other
    return first, first_id, second, second_id


@compiled
def _across_columns(columns: tuple[np.ndarray, ...], largest: np.int32) -> tuple[np.ndarray, ...]:
    """Squared distances to the nearest two instances of all columns, and who the nearest is."""
    first, first_id, second, second_id = columns
    height, width = first.shape
    # two arrays: halves of one would not be known to be contiguous, which vectors need
    nearest = np.full((height, width), largest + 1, np.int32)
    farther = nearest.copy()
    owner = np.zeros((height, width), np.int32)
    for y in range(height):
        offset = 0
        while offset < width and offset**2 <= min(farther[y].max(), largest):
            right, left = slice(offset, width), slice(0, width - offset)
            # the left neighbour first, so that it wins a tie
            for here, there in ((right, left), (left, right)):
                _compare(
                    (nearest[y, here], farther[y, here], owner[y, here]),
                    (first[y, there], first_id[y, there], second[y, there], second_id[y, there]),
                    np.int32(offset**2),
                    there.start == 0,
                )
            offset += 1
    return nearest, farther, owner


@compiled
def _compare(
    found: tuple[np.ndarray, ...],
    columns: tuple[np.ndarray, ...],
    across: np.int32,
    wins_ties: bool,
) -> None:
    """Update what was found for the pixels of a row by the columns `across`² px beside them."""
    nearest, farther, owner = found
    first, first_id, second, second_id = columns
    # values are chosen, not branched to, so that this compiles to vector instructions
    for x in range(len(nearest)):
        near, far, who = nearest[x], farther[x], owner[x]
        squared, other = first[x] + across, first_id[x]
        is_nearer = squared < near or (wins_ties and squared == near)
        passed = near if is_nearer else min(far, squared)
        far = passed if other != who else far
        who = other if is_nearer else who
        near = squared if is_nearer else near
        squared, other = second[x] + across, second_id[x]
        far = min(far, squared) if other != who else far
        nearest[x], farther[x], owner[x] = near, far, who
