"""The orientation tag of cameras and phones: how stored pixels are turned to be looked at."""

from typing import TypeVar

import numpy as np

# Whether rows and columns change places, and whether Y and X are reversed then (EXIF 2.32, 4.6.4).
_TURNS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
Side = TypeVar("Side")


def known_orientation(tag: object) -> int:
    """Return the number that a tag holds, or 1, as stored, where it means nothing."""
    return tag if isinstance(tag, int) and tag in _TURNS else 1


def turn(data: np.ndarray, orientation: int) -> np.ndarray:
    """Turn stored (…, Y, X) pixels as viewers show them; a view.

    Examples
    --------
    >>> turn(np.array([[1, 2, 3]]), 6).tolist()
    [[1], [2], [3]]
    """
    is_swapped, reverses_y, reverses_x = _TURNS[orientation]
    data = data.swapaxes(-2, -1) if is_swapped else data
    return data[..., :: -1 if reverses_y else 1, :: -1 if reverses_x else 1]


def turn_sides(sides: tuple[Side, Side], orientation: int) -> tuple[Side, Side]:
    """Return what belongs to (Y, X) of stored pixels for those of turned ones, or the reverse."""
    return sides[::-1] if _TURNS[orientation][0] else sides


def stored_window(
    window: tuple[slice, slice], size: tuple[int, int], orientation: int
) -> tuple[slice, slice]:
    """Return where a window of turned pixels is stored.

    Parameters
    ----------
    window : (Y, X) slices of turned pixels
    size : (Y, X) of the turned image

    Examples
    --------
    >>> stored_window((slice(0, 2), slice(0, 1)), (3, 5), 6)
    (slice(4, 5, None), slice(0, 2, None))
    """
    _, *reverses = _TURNS[orientation]
    rows, columns = (
        slice(length - side.stop, length - side.start) if is_reversed else side
        for side, length, is_reversed in zip(window, size, reverses, strict=True)
    )
    return turn_sides((rows, columns), orientation)


def describe_turn(orientation: int) -> tuple[str, ...]:
    """Return a note for the user where pixels are turned."""
    if orientation == 1:
        return ()
    return (f"turned as its orientation tag says ({orientation}), as viewers show it",)
