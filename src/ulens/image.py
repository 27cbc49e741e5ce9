"""An image with what is known about it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ulens.errors import DataError, ShapeError


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """Pixels, the meaning of their axes and their size.

    Parameters
    ----------
    data : array of any numeric dtype, one dimension per letter of `axes`
    axes : letters from ``TCZYX`` in that order, always ending in ``YX``
    spacing_um : (y, x) pixel size in µm, or None where the file does not say
    source : the file it came from, or None
    """

    data: np.ndarray
    axes: str
    spacing_um: tuple[float, float] | None = None
    source: Path | None = None

    def __post_init__(self) -> None:
        in_order = "".join(letter for letter in "TCZYX" if letter in self.axes)
        if self.axes != in_order or not self.axes.endswith("YX"):
            raise ShapeError(
                f"axes are {self.axes!r}; need letters of 'TCZYX' in that order, ending in 'YX'"
            )
        if self.data.ndim != len(self.axes):
            raise ShapeError(
                f"data has {self.data.ndim} dimensions {self.data.shape}, axes {self.axes!r} "
                f"name {len(self.axes)}; give one letter per dimension"
            )
        if self.spacing_um is not None and not _are_sizes(self.spacing_um):
            raise DataError(
                f"spacing_um is {self.spacing_um}; need two positive numbers, the (y, x) pixel "
                "size in µm, or None where it is unknown"
            )


def _are_sizes(spacing_um: object) -> bool:
    sizes = np.array(spacing_um)
    return sizes.shape == (2,) and bool(np.isfinite(sizes).all() and (sizes > 0).all())
